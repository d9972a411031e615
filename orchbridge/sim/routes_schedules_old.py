"""Scheduled jobs, the older API and its commands (reference 5, 10)."""

from __future__ import annotations

from typing import Any

from orchbridge.sim import orders, releases, schedules
from orchbridge.sim.answers import (
    Answer,
    Ask,
    Problem,
    Reply,
    Route,
    integer,
    invalid,
    missing,
    not_found,
    reply,
    typed,
)
from orchbridge.sim.listing import page_of
from orchbridge.sim.people import VIEW_JOBS
from orchbridge.sim.routes_schedules import ORDERS, PARAMS, interval_of, mode, moment, not_yours, written
from orchbridge.sim.schedules import TYPES, Schedule

SCHEDULED = {"scheduled_time": str, "schedule_options": dict}


def several(ask: Ask) -> Answer:
    """GET /scheduled_jobs: an empty list does not prove that there are no schedules."""
    match mode(ask):
        case "new":
            return not_found()
        case "old-empty":
            return reply({"items": []})
    page = page_of(ask, tuple(ORDERS), by="name", order="asc", limit=20)
    if isinstance(page, Problem):
        return Problem(400, "query-error", page.msg)
    kind = ask.query.get("type")
    if kind is not None and kind not in TYPES:
        return Problem(400, "query-error", f"type must be one of {', '.join(TYPES)}, not {kind!r}")
    waiting = [row for row in ask.world.schedules.values() if row.enabled and row.next_run is not None]
    rows = sorted((row for row in waiting if kind in {None, row.type}), key=ORDERS[page.order_by])
    echo = {"limit": page.limit, "offset": page.offset, "order": page.order, "order_by": page.order_by}
    items = [_shape(ask, row) for row in page.cut(rows)]
    return reply({"items": items, "pagination": {**echo, "total": len(rows)}})


def _shape(ask: Ask, row: Schedule) -> dict[str, Any]:
    assert row.next_run is not None
    fields = {
        "id": ask.url("scheduled_jobs", row.id),
        "name": str(row.id),
        "type": row.type,
        "scope": row.input.get("scope", {}),
        "environment": row.environment,
        "owner": ask.world.people.owner(row.owner),
        "description": row.description,
        "scheduled_time": ask.world.course.text(row.next_run),
    }
    if row.type == "task":
        fields["task"] = row.input["name"]
    return fields | ({"noop": row.input["noop"]} if "noop" in row.input else {})


def delete(ask: Ask) -> Answer:
    """DELETE /scheduled_jobs/:id: without effect where the API only seems to be there."""
    match mode(ask):
        case "new":
            return not_found()
        case "old-empty":
            return Reply(b"", 204)
    number = integer("scheduled job id", ask.path["id"])
    if isinstance(number, Problem):
        return number
    found = ask.world.schedules.get(number)
    if found is None or not found.enabled:
        return missing("scheduled-job", str(number))
    problem = not_yours(ask, found)
    if problem is not None:
        return problem
    schedules.change(ask.world, found, {"enabled": False}, ask.now)
    return Reply(b"", 204)


def schedule_deploy(ask: Ask) -> Answer:
    """POST /command/schedule_deploy: answers with `job`, though it is none."""
    keys = orders.DEPLOY.keys() - {"environment", "description", "userdata"}
    flags = {key: value for key, value in _fields(ask).items() if key in keys}
    return _scheduled(ask, "deploy", flags, key="job")


def schedule_task(ask: Ask) -> Answer:
    """POST /command/schedule_task"""
    return _scheduled(ask, "task", _named(ask, "task", "scope", "targets", "noop"))


def schedule_plan(ask: Ask) -> Answer:
    """POST /command/schedule_plan"""
    return _scheduled(ask, "plan", _named(ask, "plan_name"))


def _fields(ask: Ask) -> dict[str, Any]:
    return ask.body if isinstance(ask.body, dict) else {}


def _named(ask: Ask, name: str, *more: str) -> dict[str, Any]:
    body = _fields(ask)
    params = body.get("params") if isinstance(body.get("params"), dict) else {}
    wrapped = {key: {"value": value} for key, value in (params or {}).items()}
    return {"name": body.get(name), "parameters": wrapped, **{key: body[key] for key in more if key in body}}


def _scheduled(ask: Ask, kind: str, put: dict[str, Any], key: str = "scheduled_job") -> Answer:
    known = {"deploy": orders.DEPLOY, "task": orders.TASK, "plan": orders.PLAN}[kind]
    problem = typed(ask.body, {**known, **SCHEDULED})
    if problem is not None:
        return problem
    if not ask.body.get("scheduled_time"):
        return invalid("scheduled_time must be given")
    start = moment(ask, ask.body["scheduled_time"])
    if isinstance(start, Problem):
        return start
    interval = interval_of((ask.body.get("schedule_options") or {}).get("interval"))
    if isinstance(interval, Problem):
        return interval
    schedule = Schedule(
        0,
        kind,
        put,
        ask.body.get("environment") or "production",
        ask.user.login,
        start,
        interval,
        description=ask.body.get("description") or "",
        userdata=ask.body.get("userdata") or {},
    )
    return written(ask, schedule, key, 202)


ROUTES = (
    Route("GET", "scheduled_jobs", several, PARAMS, releases.SCHEDULES, right=VIEW_JOBS),
    Route("DELETE", "scheduled_jobs/{id}", delete, since=releases.SCHEDULES, lasting=True),
    Route("POST", "command/schedule_task", schedule_task, since=releases.SCHEDULES, lasting=True),
    Route("POST", "command/schedule_deploy", schedule_deploy, since=releases.SCHEDULE_DEPLOY, lasting=True),
    Route("POST", "command/schedule_plan", schedule_plan, since=releases.SCHEDULE_PLAN, lasting=True),
)
