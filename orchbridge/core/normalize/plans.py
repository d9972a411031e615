"""Plan jobs and their events as records (event-formats 2.3 and 8)."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import Plan, PlanEvent
from orchbridge.core.normalize.context import Context, Origin, description
from orchbridge.core.records import ERROR, INFO, PLANS, WARN, Record
from orchbridge.core.size import MESSAGE_ROOM, TEXT_ROOM, cut_field, text_size

TERMINAL = frozenset({"success", "failure"})
STEPS = {
    f"{kind}_start": kind for kind in ("task", "script", "command", "upload", "wait", "apply", "apply_prep", "plan")
}
ENDS = {"plan_finished": ("plan.finished.v1", INFO), "plan_failed": ("plan.failed.v1", ERROR)}


def terminal(plan: Plan) -> bool:
    """Whether the plan is over; a state we do not know is over once PE gives it a finish time."""
    return plan.state in TERMINAL or (plan.finished is not None and plan.state not in {"running", "pending"})


def context(plan: Plan, origin: Origin, epoch: str, names: frozenset[str], secrets: tuple[str, ...]) -> Context:
    """Return what all records of this plan share."""
    told, hidden = description(plan.description, origin, secrets)
    about = {
        "id": plan.id,
        "name": cut_field(plan.name),
        "environment": cut_field(plan.environment),
        "owner": {"id": cut_field(plan.owner.id), "login": cut_field(plan.owner.login)},
        "scheduled_job_id": plan.scheduled_id,
        "description": told,
    }
    name = f"plan/{plan.id}"
    raw = msgspec.Raw(msgspec.json.encode(about))
    paths = ("$.plan.description",) if hidden else ()
    return Context(origin, epoch, name, str(plan.id), name, raw, names, secrets, hidden=paths)


def state_record(  # one state of one plan
    ctx: Context, plan: Plan, state: str, previous: str | None, entered: str | None, observed: str
) -> Record:
    """Return the record of one state having been entered; a terminal one carries stamps, outcome and result."""
    time, data = ctx.base(entered, observed)
    paths: list[str] = []
    data |= {"plan": ctx.about, "state": state, "previous": previous, "child_jobs": list(plan.children or ())}
    data["result"] = None
    severity = INFO
    result = b""
    if state == plan.state and terminal(plan):
        data |= _stamps(plan)
        data["outcome"] = "success" if state == "success" else "failure"
        if plan.result is not None:
            result = ctx.clean(plan.result, ".result", paths)
            data["result"] = msgspec.Raw(result)
        severity = INFO if state == "success" else ERROR
    ctx.seal_with_pe(data, ctx.redacted(plan.raw, ".pe", paths, again=True), paths, beside=len(result))
    return Record(
        PLANS, ctx.origin.instance, ctx.key, f"{ctx.epoch}:plan/{ctx.key}/state/{state}", "plan.state.changed.v1",
        ctx.subject, time, observed, ctx.epoch, data, None, severity, ctx.correlation, ctx.origin.replay,
    )  # fmt: skip


def _stamps(plan: Plan) -> dict[str, Any]:
    finished = plan.finished or plan.stamp
    duration = plan.duration
    began, ended = times.seconds(plan.created), times.seconds(finished)
    if duration is None and began is not None and ended is not None:
        duration = round(ended - began, 3)
    return {"created_at": cut_field(plan.created), "finished_at": cut_field(finished), "duration_s": duration}


def event_record(  # one event
    ctx: Context, event: PlanEvent, name: str, observed: str, *, late: bool, cut: bool = False
) -> Record:
    """Return the record of one event; `name` is its id, or its content's digest where the server gave none.

    `cut` tells that only the beginning of the message could be had.
    """
    time, data = ctx.base(event.stamp, observed)
    paths: list[str] = []
    data["plan"] = ctx.about
    data["pe_event"] = {"id": event.id, "type": cut_field(event.type), "timestamp": cut_field(event.stamp)}
    data["step"] = None
    kind, severity = "plan.event.unrecognised.v1", WARN
    if event.type in STEPS:
        kind, severity = "plan.step.started.v1", INFO
        data["step"] = {"kind": STEPS[event.type], "job_id": event.job_id}
    elif event.type == "out_message":
        kind, severity = "plan.message.v1", INFO
    elif event.type in ENDS:
        kind, severity = ENDS[event.type]
    result = _result(ctx, event, paths)
    room = MESSAGE_ROOM if result is None else TEXT_ROOM
    data["message"] = ctx.clean_text(event.message, ".message", paths, room)
    data["result"] = None if result is None else msgspec.Raw(result)
    if late:
        data["late"] = True
    if cut:
        data["message_truncated"] = True  # the whole text could not be had
    beside = len(result or b"") + text_size(data["message"] or "")
    ctx.seal_with_pe(data, ctx.redacted(event.raw, ".pe", paths), paths, beside=beside)
    return Record(
        PLANS, ctx.origin.instance, ctx.key, f"{ctx.epoch}:plan/{ctx.key}/event/{name}", kind,
        ctx.subject, time, observed, ctx.epoch, data, event.id, severity, ctx.correlation, ctx.origin.replay,
    )  # fmt: skip


class _Details(msgspec.Struct):
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_RESULT = msgspec.json.Decoder(_Details)


def _result(ctx: Context, event: PlanEvent, paths: list[str]) -> bytes | None:
    if event.type not in ENDS or event.details is None:
        return None
    try:
        result = _RESULT.decode(event.details).result
    except msgspec.MsgspecError:  # no object
        return None
    return None if isinstance(result, msgspec.UnsetType) else ctx.clean(bytes(result), ".result", paths)
