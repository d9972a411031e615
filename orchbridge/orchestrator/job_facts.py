"""Jobs, their events and their nodes: one item's JSON in, one fact out, or an Odd one."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import Job, JobEvent, NodeRow, Odd, StatusItem
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.odd import encoded, suspicious, understood


class _Details(msgspec.Struct, gc=False):
    node: str | None = None
    detail: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct, gc=False):
    id: int
    type: str
    timestamp: str | None = None
    details: _Details | None = None
    message: str | None = None


class _Node(msgspec.Struct, gc=False):
    name: str
    state: str


_EVENT = msgspec.json.Decoder(_Event, strict=False)  # not strict: ids are strings here, numbers elsewhere
_NODE = msgspec.json.Decoder(_Node)


def job(item: bytes | msgspec.Raw) -> Job | Odd:
    """Read one job, from the list or its own page."""
    raw = bytes(item)
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    number = fields.own_id(told)
    if number is None:
        return Odd(raw, "a job without a usable id")
    options = fields.mapping(told.get("options"))
    return Job(
        id=number,
        state=fields.word(told.get("state")),
        raw=raw,
        type=fields.text(told.get("type")),
        command=fields.text(told.get("command")),
        created=fields.created(told),
        finished=fields.text(told.get("finished_timestamp")),
        stamp=fields.text(told.get("timestamp")),
        duration=fields.seconds(told.get("duration")),
        node_count=fields.count(told.get("node_count")),
        node_states=fields.counts(told.get("node_states")),
        task=fields.text(options.get("task")),
        target=fields.text(options.get("target")),
        environment=fields.environment(told),
        description=fields.text(options.get("description")) or fields.text(told.get("description")),
        noop=fields.flag(options.get("noop")),
        plan_id=fields.to_id(options.get("plan_job")),
        scheduled_id=fields.scheduled_id(options),
        owner=fields.owner(told.get("owner")),
        sensitive=fields.names(options.get("sensitive")),
        status=_status(told.get("status")),
    )


def job_event(item: bytes | msgspec.Raw) -> JobEvent | Odd:
    """Read one event of a job. The first lines are the hot path of the whole bridge."""
    raw = bytes(item)
    try:
        event = _EVENT.decode(item)
    except (ValueError, RecursionError):
        return _unusual_event(raw)
    if suspicious(raw):
        told = understood(raw)
        if isinstance(told, Odd):
            return told
    if not 0 <= event.id <= fields.ID_MAX:
        return Odd(raw, "an event without a usable id")
    details = event.details
    if details is None:
        return JobEvent(event.id, event.type, raw, event.timestamp, None, None, event.message)
    detail = bytes(details.detail)
    if detail == b"null":
        return JobEvent(event.id, event.type, raw, event.timestamp, details.node, None, event.message)
    return JobEvent(event.id, event.type, raw, event.timestamp, details.node, detail, event.message)


def node_row(item: bytes | msgspec.Raw) -> NodeRow | Odd:
    """Read one node's place in a job."""
    try:
        node = _NODE.decode(item)
    except (ValueError, RecursionError):
        told = understood(bytes(item))
        return told if isinstance(told, Odd) else node_row_of(told)
    return NodeRow(node.name, node.state) if node.name else Odd(bytes(item), "a node without a name")


def node_row_of(told: dict[str, Any]) -> NodeRow | Odd:
    """Read one node from its decoded object."""
    name = fields.text(told.get("name"))
    if name is None:
        return Odd(encoded(told), "a node without a name")
    return NodeRow(name, fields.text(told.get("state")) or "")


def _unusual_event(raw: bytes) -> JobEvent | Odd:
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    number = fields.to_id(told.get("id"))
    if number is None:
        return Odd(raw, "an event without a usable id")
    details = fields.mapping(told.get("details"))
    detail = details.get("detail")
    return JobEvent(
        id=number,
        type=fields.text(told.get("type")) or "",
        raw=raw,
        stamp=fields.text(told.get("timestamp")),
        node=fields.text(details.get("node")),
        detail=None if detail is None else encoded(detail),
        message=fields.text(told.get("message")),
    )


def _status(value: Any) -> tuple[StatusItem, ...] | None:
    if not isinstance(value, list):
        return None
    told = [fields.mapping(item) for item in value]
    return tuple(
        StatusItem(state, fields.text(item.get("enter_time")), fields.text(item.get("exit_time")))
        for item in told
        if (state := fields.word(item.get("state")))
    )
