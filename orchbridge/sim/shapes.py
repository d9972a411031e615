"""Rows as JSON: the fields that each release showed, spelled as the knobs want them (reference 6, 7, 9, 17)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orchbridge.sim import releases
from orchbridge.sim.answers import Ask
from orchbridge.sim.rows import Agent, Job, JobNode, Plan, Stretch

_BEFORE_STOPPING = {"stopping": "running", "stopped": "failed"}


def job(ask: Ask, row: Job, *, whole: bool) -> dict[str, Any]:
    """Return a job as the list shows it, or (`whole`) as its own page does, with its status list."""
    knobs, text = ask.knobs, ask.world.course.text
    fields: dict[str, Any] = {"id": ask.url("jobs", row.id), "name": str(row.id), "state": _state(ask, row.state)}
    if knobs.has(releases.JOB_WORDS):
        fields["command"] = row.type
    if knobs.has(releases.JOB_TYPES):
        fields["type"] = row.type
    if knobs.has(releases.JOB_TIMES):
        fields.update(times(ask, row))
    fields["timestamp"] = text(row.stamp)
    if knobs.has(releases.SCOPE):
        fields["node_count"] = sum(row.counts.values())
    if knobs.has(releases.JOB_WORDS):
        fields["node_states"] = row.counts or None
    fields["options"] = _options(ask, row)
    fields["owner"] = owner(ask, row)
    if knobs.has(releases.JOB_WORDS):
        fields["description"] = row.description
    fields["environment"] = {"name": row.environment}
    for name in ("nodes", "report", "events"):
        fields[name] = {"id": ask.url("jobs", row.id, name)}
    if knobs.has(releases.USERDATA):
        fields["userdata"] = row.userdata
    if whole:
        fields["status"] = status(ask, row.status)
    return fields


def _options(ask: Ask, row: Job) -> Mapping[str, Any]:
    untold = set()
    if not ask.knobs.has(releases.SCOPE):
        untold.add("scope")
    if not ask.knobs.has(releases.JOB_WORDS):
        untold.add("description")
    return {name: value for name, value in row.options.items() if name not in untold} if untold else row.options


def job_in_list(ask: Ask, row: Job) -> bytes:
    """Return a job's JSON for the list; that of a finished job is made once."""
    if row.finished is None or ask.knobs.owner == "changing":
        return msgspec.json.encode(job(ask, row, whole=False))
    key = (ask.base, ask.knobs, ask.world.people.changes)
    if row.cached is None or row.cached[0] != key:
        row.cached = key, msgspec.json.encode(job(ask, row, whole=False))
    return row.cached[1]


def times(ask: Ask, row: Job | Plan) -> dict[str, Any]:
    """Return created, finished and duration, as the knobs spell them."""
    knobs, text = ask.knobs, ask.world.course.text
    keys = ("created_timestamp", "started_timestamp") if knobs.timestamps_key == "both" else (knobs.timestamps_key,)
    fields: dict[str, Any] = {key: text(row.created) for key in keys}
    if row.finished is not None:
        fields["finished_timestamp"] = text(row.finished)
    elif knobs.finished_when_running == "null":
        fields["finished_timestamp"] = None
    fields["duration"] = duration(ask, row.created, row.finished)
    return fields


def duration(ask: Ask, begin: float, end: float | None) -> float | str:
    """Return the seconds between, up to now where it has not ended; with milliseconds."""
    seconds = round((ask.now if end is None else end) - begin, 3)
    return str(seconds) if ask.knobs.duration_type == "string" else seconds


def owner(ask: Ask, row: Job | Plan) -> dict[str, Any]:
    """Return who started it."""
    if ask.knobs.owner == "id+login" or not ask.knobs.has(releases.JOB_WORDS):
        return {"id": row.owner["id"], "login": row.owner["login"]}
    if ask.knobs.owner == "changing":
        return {**row.owner, "last_login": ask.world.course.text_ms(ask.now)}
    return dict(row.owner)


