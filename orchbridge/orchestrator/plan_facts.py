"""Plan jobs and their events: one item's JSON in, one fact out, or an Odd one."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import Odd, Plan, PlanEvent
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.odd import understood

_ABSENT = msgspec.Raw()


class _Result(msgspec.Struct):
    result: msgspec.Raw = _ABSENT


class _Details(msgspec.Struct):
    details: msgspec.Raw = _ABSENT


_RESULT = msgspec.json.Decoder(_Result)
_DETAILS = msgspec.json.Decoder(_Details)


def plan(item: bytes | msgspec.Raw) -> Plan | Odd:
    """Read one plan job, from the list or its own page."""
    raw = bytes(item)
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    number = fields.own_id(told)
    if number is None:
        return Odd(raw, "a plan job without a usable id")
    options = fields.mapping(told.get("options"))
    return Plan(
        id=number,
        state=fields.word(told.get("state")),
        raw=raw,
        name=fields.text(options.get("plan_name")),
        environment=fields.environment(told),
        description=fields.text(options.get("description")) or fields.text(told.get("description")),
        scheduled_id=fields.scheduled_id(options),
        created=fields.created(told),
        finished=fields.text(told.get("finished_timestamp")),
        stamp=fields.text(told.get("timestamp")),
        duration=fields.seconds(told.get("duration")),
        owner=fields.owner(told.get("owner")),
        sensitive=fields.names(options.get("sensitive")),
        children=_children(told.get("status")),
        result=bytes(_RESULT.decode(raw).result) or None,
    )


def plan_event(item: bytes | msgspec.Raw) -> PlanEvent | Odd:
    """Read one event of a plan job; some servers leave the id of single events out."""
    raw = bytes(item)
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    number = fields.to_id(told.get("id"))
    if number is None and told.get("id") is not None:
        return Odd(raw, "an event without a usable id")
    details = fields.mapping(told.get("details"))
    exact = bytes(_DETAILS.decode(raw).details)
    return PlanEvent(
        id=number,
        type=fields.text(told.get("type")) or "",
        raw=raw,
        stamp=fields.text(told.get("timestamp")),
        job_id=fields.to_id(details.get("job-id")),
        message=fields.text(details.get("message")),
        details=None if exact in {b"", b"null"} else exact,
    )


def _children(status: Any) -> tuple[int, ...] | None:
    """A plan's status is a map whose keys are the jobs it started."""
    if not isinstance(status, dict):
        return None
    read = (fields.to_id(key) for key in status)
    return tuple(sorted(number for number in read if number is not None))
