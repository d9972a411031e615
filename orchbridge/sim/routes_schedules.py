"""Scheduled jobs: the newer API, the older one, or the older one that has fallen silent (reference 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchbridge.sim.answers import Answer, Ask, Problem, Route, not_found, reply
from orchbridge.sim.listing import page_of
from orchbridge.sim.schedules import scheduled_jobs

PARAMS = ("limit", "offset", "order_by", "order", "type")
ORDERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "next_run_time": lambda row: row["next_run"]["time"],
    "environment": lambda row: row["environment"],
    "owner": lambda row: row["owner"]["login"],
    "name": lambda row: row["name"],
    "type": lambda row: row["type"],
}


def several(ask: Ask) -> Answer:
    """GET /scheduled_jobs/environment_jobs"""
    if ask.knobs.scheduled != "new":
        return not_found()
    page = page_of(ask, tuple(ORDERS), by="next_run_time", order="asc", limit=20)
    if isinstance(page, Problem):
        return Problem(400, "query-error", page.msg)
    rows = [row for row in scheduled_jobs(ask) if ask.query.get("type", row["type"]) == row["type"]]
    rows.sort(key=ORDERS[page.order_by])
    echo = {"limit": page.limit, "offset": page.offset, "order": page.order, "order_by": page.order_by}
    return reply({"items": page.cut(rows), "pagination": {**echo, "total": len(rows)}})


def one(ask: Ask) -> Answer:
    """GET /scheduled_jobs/environment_jobs/:id"""
    if ask.knobs.scheduled != "new":
        return not_found()
    found = next((row for row in scheduled_jobs(ask) if row["name"] == ask.path["id"]), None)
    return reply(found) if found else Problem(400, "query-error", f"No scheduled job {ask.path['id']}")


def several_old(ask: Ask) -> Answer:
    """GET /scheduled_jobs: an empty list does not prove that there are no schedules."""
    if ask.knobs.scheduled == "new":
        return not_found()
    shown = scheduled_jobs(ask) if ask.knobs.scheduled == "old" else []
    items = [
        {
            "id": ask.url("scheduled_jobs", row["name"]),
            "name": row["name"],
            "type": row["type"],
            "scope": row["input"].get("scope", {}),
            "environment": row["environment"],
            "owner": row["owner"],
            "description": row["description"],
            "scheduled_time": row["next_run"]["time"],
        }
        for row in shown
    ]
    return reply({"items": items})


ROUTES = (
    Route("GET", "scheduled_jobs/environment_jobs", several, PARAMS, since="2021.7.1"),
    Route("GET", "scheduled_jobs/environment_jobs/{id}", one, since="2021.7.1"),
    Route("GET", "scheduled_jobs", several_old, PARAMS, since="2018.1"),
)
