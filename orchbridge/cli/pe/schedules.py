"""Scheduled jobs for people and programs, of newer and older servers."""

from __future__ import annotations

from orchbridge.cli.exits import CHECK_FAILED, DONE, say
from orchbridge.cli.pe.session import agreed
from orchbridge.cli.pe.telling import PLAIN, Veil, interval, json_line, table, when
from orchbridge.cli.pe.veils import Veils
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import OldSchedule, Schedule

COLUMNS = ("schedule", "what", "next (UTC)", "every", "last run", "by")


async def list_schedules(client: Client, type_: str | None, *, as_json: bool) -> int:
    """Print scheduled jobs; servers before 2021.7 have them elsewhere."""
    rows: list[tuple[str, ...]] = []
    veils = Veils(client)
    try:
        async for each in client.schedules.list(type=type_):
            if as_json:
                json_line(_shape(each, await veils.of_schedule(each)))
            rows.append(_row(each))
    except errors.QueryRefused as error:
        say(f"orchbridge: {error.line()}")
        return CHECK_FAILED  # what is asked for is right, so it is the right to ask that is missing
    except errors.Unsupported:
        async for old in client.schedules.list_old(type=type_):
            if as_json:
                json_line(_old_shape(old))
            what = f"{old.type} {old.task or old.environment or ''}".strip()
            rows.append((str(old.id), what, when(old.at), "", "", old.owner.login or ""))
    if not as_json:
        table(COLUMNS, rows, none="nothing is scheduled")
    return DONE


async def unschedule(client: Client, number: int, *, yes: bool, as_json: bool) -> int:
    """Disable a scheduled job, which is for good."""
    try:
        found = await client.schedules.get(number)
    except errors.QueryRefused as error:
        error.hint = "`orchbridge pe schedules` lists them; one that was ended is not shown any more"
        raise
    except errors.Unsupported:
        lines, newer = [f"delete schedule {number}"], False
    else:
        _, what, ahead, every, *_ = _row(found)
        again = every if found.interval_s is None else f"every {every}"
        lines, newer = [f"disable schedule {number} ({what}, next {ahead}, {again}); that is for good"], True
    if not agreed(lines, yes=yes, nothing="nothing was changed"):
        return CHECK_FAILED
    if newer:
        await client.schedules.disable(number)
    else:
        await client.schedules.delete_old(number)
    if as_json:
        json_line({"kind": "stop", "schedule": number, "stopped": True})
    else:
        print(f"schedule {number} will not run any more")
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


def _shape(each: Schedule, veil: Veil) -> dict[str, object]:
    run, last = each.last_run, None
    if run is not None:
        message = veil.value((run.error or {}).get("msg"))
        last = {"at": run.at, "job": run.job, "plan_job": run.plan_job, "error": run.error_kind, "message": message}
    return {
        "kind": "schedule",
        "id": each.id,
        "type": each.type,
        "name": each.name,
        "environment": each.environment,
        "owner": each.owner.login,
        "description": veil.value(each.description),
        "next_run": each.next_run,
        "interval_s": each.interval_s,
        "last_run": last,
        "scope": PLAIN.value(each.input.get("scope")),
        "parameters": veil.parameters(each.input.get("parameters")),
        "sensitive": each.sensitive,
        "userdata": veil.value(each.userdata),
    }


def _old_shape(each: OldSchedule) -> dict[str, object]:
    """Return it with the same keys; what the older API does not tell is null."""
    told = {"kind": "schedule", "id": each.id, "type": each.type, "name": each.task, "environment": each.environment}
    more = {"description": PLAIN.value(each.description), "next_run": each.at, "scope": PLAIN.value(each.scope)}
    untold = dict.fromkeys(("interval_s", "last_run", "parameters", "sensitive", "userdata"))
    return {**told, "owner": each.owner.login, **more, **untold}
