"""Schedules, and runs of theirs that did not happen, as records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from orchbridge.core.facts import LastRun, Schedule
from orchbridge.core.normalize.context import Context, Origin, description
from orchbridge.core.normalize.secrets import secret_values
from orchbridge.core.records import ERROR, INFO, JOBS, WARN, Record
from orchbridge.core.size import RAW_MAX, cut_field, cut_json

_SEVERITY = {"created": INFO, "changed": INFO, "disabled": WARN, "removed": INFO}


def context(item: Schedule, origin: Origin, epoch: str, names: frozenset[str], *, unknown: bool) -> Context:
    """Return what hides the secrets of a schedule: `names` are its sensitive parameters."""
    secrets = secret_values(item.raw, origin.rules, names)
    subject = f"schedule/{item.id}"
    raw = msgspec.Raw(b"{}")
    return Context(origin, epoch, subject, subject, subject, raw, names, secrets, unknown)


def about(ctx: Context, item: Schedule) -> dict[str, Any]:
    """Return the `schedule` object of every record of it, small enough to be remembered."""
    told, _ = description(item.description, ctx.origin, ctx.secrets)
    return {
        "id": item.id,
        "type": cut_field(item.type),
        "name": cut_field(item.name),
        "environment": cut_field(item.environment),
        "owner": {"id": cut_field(item.owner.id), "login": cut_field(item.owner.login)},
        "description": cut_field(told),
        "starts_at": cut_field(item.begins),
        "interval_s": item.interval_s,
    }


def digests(ctx: Context, item: Schedule) -> dict[str, str]:
    """Return digests of the schedule's parts without their secrets: nobody can find a short one by trying."""
    whole = b'{"input":' + item.parts["input"] + b"}" if "input" in item.parts else b"{}"
    parts = {**item.parts, "input": whole}
    redacted = {name: ctx.redacted(raw, f".{name}", []) for name, raw in parts.items()}
    return {name: hashlib.sha256(raw).hexdigest()[:16] for name, raw in redacted.items()}


def revision_record(  # one field each
    ctx: Context, item: Schedule, what: str, revision: int, observed: str, more: Mapping[str, Any]
) -> Record:
    """Return `schedule.created`, or `schedule.changed`, or `schedule.disabled` of one that is still listed."""
    paths: list[str] = []
    data = _base(ctx, observed) | {"schedule": about(ctx, item), "revision": revision, **more}
    data |= {"enabled": item.enabled, "next_run": cut_field(item.planned), "last_run": _last(ctx, item.last, paths)}
    ctx.seal_with_pe(data, ctx.redacted(item.raw, ".pe", paths), paths, beside=len(msgspec.json.encode(data)))
    return _record(ctx.origin, ctx.epoch, item.id, what, f"revision/{revision}", observed, data, _SEVERITY[what])


def ended_record(  # one field each
    origin: Origin, epoch: str, id_: int, known: Mapping[str, Any], what: str, revision: int, observed: str, *,
    reason: str, polls: int,
) -> Record:  # fmt: skip
    """Return `schedule.disabled` or `schedule.removed` of one that is not listed any more."""
    ctx = _bare(origin, epoch)
    data = _base(ctx, observed) | {"schedule": dict(known), "revision": revision, "enabled": False}
    data |= {"reason": reason, "confirmed_by": polls}
    return _record(origin, epoch, id_, what, f"revision/{revision}", observed, data, _SEVERITY[what])


def missed_record(  # one field each
    origin: Origin, epoch: str, id_: int, known: Mapping[str, Any], observed: str, *,
    planned: str, reason: str, error: bytes | None, last: LastRun | None,
) -> Record:  # fmt: skip
    """Return `schedule.run.missed`: a run that was planned and did not happen."""
    ctx = _bare(origin, epoch)
    paths: list[str] = []
    data = _base(ctx, observed) | {"schedule": dict(known), "planned_at": cut_field(planned), "reason": reason}
    data["error"] = _error(ctx, error, ".error", paths)
    data["last_run"] = _last(ctx, last, paths)
    ctx.seal(data, paths)
    name = f"missed/{cut_field(planned)}"
    return _record(origin, epoch, id_, "run.missed", name, observed, data, ERROR)


def _last(ctx: Context, last: LastRun | None, paths: list[str]) -> dict[str, Any] | None:
    if last is None:
        return None
    started = None if last.id is None else f"{last.kind}/{last.id}"
    return {"at": cut_field(last.stamp), "started": started, "error": _error(ctx, last.error, ".last_run.error", paths)}


def _error(ctx: Context, error: bytes | None, at: str, paths: list[str]) -> msgspec.Raw | None:
    return None if error is None else msgspec.Raw(cut_json(ctx.redacted(error, at, paths), RAW_MAX // 4))


def _bare(origin: Origin, epoch: str) -> Context:
    return Context(origin, epoch, "", "", "", msgspec.Raw(b"{}"))


def _base(ctx: Context, observed: str) -> dict[str, Any]:
    """Return how `data` begins. PE tells no time of these: it is ours."""
    return ctx.base(None, observed)[1]


def _record(
    origin: Origin, epoch: str, id_: int, what: str, name: str, observed: str, data: dict[str, Any], severity: int
) -> Record:
    subject = f"schedule/{id_}"
    return Record(
        JOBS, origin.instance, subject, f"{epoch}:{subject}/{name}", f"schedule.{what}.v1", subject, observed, observed,
        epoch, data, None, severity, subject, origin.replay,
    )  # fmt: skip
