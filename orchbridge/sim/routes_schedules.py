"""Scheduled jobs, the newer API (reference 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchbridge.sim import releases, schedules
from orchbridge.sim.answers import Answer, Ask, Problem, Route, denied, invalid, not_found, params, reply, typed
from orchbridge.sim.listing import page_of
from orchbridge.sim.orders import environment_problem
from orchbridge.sim.people import OTHERS_SCHEDULES, VIEW_JOBS
from orchbridge.sim.schedules import TYPES, Run, Schedule

PARAMS = params("limit", "offset", "order_by", "order", "type")
NEVER = float("inf")
INTERVAL_MAX = 100 * 366 * 86_400  # no limit is documented
ORDERS: dict[str, Callable[[Schedule], tuple[Any, int]]] = {
    "next_run_time": lambda row: (NEVER if row.next_run is None else row.next_run, row.id),
    "environment": lambda row: (row.environment, row.id),
    "owner": lambda row: (row.owner, row.id),
    "name": lambda row: (row.id, row.id),
    "type": lambda row: (row.type, row.id),
}
KEYS: Mapping[str, type] = {
    **dict.fromkeys(("type", "environment", "description"), str),
    **dict.fromkeys(("input", "schedule", "userdata"), dict),
    "enabled": bool,
}
INPUT: Mapping[str, type] = {"name": str, "parameters": dict, "scope": dict, "targets": list, "noop": bool}


def mode(ask: Ask) -> str:
    """Return which API this server has: new, old, or old-empty beside the new one."""
    if ask.knobs.scheduled != "auto":
        return ask.knobs.scheduled
    return "new" if ask.knobs.has(releases.NEW_SCHEDULES) else "old"


def several(ask: Ask) -> Answer:
    """GET /scheduled_jobs/environment_jobs"""
    if mode(ask) == "old":
        return not_found()
    if not ask.user.may(VIEW_JOBS):
        return _unreadable("You are not permitted to view scheduled jobs")
    page = page_of(ask, tuple(ORDERS), by="next_run_time", order="asc", limit=20)
    if isinstance(page, Problem):
        return _unreadable(page.msg)
    kind = ask.query.get("type")
    if kind is not None and kind not in TYPES:
        return _unreadable(f"type must be one of {', '.join(TYPES)}, not {kind!r}")
    rows = [row for row in ask.world.schedules.values() if row.enabled and kind in {None, row.type}]
    rows.sort(key=ORDERS[page.order_by])
    echo = {"limit": page.limit, "offset": page.offset, "order": page.order, "order_by": page.order_by}
    if kind is not None:
        echo["type"] = kind
    items = [_shape(ask, row) for row in page.cut(rows)]
    return reply({"items": items, "pagination": {**echo, "total": len(rows)}})


def one(ask: Ask) -> Answer:
    """GET /scheduled_jobs/environment_jobs/:id: a disabled one is gone."""
    if not ask.user.may(VIEW_JOBS):
        return _unreadable("You are not permitted to view scheduled jobs")
    found = _find(ask)
    if not isinstance(found, Schedule):
        return found
    return reply(_shape(ask, found)) if found.enabled else _unreadable(f"No scheduled job {found.id}")


def create(ask: Ask) -> Answer:
    """POST /scheduled_jobs/environment_jobs"""
    if mode(ask) == "old":
        return not_found()
    problem = typed(ask.body, KEYS)
    if problem is not None:
        return problem
    body = ask.body
    absent = [key for key in KEYS if key != "enabled" and body.get(key) is None]
    if absent:
        return invalid(f"{', '.join(absent)} must be given")
    if body["type"] not in TYPES:
        return invalid(f"type must be one of {', '.join(TYPES)}")
    if body["type"] == "deploy" and not body["input"].get("scope"):
        return invalid("input must hold a scope")
    times = _times(ask, body["schedule"])
    if isinstance(times, Problem):
        return times
    schedule = Schedule(
        0,
        body["type"],
        body["input"],
        body["environment"],
        ask.user.login,
        description=body["description"],
        userdata=body["userdata"],
        **times,
    )
    return written(ask, schedule)


def written(ask: Ask, schedule: Schedule, key: str = "scheduled_job", status: int = 200) -> Answer:
    """Write a new schedule down, if it could run now; return what the APIs answer."""
    problem = _unfit(ask, schedule)
    if problem is not None:
        return problem
    schedules.create(ask.world, schedule, ask.now)
    return _pointer(ask, schedule, key, status)


def _pointer(ask: Ask, schedule: Schedule, key: str = "scheduled_job", status: int = 200) -> Answer:
    under = () if mode(ask) == "old" else ("environment_jobs",)
    url = ask.url("scheduled_jobs", *under, schedule.id)
    return reply({key: {"id": url, "name": str(schedule.id)}}, status)


def change(ask: Ask) -> Answer:
    """PUT /scheduled_jobs/environment_jobs/:id: each key given replaces the whole; `enabled` false is for ever."""
    found = _find(ask)
    if not isinstance(found, Schedule):
        return found
    problem = typed(ask.body, KEYS) or not_yours(ask, found)
    if problem is not None:
        return problem
    if not found.enabled:
        return Problem(400, "disabled-scheduled-job", f"Scheduled job {found.id} is disabled")
    given = {key: value for key, value in ask.body.items() if value is not None}
    changes = {key: value for key, value in given.items() if key in KEYS and key not in {"type", "schedule"}}
    if found.type == "deploy" and not changes.get("input", found.input).get("scope"):
        return invalid("input must hold a scope")
    if "schedule" in given:
        times = _times(ask, given["schedule"])
        if isinstance(times, Problem):
            return times
        changes |= times
    if changes.get("enabled", True):
        current = {key: getattr(found, key) for key in ("input", "environment", "description", "userdata")}
        kept = {key: changes.get(key, value) for key, value in current.items()}
        problem = _unfit(ask, Schedule(found.id, found.type, owner=found.owner, start=found.start, **kept))
        if problem is not None:
            return problem
    schedules.change(ask.world, found, changes, ask.now)
    return _pointer(ask, found)


def not_yours(ask: Ask, schedule: Schedule) -> Problem | None:
    """Return 403 for another user's schedule, unless the user has the right for that."""
    if schedule.owner == ask.user.login or ask.user.may(OTHERS_SCHEDULES):
        return None
    return denied(f"Scheduled job {schedule.id} belongs to {schedule.owner}")


