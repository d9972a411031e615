"""Two scheduled jobs, so that the scheduling routes have something to show (reference 10)."""

from __future__ import annotations

from typing import Any

from orchbridge.sim.answers import Ask
from orchbridge.sim.catalogue import OWNERS

WEEK_S = 604_800


def scheduled_jobs(ask: Ask) -> list[dict[str, Any]]:
    """Return them as the newer API shows them, by ascending id."""
    text = ask.world.course.text
    weekly: dict[str, Any] = {
        "environment": "production",
        "description": "weekly",
        "type": "plan",
        "input": {"name": "patching::weekly", "parameters": {"group": "web"}, "sensitive_parameters": []},
        "schedule": {"start_time": text(-86_400.0), "interval": {"units": "seconds", "value": WEEK_S}},
        "next_run": {"time": text(WEEK_S - 86_400.0)},
        "last_run": {"time": text(-86_400.0), "job": {"id": ask.url("plan_jobs", 1), "name": 1}},
    }
    once: dict[str, Any] = {
        "environment": "staging",
        "description": "",
        "type": "deploy",
        "input": {"scope": {"nodes": ["web01.example.com"]}, "noop": True},
        "schedule": {"start_time": text(3600.0), "interval": None},
        "next_run": {"time": text(3600.0)},
        "last_run": None,
    }
    whole: list[dict[str, Any]] = []
    for number, (schedule, owner) in enumerate(((weekly, OWNERS[0]), (once, OWNERS[1])), 31):
        url = ask.url("scheduled_jobs", "environment_jobs", number)
        whole.append({"id": url, "name": str(number), "owner": owner, "userdata": {}, **schedule})
    return whole
