"""How many nodes there were each day, and what was done to them (reference 11)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from orchbridge.sim import releases
from orchbridge.sim.answers import Answer, Ask, Problem, Route, invalid, params, reply
from orchbridge.sim.moments import chance
from orchbridge.sim.rows import Job

DAYS = 30  # where nobody says from when on


def usage(ask: Ask) -> Answer:
    """GET /usage: newest day first."""
    told = ask.query.get("events", "include")
    if told not in {"include", "exclude"}:
        return invalid(f"events must be include or exclude, not {told!r}")
    days = {name: _day(name, ask.query[name]) for name in ("start_date", "end_date") if name in ask.query}
    for day in days.values():
        if isinstance(day, Problem):
            return day
    today = _date(ask, ask.now)
    end = min(days.get("end_date", today), today)
    earliest = date.fromordinal(max(1, end.toordinal() - DAYS + 1))
    begin = days.get("start_date", earliest)
    if begin > days.get("end_date", begin):
        return invalid("end_date is before start_date")
    events = told == "include" and ask.knobs.has(releases.USAGE_EVENTS)
    span = range((end - begin).days + 1)
    items = [_item(ask, end - timedelta(days=back), events=events) for back in span if back < 10 * 366]
    return reply({"items": items, "pagination": {name: day.isoformat() for name, day in days.items()}})


def _day(name: str, text: str) -> Any:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else _unreadable(name)
    except ValueError:
        return _unreadable(name)


def _unreadable(name: str) -> Problem:
    return invalid(f"{name} must be a day written as YYYY-MM-DD")


def _date(ask: Ask, at: float) -> date:
    return datetime.fromtimestamp(ask.world.start + at, UTC).date()


def _item(ask: Ask, day: date, *, events: bool) -> dict[str, Any]:
    agents = [agent for agent in ask.world.agents.values() if _date(ask, agent.since) <= day]
    fields: dict[str, Any] = {
        "date": day.isoformat(),
        "total_nodes": len(agents),
        "nodes_with_agent": len(agents),
        "nodes_without_agent": 0,
    }
    if not events:
        return fields
    jobs = [job for job in ask.world.jobs.values() if _date(ask, job.created) == day]
    luck = int(4 * len(agents) * chance(ask.world.seed, "usage", day))
    return fields | {
        "corrective_agent_changes": luck // 5,
        "intentional_agent_changes": luck,
        "nodes_affected_by_task_runs": len(_nodes(job for job in jobs if job.type == "task")),
        "nodes_affected_by_plan_runs": len(_nodes(job for job in jobs if job.plan is not None)),
    }


def _nodes(jobs: Any) -> set[str]:
    ran: set[str] = set()
    for job in jobs:
        assert isinstance(job, Job)
        ran.update(name for name, node in job.rows.items() if node.started is not None)
    return ran


PARAMS = {**params("start_date", "end_date"), **params("events", since=releases.USAGE_EVENTS)}
ROUTES = (Route("GET", "usage", usage, PARAMS, releases.USAGE),)
