"""Jobs and their events as records (event-formats 2.3 and 8)."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import Job, JobEvent, StatusItem
from orchbridge.core.normalize.context import Context, Origin, description
from orchbridge.core.records import ERROR, INFO, JOB_EVENTS, JOBS, WARN, Record
from orchbridge.core.size import NOTE_ROOM, RAW_MAX, cut_field, cut_json, cut_text, text_size

TERMINAL = frozenset({"finished", "failed", "stopped"})
OUTCOMES = {"finished": "success", "stopped": "stopped"}
NODE_EVENTS = {
    "node_running": ("job.node.started.v1", "started", INFO),
    "node_finished": ("job.node.finished.v1", "finished", INFO),
    "node_failed": ("job.node.failed.v1", "failed", ERROR),
    "node_errored": ("job.node.errored.v1", "errored", ERROR),
    "node_skipped": ("job.node.skipped.v1", "skipped", WARN),
}
JOB_EVENT_TYPES = {
    "job_stopping": ("job.stopping.v1", WARN),
    "job_aborted": ("job.aborted.v1", ERROR),
    "job_finished": ("job.completed.v1", INFO),
}
STATES_MAX, STATE_LENGTH_MAX = 20, 40
UNRECOGNISED = ("job.event.unrecognised.v1", WARN)
ENDED = frozenset({"finished", "failed", "errored", "skipped"})


def terminal(job: Job) -> bool:
    """Whether the job is over; a state we do not know is over once PE gives it a finish time."""
    return job.state in TERMINAL or (job.finished is not None and job.state not in {"running", "stopping"})


def outcome(state: str) -> str:
    """Return success, failure or stopped for a terminal state."""
    return OUTCOMES.get(state, "failure")


def job_name(job: Job) -> str:
    """Return the words a person would call the job by."""
    return job.task or job.target or job.command or job.type or "job"


def context(
    job: Job, origin: Origin, epoch: str, names: frozenset[str], secrets: tuple[str, ...], unknown: bool
) -> Context:
    """Return what all records of this job share."""
    told, hidden = description(job.description, origin, secrets)
    about = {
        "id": job.id,
        "name": cut_field(job_name(job)),
        "type": cut_field(job.type),
        "command": cut_field(job.command),
        "environment": cut_field(job.environment),
        "task": cut_field(job.task),
        "plan_id": job.plan_id,
        "scheduled_job_id": job.scheduled_id,
        "noop": job.noop,
        "owner": {"id": cut_field(job.owner.id), "login": cut_field(job.owner.login)},
        "description": told,
        "url": origin.job_url.replace("{job}", str(job.id)) if origin.job_url else None,
    }
    return Context(
        origin=origin,
        epoch=epoch,
        subject=f"job/{job.id}",
        key=str(job.id),
        correlation=f"plan/{job.plan_id}" if job.plan_id else f"job/{job.id}",
        about=msgspec.Raw(msgspec.json.encode(about)),
        names=names,
        secrets=secrets,
        unknown=unknown,
        hidden=("$.job.description",) if hidden else (),
    )


def event_record(  # one event in its place
    ctx: Context, event: JobEvent, observed: str, *, late: bool, began: float | None, innocent: bool = False
) -> Record:
    """Return the record of one event; `began` is when its node started (Unix seconds), if known.

    `innocent` is the context's word that nothing in the event needs redaction.
    """
    time, data = ctx.base(event.stamp, observed)
    subject, known = ctx.subject, None
    data["job"] = ctx.about
    if event.node is not None:
        subject = f"{subject}/node/{event.node}"
        data["node"] = event.node
        known = NODE_EVENTS.get(event.type)
    if known is not None:
        kind, result, severity = known
        data["result"] = result
    else:
        kind, severity = JOB_EVENT_TYPES.get(event.type, UNRECOGNISED)
    data["pe_event"] = {"id": event.id, "type": cut_field(event.type), "timestamp": cut_field(event.stamp)}
    paths: list[str] = []
    pe = event.raw if innocent else ctx.redacted(event.raw, ".pe", paths)
    if pe is event.raw and not ctx.unknown:  # message and detail are parts of it, so neither holds a secret
        data["message"] = event.message and cut_text(event.message)
        detail = b"null" if event.detail is None else cut_json(event.detail, RAW_MAX)
    else:
        beside: list[str] = []
        data["message"] = ctx.clean_text(event.message, ".message", beside)
        detail = b"null" if event.detail is None else ctx.clean(event.detail, ".detail", beside)
        paths = beside + paths
    data["detail"] = msgspec.Raw(detail)
    if known is not None:
        data["duration_s"] = None if began is None or result == "started" else _since(began, event.stamp)
        _lift(data, detail, failed=severity == ERROR)
    if late:
        data["late"] = True
    ctx.seal_with_pe(data, pe, paths, beside=len(detail) + text_size(data["message"] or ""))
    return Record(
        JOB_EVENTS, ctx.origin.instance, ctx.key, f"{ctx.epoch}:job/{ctx.key}/event/{event.id}", kind, subject,
        time, observed, ctx.epoch, data, event.id, severity, ctx.correlation, ctx.origin.replay,
    )  # fmt: skip


def _since(began: float, stamp: str | None) -> float | None:
    ended = times.seconds(stamp)
    return None if ended is None else max(0.0, round(ended - began, 3))


def _lift(data: dict[str, Any], detail: bytes, *, failed: bool) -> None:
    """Lift error, report link and transaction out of the detail; most details hold none of them."""
    data["error"] = None
    data["report_url"] = data["transaction_uuid"] = None
    if not failed and (len(detail) < 17 or (b"report-url" not in detail and b"transaction_uuid" not in detail)):
        return
    try:
        value = msgspec.json.decode(detail)
    except msgspec.DecodeError:  # a number that no float can hold, such as 1e999
        return
    if not isinstance(value, dict):
        return
    data["report_url"] = _field(value.get("report-url"))
    data["transaction_uuid"] = _field(value.get("transaction_uuid"))
    if failed:
        data["error"] = _error(value)


def _field(value: Any) -> str | None:
    return cut_field(value) if isinstance(value, str) else None


def _error(detail: dict[str, Any]) -> dict[str, Any] | None:
    """Return kind, message and exit code of a failure in any of the shapes servers and tasks use."""
    error = detail.get("_error", detail.get("error"))
    if error is None and "msg" in detail:
        error = detail
    if isinstance(error, str):
        return {"kind": None, "message": cut_text(error, NOTE_ROOM), "exit_code": None}
    if not isinstance(error, dict):
        return None
    kind, message, details = error.get("kind"), error.get("msg"), error.get("details")
    code = details.get("exit_code", details.get("exitcode")) if isinstance(details, dict) else None
    return {
        "kind": cut_text(kind, NOTE_ROOM) if isinstance(kind, str) else None,
        "message": cut_text(message, NOTE_ROOM) if isinstance(message, str) else None,
        "exit_code": code if isinstance(code, int) and not isinstance(code, bool) else None,
    }


def state_names(status: tuple[StatusItem, ...]) -> tuple[str, ...]:
    """Return the id part of each stretch: the state, `running/2` where it was entered again."""
    counts: dict[str, int] = {}
    names = []
    for item in status:
        counts[item.state] = counts.get(item.state, 0) + 1
        names.append(item.state if counts[item.state] == 1 else f"{item.state}/{counts[item.state]}")
    return tuple(names)


def state_record(  # one stretch of one job
    ctx: Context, job: Job, item: StatusItem, name: str, previous: str | None, observed: str
) -> Record:
    """Return the record of one state having been entered."""
    time, data = ctx.base(item.entered, observed)
    paths: list[str] = []
    data |= {
        "job": ctx.about,
        "state": cut_field(item.state),
        "previous": cut_field(previous),
        "entered_at": cut_field(item.entered),
        "node_count": job.node_count,
        "node_states": _few(job.node_states),
    }
    severity = INFO
    if item.state in TERMINAL or (item.state == job.state and terminal(job)):
        data |= stamps(job)
        data["outcome"] = outcome(item.state)
        severity = {"success": INFO, "stopped": WARN}.get(data["outcome"], ERROR)
    pe = ctx.redacted(job.raw, ".pe", paths, again=True)
    ctx.seal_with_pe(data, pe, paths, beside=len(msgspec.json.encode(data)) if len(pe) > RAW_MAX else 0)
    return Record(
        JOBS, ctx.origin.instance, ctx.key, f"{ctx.epoch}:job/{ctx.key}/state/{name}", "job.state.changed.v1",
        ctx.subject, time, observed, ctx.epoch, data, None, severity, ctx.correlation, ctx.origin.replay,
    )  # fmt: skip


def _few(states: dict[str, int] | None) -> dict[str, int] | None:
    """Return the counts by state; PE has less than ten states, so this many are none."""
    if not states or (len(states) <= STATES_MAX and all(len(state) <= STATE_LENGTH_MAX for state in states)):
        return states
    return {state[:STATE_LENGTH_MAX]: count for state, count in list(states.items())[:STATES_MAX]}


def stamps(job: Job) -> dict[str, Any]:
    """Return created, started and finished stamps with the run and queue time in seconds.

    Servers before 2019.8.5 give no such stamps: the status list tells the same.
    """
    status = job.status or ()
    created = job.created or (status[0].entered if status else None)
    started = next((item.entered for item in status if item.state == "running"), None)
    finished = job.finished or next((item.entered for item in status if item.state in TERMINAL), None)
    began, ran, ended = times.seconds(created), times.seconds(started), times.seconds(finished)
    duration = job.duration
    if duration is None and began is not None and ended is not None:
        duration = round(ended - began, 3)
    return {
        "created_at": cut_field(created),
        "started_at": cut_field(started),
        "finished_at": cut_field(finished),
        "duration_s": duration,
        "queue_s": max(0.0, round(ran - began, 3)) if began is not None and ran is not None else None,
    }
