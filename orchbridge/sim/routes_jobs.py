"""Jobs, their nodes, reports and events (reference 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchbridge.sim import releases, shapes
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, integer, invalid, missing, params, reply
from orchbridge.sim.listing import envelope, events_of, finished_between, next_link, page_of
from orchbridge.sim.people import VIEW_JOBS
from orchbridge.sim.rows import Job, JobNode

DEFAULT_LIMIT = 20
JOB_ORDERS: dict[str, Callable[[Job], Any]] = {
    "name": lambda job: job.id,
    "timestamp": lambda job: (int(job.stamp), job.id),
    "owner": lambda job: (job.owner["login"], job.id),
    "environment": lambda job: (job.environment, job.id),
    "state": lambda job: (job.state, job.id),
}
NODE_ORDERS: dict[str, Callable[[JobNode], Any]] = {
    "name": lambda node: node.name,
    "state": lambda node: (node.state, node.name),
    "start_timestamp": lambda node: (node.started is None, node.started, node.name),
    "finish_timestamp": lambda node: (node.ended is None, node.ended, node.name),
    "duration": lambda node: (node.started is None, (node.ended or 0.0) - (node.started or 0.0), node.name),
}
NODE_STATES = ("new", "ready", "running", "stopping", "stopped", "finished", "failed", "errored", "skipped")


def find(ask: Ask) -> Job | Problem:
    """Return the job the path names, or why not."""
    number = integer("job id", ask.path["id"])
    if isinstance(number, Problem):
        return number
    if number in {int(dose.amount) for dose in ask.knobs.all_doses("forbidden") if dose.form == "job"}:
        return Problem(403, "not-permitted", f"You are not permitted to view job {number}")
    return ask.world.job(number, ask.now) or missing("job", str(number), job=str(number))


def jobs(ask: Ask) -> Answer:
    """GET /jobs"""
    if not ask.knobs.has(releases.PAGES):
        return _newest(ask)
    by, order = ("name", "desc") if ask.knobs.default_order == "desc-name" else ("timestamp", "asc")
    page = page_of(ask, tuple(JOB_ORDERS), by=by, order=order, limit=DEFAULT_LIMIT)
    if isinstance(page, Problem):
        return page
    rows = _filtered(ask, ask.world.seen_jobs(ask.now))
    if isinstance(rows, Problem):
        return rows
    if page.order_by != "name":
        rows = sorted(rows, key=JOB_ORDERS[page.order_by])
    items = b",".join(shapes.job_in_list(ask, job) for job in page.cut(rows))
    type_ = ask.query.get("type", "") if ask.knobs.has(releases.JOB_TYPES) else None
    return envelope(ask, items, page, len(rows), type_)


def _newest(ask: Ask) -> Answer:
    """The list before 2017.3: the newest jobs, `limit` of them, no pagination."""
    limit = integer("limit", ask.query.get("limit", str(DEFAULT_LIMIT)))
    if isinstance(limit, Problem):
        return limit
    newest = ask.world.seen_jobs(ask.now)[::-1][:limit]
    return Reply(b'{"items":[' + b",".join(shapes.job_in_list(ask, job) for job in newest) + b"]}")


def _filtered(ask: Ask, rows: list[Job]) -> list[Job] | Problem:
    query = ask.query
    if query.get("type", "") not in {"", "deploy", "task", "plan_task"}:
        return invalid(f"type must be deploy, task or plan_task, not {query['type']!r}")
    if "task" in query and query.get("type") == "deploy":
        return invalid("task cannot be combined with type=deploy")
    if query.get("type"):
        rows = [job for job in rows if job.type == query["type"]]
    if "task" in query:
        rows = [job for job in rows if query["task"] in job.options.get("task", "")]
    return finished_between(ask, rows)


def job(ask: Ask) -> Answer:
    """GET /jobs/:id"""
    row = find(ask)
    return row if isinstance(row, Problem) else reply(shapes.job(ask, row, whole=True))


def nodes(ask: Ask) -> Answer:
    """GET /jobs/:id/nodes: no pagination object, so a client pages until a short page."""
    row = find(ask)
    if isinstance(row, Problem):
        return row
    rows: list[JobNode] = list(row.rows.values())
    if not ask.knobs.has(releases.PAGES):
        return reply({"items": [shapes.node(ask, node) for node in rows]})
    page = page_of(ask, tuple(NODE_ORDERS), by="name", order="asc", limit=None)
    if isinstance(page, Problem):
        return page
    newest = max((node.event_ids[-1] for node in rows if node.event_ids), default=0)
    if "state" in ask.query:
        if ask.query["state"] not in NODE_STATES:
            return invalid(f"state must be one of {', '.join(NODE_STATES)}")
        rows = [node for node in rows if node.state == ask.query["state"]]
    rows.sort(key=NODE_ORDERS[page.order_by])
    items = [shapes.node(ask, node) for node in page.cut(rows)]
    return reply({**next_link(ask, _events_url(ask, row), newest + 1), "items": items})


def report(ask: Ask) -> Answer:
    """GET /jobs/:id/report"""
    row = find(ask)
    if isinstance(row, Problem):
        return row
    text = ask.world.course.text
    items = [
        {
            "node": node.name,
            "state": node.state,
            "timestamp": text(row.created if node.touched is None else node.touched),
            "events": node.event_ids,
        }
        for node in row.rows.values()
    ]
    return reply({"items": items})


def events(ask: Ask) -> Answer:
    """GET /jobs/:id/events"""
    row = find(ask)
    return row if isinstance(row, Problem) else events_of(ask, row, _events_url(ask, row))


def _events_url(ask: Ask, row: Job) -> str:
    return ask.url("jobs", row.id, "events")


JOBS_LISTED = {
    **params("limit"),
    **params("offset", "order_by", "order", since=releases.PAGES),
    **params("type", "task", since=releases.JOB_TYPES),
    **params("min_finish_timestamp", "max_finish_timestamp", since=releases.TIME_FILTERS),
}
NODES_LISTED = {
    **params("limit", "offset", since=releases.PAGES),
    **params("order_by", "order", since=releases.NODE_ORDER),
    **params("state", since=releases.NODE_STATES),
}

ROUTES = (
    Route("GET", "jobs/{id}/events", events, params("start"), right=VIEW_JOBS),
    Route("GET", "jobs", jobs, JOBS_LISTED, right=VIEW_JOBS),
    Route("GET", "jobs/{id}", job, right=VIEW_JOBS),
    Route("GET", "jobs/{id}/nodes", nodes, NODES_LISTED, right=VIEW_JOBS),
    Route("GET", "jobs/{id}/report", report, right=VIEW_JOBS),
)