def _unreadable(msg: str) -> Problem:
    return Problem(400, "query-error", msg)


def _find(ask: Ask) -> Schedule | Answer:
    if mode(ask) == "old":
        return not_found()
    text = ask.path["id"]
    found = ask.world.schedules.get(int(text)) if text.isascii() and text.isdigit() else None
    return found or _unreadable(f"No scheduled job {text}")


def _unfit(ask: Ask, schedule: Schedule) -> Problem | None:
    """Return why a schedule could not run now: then it is not accepted."""
    put, kind = schedule.input, schedule.type
    problem = typed(put, INPUT)
    if problem is not None:
        return problem
    if kind != "deploy" and not (put.get("name") and isinstance(put.get("parameters"), dict)):
        return invalid("input must hold name and parameters")
    if "application" in (put.get("scope") or {}):
        return invalid("An application cannot be scheduled")
    problem = environment_problem(ask.world, schedule.environment) if schedule.environment else None
    drafted = problem or schedules.ordered(ask.by, schedule)
    return drafted if isinstance(drafted, Problem) else None


def _times(ask: Ask, schedule: Mapping[str, Any]) -> dict[str, Any] | Problem:
    start = moment(ask, schedule.get("start_time"))
    if isinstance(start, Problem):
        return start
    interval = interval_of(schedule.get("interval"))
    return interval if isinstance(interval, Problem) else {"start": start, "interval": interval}


def moment(ask: Ask, text: Any) -> float | Problem:
    """Return a future time in world seconds, or what is wrong with it."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return invalid("The time must be written as 2024-03-09T10:15:42Z")
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - ask.world.start
    if seconds > schedules.last_of_time(ask.world):
        return invalid("The time is after the year 9999")
    if seconds <= ask.now:
        return Problem(400, "invalid-time", f"{text} is in the past")
    return seconds


def interval_of(interval: Any) -> int | Problem | None:
    """Return the seconds of an interval, None where there is none, or what is wrong with it."""
    match interval:
        case None:
            return None
        case {"units": "seconds", "value": int(value)} if 0 < value <= INTERVAL_MAX and value is not True:
            return value
    return invalid(f'interval must be {{"units": "seconds", "value": <1 to {INTERVAL_MAX}>}}')


def _shape(ask: Ask, row: Schedule) -> dict[str, Any]:
    text = ask.world.course.text
    interval = None if row.interval is None else {"units": "seconds", "value": row.interval}
    return {
        "id": ask.url("scheduled_jobs", "environment_jobs", row.id),
        "name": str(row.id),
        "environment": row.environment,
        "owner": ask.world.people.owner(row.owner),
        "description": row.description,
        "type": row.type,
        "input": _input(row),
        "userdata": row.userdata,
        "schedule": {"start_time": text(row.start), "interval": interval},
        "next_run": None if row.next_run is None else {"time": text(row.next_run)},
        "last_run": None
        if row.last_run is None
        else {"time": text(row.last_run.at), "job": _last(ask, row.last_run, row)},
    }


def _last(ask: Ask, run: Run, row: Schedule) -> dict[str, Any]:
    if run.problem is not None:
        kind, msg = f"puppetlabs.orchestrator/{run.problem.kind}", run.problem.msg
        error = {"kind": kind, "msg": msg, "details": dict(run.problem.details)}
        return {"submission_error": error, "name": row.id}
    where, number = ("jobs", run.job) if run.job is not None else ("plan_jobs", run.plan)
    return {"id": ask.url(where, number), "name": number}  # a number here, unlike every other name


def _input(row: Schedule) -> dict[str, Any]:
    """Return the input without the values of sensitive parameters and without connection data."""
    shown = {key: value for key, value in row.input.items() if key not in {"parameters", "targets"}}
    if row.type == "deploy":
        return shown
    parameters = row.input["parameters"]
    plain = {
        name: wrapped if "type" in wrapped else wrapped["value"]
        for name, wrapped in parameters.items()
        if name not in row.hidden
    }
    hidden = sorted(row.hidden & parameters.keys())
    name = {"name": row.input["name"]}
    return {**name, "parameters": plain, "sensitive_parameters": hidden, **shown}


ROUTES = (
    Route("GET", "scheduled_jobs/environment_jobs", several, PARAMS, releases.NEW_SCHEDULES),
    Route("POST", "scheduled_jobs/environment_jobs", create, since=releases.NEW_SCHEDULES, lasting=True),
    Route("GET", "scheduled_jobs/environment_jobs/{id}", one, since=releases.NEW_SCHEDULES),
    Route("PUT", "scheduled_jobs/environment_jobs/{id}", change, since=releases.NEW_SCHEDULES, lasting=True),
)
