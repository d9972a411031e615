"""Scheduled jobs for people and programs, of newer and older servers."""

from __future__ import annotations

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.telling import PLAIN, Veil, json_line, table, took, when
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import OldSchedule, Schedule

COLUMNS = ("schedule", "what", "next (UTC)", "every", "last run", "by")


async def list_schedules(client: Client, type_: str | None, *, as_json: bool) -> int:
    """Print scheduled jobs; servers before 2021.7 have them elsewhere."""
    rows: list[tuple[str, ...]] = []
    try:
        async for each in client.schedules.list(type=type_):
            if as_json:
                json_line(_shape(each))
            rows.append(_row(each))
    except errors.Unsupported:
        async for old in client.schedules.list_old(type=type_):
            if as_json:
                json_line(_old_shape(old))
            what = f"{old.type} {old.task or old.environment or ''}".strip()
            rows.append((str(old.id), what, when(old.at), "", "", old.owner.login or ""))
    if not as_json:
        table(COLUMNS, rows, none="nothing is scheduled")
    return DONE


def _row(each: Schedule) -> tuple[str, ...]:
    what = f"{each.type} {each.name or each.environment or ''}".strip()
    every = "once" if each.interval_s is None else interval(each.interval_s)
    return (str(each.id), what, when(each.next_run) or "never", every, _last(each), each.owner.login or "")


def _last(each: Schedule) -> str:
    run = each.last_run
    if run is None:
        return "none yet"
    if run.error is not None:
        return f"NOT STARTED: {run.error_kind or 'no reason given'}"
    return f"job {run.job}" if run.job is not None else f"plan job {run.plan_job}"


def interval(seconds: int) -> str:
    """Return `7 d`, `12 h`, `90 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return took(seconds)


def _shape(each: Schedule) -> dict[str, object]:
    run, veil = each.last_run, Veil(frozenset(each.sensitive))
    last = None
    if run is not None:
        message = PLAIN.value((run.error or {}).get("msg"))
        last = {"at": run.at, "job": run.job, "plan_job": run.plan_job, "error": run.error_kind, "message": message}
    return {
        "kind": "schedule",
        "id": each.id,
        "type": each.type,
        "name": each.name,
        "environment": each.environment,
        "owner": each.owner.login,
        "description": PLAIN.value(each.description),
        "next_run": each.next_run,
        "interval_s": each.interval_s,
        "last_run": last,
        "scope": PLAIN.value(each.input.get("scope")),
        "parameters": veil.value(each.input.get("parameters")),
        "sensitive": each.sensitive,
        "userdata": veil.value(each.userdata),
    }


def _old_shape(each: OldSchedule) -> dict[str, object]:
    told = {"kind": "schedule", "id": each.id, "type": each.type, "name": each.task, "environment": each.environment}
    return {**told, "owner": each.owner.login, "next_run": each.at, "scope": PLAIN.value(each.scope)}
