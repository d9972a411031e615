"""Scheduled jobs, of the API since 2021.7.0 and the one before: one item's JSON in, one fact out, or an Odd one."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import LastRun, Odd, Schedule
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.odd import understood

_PARTS = ("type", "environment", "description", "input", "userdata", "schedule")
_OLD_PARTS = ("type", "environment", "description", "task", "plan", "scope", "noop")  # its time moves with every run
_SORTED = msgspec.json.Encoder(order="sorted", decimal_format="number")


def schedule(item: bytes | msgspec.Raw) -> Schedule | Odd:
    """Read one scheduled job; one sample of the manual has name and id swapped, and one misspells a key."""
    raw = bytes(item)
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    number = fields.own_id(told)
    if number is None:
        return Odd(raw, "a scheduled job without a usable id")
    what, plan = fields.mapping(told.get("input")), fields.mapping(told.get("schedule"))
    old = "input" not in told and "schedule" not in told
    next_run = fields.mapping(told.get("next_run"))
    environment = fields.text(told.get("environment")) or fields.text(told.get("enviroment"))
    return Schedule(
        id=number,
        raw=raw,
        type=fields.text(told.get("type")),
        name=fields.text(what.get("name")) or fields.text(told.get("task")) or fields.text(told.get("plan")),
        environment=environment or fields.text(what.get("environment")),
        description=fields.text(told.get("description")),
        enabled=fields.flag(told.get("enabled")) is not False,
        begins=fields.text(plan.get("start_time")) or fields.text(told.get("scheduled_time")),
        interval_s=_interval(plan),
        planned=fields.text(told.get("scheduled_time")) if old else fields.text(next_run.get("time")),
        last=_last(told.get("last_run")),
        runs_told=not old,
        owner=fields.owner(told.get("owner")),
        sensitive=fields.names(what.get("sensitive_parameters")),
        parts={name: _SORTED.encode(told[name]) for name in (_OLD_PARTS if old else _PARTS) if name in told},
    )


def _interval(plan: dict[str, Any]) -> float | None:
    interval = fields.mapping(plan.get("interval"))
    return fields.seconds(interval.get("value")) if interval.get("units", "seconds") == "seconds" else None


def _last(value: Any) -> LastRun | None:
    """Read the last run; its job's name is a number where every other name is a string."""
    if not isinstance(value, dict):
        return None
    started = fields.mapping(value.get("job"))
    error, url = started.get("submission_error"), fields.text(started.get("id")) or ""
    failed = error is not None and error != {}
    number = None if failed else fields.own_id(started)
    kind = None if number is None else "plan" if "/plan_jobs/" in url else "job"
    return LastRun(fields.text(value.get("time")), kind, number, _SORTED.encode(error) if failed else None)