def status(ask: Ask, stretches: list[Stretch]) -> list[dict[str, Any]]:
    """Return a job's states in order; the last one is not left yet."""
    text = ask.world.course.text
    return [
        {
            "state": _state(ask, stretch.state),
            "enter_time": text(stretch.entered),
            "exit_time": None if stretch.left is None else text(stretch.left),
        }
        for stretch in stretches
    ]


def _state(ask: Ask, state: str) -> str:
    return state if ask.knobs.has(releases.STOPPING) else _BEFORE_STOPPING.get(state, state)


def node(ask: Ask, row: JobNode) -> dict[str, Any]:
    """Return one node's part in a job."""
    text, odd = ask.world.course.text, ask.knobs.doses("nodes")
    fields: dict[str, Any] = {"name": row.name, "state": row.state}
    stamp = None if row.touched is None else text(row.touched)
    details = dict(row.details)
    if row.state == "running" and row.started is not None:
        details["run-time"] = int(ask.now - row.started)
    if not ask.knobs.has(releases.NODE_TIMES):
        return {**fields, "timestamp": stamp, "transaction_uuid": None, "details": details}
    if ask.knobs.has(releases.TRANSPORT):
        fields["transport"] = "pcp"
    started, ended = row.started, row.ended
    fields["start_timestamp"] = None if started is None else text(started)
    fields["finish_timestamp"] = None if ended is None or started is None else text(ended)
    fields["duration"] = None if started is None else duration(ask, started, ended)
    fields |= {"timestamp": stamp, "transaction_uuid": None}
    if row.event_ids and "no-latest-event-id" not in odd:
        fields["latest-event-id"] = row.event_ids[-1]
    fields["details"] = details
    if ended is not None:
        fields["result"] = row.result
    return fields


def plan(ask: Ask, row: Plan, *, whole: bool, results: bool = True) -> dict[str, Any]:
    """Return a plan job as the list shows it, or (`whole`) as its own page does, with its child jobs."""
    knobs, text = ask.knobs, ask.world.course.text
    fields: dict[str, Any] = {
        "id": ask.url("plan_jobs", row.id),
        "name": str(row.id),
        "state": row.state if row.state != "pending" or knobs.has(releases.PENDING) else "running",
        "options": _plan_options(ask, row),
    }
    if results:
        fields["result"] = row.result
    fields["owner"] = owner(ask, row)
    stamps = times(ask, row)
    if not knobs.has(releases.JOB_TIMES):
        del stamps["duration"]
    fields |= stamps
    if whole or knobs.has(releases.PLAN_ORDER):
        fields["timestamp"] = text(row.stamp)
    if whole:
        fields["status"] = {str(child.id): status(ask, child.status) for child in ask.world.children(row)}
    if knobs.has(releases.PLAN_EVENTS):
        fields["events"] = {"id": ask.url("plan_jobs", row.id, "events")}
    if knobs.has(releases.USERDATA):
        fields["userdata"] = row.userdata
    return fields


def _plan_options(ask: Ask, row: Plan) -> Mapping[str, Any]:
    """Return a plan's options. What releases before PLAN_OPTIONS did with sensitive values is not known: none is
    shown."""
    if ask.knobs.has(releases.PLAN_OPTIONS):
        return row.options
    return {name: value for name, value in row.options.items() if name not in {"environment", "sensitive"}}


def connection(ask: Ask, name: str, agent: Agent | None) -> dict[str, Any]:
    """Return one node's session with a broker."""
    odd = ask.knobs.doses("inventory")
    stale = odd["stale-true"].amount if "stale-true" in odd else 0.0
    if agent is not None and (agent.connected or (agent.left is not None and ask.now < agent.left + stale)):
        stamp = ask.world.course.text_ms(agent.since)
        if "malformed-timestamp" in odd:
            stamp = f"{stamp[:5]}0{stamp[5:]}"  # 2025-003-09T..., as some documents print it
        return {"name": name, "connected": True, "broker": agent.broker, "timestamp": stamp}
    blank = {"broker": "", "timestamp": ""} if "blank" in odd else {}
    return {"name": name, "connected": False, **blank}
