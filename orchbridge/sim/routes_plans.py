"""Plan jobs and their events; the plans there are (reference 7, 8)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from orchbridge.sim import releases, shapes
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, integer, invalid, missing, params, reply
from orchbridge.sim.catalogue import CODE_ID, PLANS
from orchbridge.sim.listing import envelope, events_of, finished_between, page_of
from orchbridge.sim.orders import environment_problem, may_run_plan
from orchbridge.sim.people import VIEW_JOBS
from orchbridge.sim.rows import Plan

DEFAULT_LIMIT = 20
ORDERS: dict[str, Callable[[Plan], Any]] = {
    "name": lambda plan: plan.id,
    "timestamp": lambda plan: (int(plan.stamp), plan.id),
    "owner": lambda plan: (plan.owner["login"], plan.id),
    "environment": lambda plan: (plan.options["environment"], plan.id),
    "state": lambda plan: (plan.state, plan.id),
}


def find(ask: Ask) -> Plan | Problem:
    """Return the plan job the path names, or why not (its kind is unknown-job too)."""
    number = integer("plan job id", ask.path["id"])
    if isinstance(number, Problem):
        return number
    return ask.world.plan(number, ask.now) or missing("job", str(number), job=str(number))


def plan_jobs(ask: Ask) -> Answer:
    """GET /plan_jobs: newest first before it could be ordered."""
    by, order = ("timestamp", "asc") if ask.knobs.has(releases.PLAN_ORDER) else ("name", "desc")
    if ask.knobs.default_order == "desc-name":
        by, order = "name", "desc"
    page = page_of(ask, tuple(ORDERS), by=by, order=order, limit=DEFAULT_LIMIT)
    if isinstance(page, Problem):
        return page
    results = ask.query.get("results", "include")
    if results not in {"include", "exclude"}:
        return invalid(f"results must be include or exclude, not {results!r}")
    rows = finished_between(ask, ask.world.seen_plans(ask.now))
    if isinstance(rows, Problem):
        return rows
    if page.order_by != "name":
        rows = sorted(rows, key=ORDERS[page.order_by])
    items = [shapes.plan(ask, row, whole=False, results=results == "include") for row in page.cut(rows)]
    return envelope(ask, msgspec.json.encode(items)[1:-1], page, len(rows))


def plan_job(ask: Ask) -> Answer:
    """GET /plan_jobs/:id"""
    row = find(ask)
    return row if isinstance(row, Problem) else reply(shapes.plan(ask, row, whole=True))


def events(ask: Ask) -> Answer:
    """GET /plan_jobs/:id/events"""
    row = find(ask)
    return row if isinstance(row, Problem) else events_of(ask, row, ask.url("plan_jobs", row.id, "events"))


def event(ask: Ask) -> Answer:
    """GET /plan_jobs/:id/event/:event-id: one event with its whole text."""
    row = find(ask)
    if isinstance(row, Problem):
        return row
    number = integer("event id", ask.path["event"])
    if isinstance(number, Problem):
        return number
    found = ask.world.plan_event(row, number, ask.now)
    if found is None:
        return Problem(404, "mismatched-job-event-id", f"Event {number} is not of plan job {row.id}")
    return Reply(found)


def environment_of(ask: Ask) -> str | Problem:
    """Return the environment asked about, or why not."""
    name = ask.query.get("environment", "production")
    if not re.fullmatch(r"\w+", name, re.ASCII):
        return invalid(f"{name!r} cannot be an environment")
    return environment_problem(ask.world, name) or name


def named(*words: str) -> bool:
    """Whether these can be names in Puppet's language."""
    return all(re.fullmatch(r"[a-z][a-z0-9_]*", word) for word in words)


def envelope_of(environment: str) -> dict[str, Any]:
    """Return the environment object of task and plan answers."""
    return {"name": environment, "code_id": CODE_ID.format(environment=environment)}


def plans(ask: Ask) -> Answer:
    """GET /plans"""
    environment = environment_of(ask)
    if isinstance(environment, Problem):
        return environment
    items = [_plan(ask, name) for name in PLANS]
    return reply({"environment": envelope_of(environment), "items": items})


def plan_metadata(ask: Ask) -> Answer:
    """GET /plans/:module/:plan"""
    environment = environment_of(ask)
    if isinstance(environment, Problem):
        return environment
    name = f"{ask.path['module']}::{ask.path['plan']}"
    if not named(ask.path["module"], ask.path["plan"]):
        return invalid(f"{name} cannot be the name of a plan")
    if name not in PLANS:
        return missing("plan", name, environment=environment)
    return reply({**_plan(ask, name), "environment": envelope_of(environment), "metadata": PLANS[name]})


def _plan(ask: Ask, name: str) -> dict[str, Any]:
    return {"id": ask.url("plans", *name.split("::")), "name": name, "permitted": may_run_plan(ask.by, name)}


LISTED = {
    **params("limit", "offset"),
    **params("order_by", "order", since=releases.PLAN_ORDER),
    **params("results", since=releases.PLAN_RESULTS),
    **params("min_finish_timestamp", "max_finish_timestamp", since=releases.TIME_FILTERS),
}

ROUTES = (
    Route("GET", "plan_jobs", plan_jobs, LISTED, releases.PLAN_JOBS, right=VIEW_JOBS),
    Route("GET", "plan_jobs/{id}", plan_job, since=releases.PLAN_JOBS, right=VIEW_JOBS),
    Route("GET", "plan_jobs/{id}/events", events, params("start"), releases.PLAN_EVENTS, right=VIEW_JOBS),
    Route("GET", "plan_jobs/{id}/event/{event}", event, since=releases.PLAN_EVENT, right=VIEW_JOBS),
    Route("GET", "plans", plans, params("environment"), releases.PLANS),
    Route("GET", "plans/{module}/{plan}", plan_metadata, params("environment"), releases.PLANS),
)
