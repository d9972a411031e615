"""Scheduled jobs, and what becomes of them when their time comes (reference 10)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from orchbridge.sim import orders
from orchbridge.sim.catalogue import TASKS, sensitive_plan_parameters
from orchbridge.sim.orders import Asker
from orchbridge.sim.problems import Problem, denied, invalid
from orchbridge.sim.script import JobDraft, PlanDraft

if TYPE_CHECKING:
    from orchbridge.sim.world import World

DAY_S, WEEK_S = 86_400.0, 604_800.0
TYPES = ("deploy", "task", "plan")
FIRST = 31


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as far as it came to one: the job or plan it started, or why there is none."""

    at: float
    job: int | None = None
    plan: int | None = None
    problem: Problem | None = None


@dataclass(slots=True)
class Schedule:
    """One scheduled job. `input` is as the newer API takes it; times are world seconds, `interval` seconds or None."""

    id: int
    type: str
    input: Mapping[str, Any] = field(repr=False)
    environment: str
    owner: str
    start: float
    interval: int | None = None
    description: str = ""
    userdata: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    next_run: float | None = None
    last_run: Run | None = None

    @property
    def hidden(self) -> frozenset[str]:
        """The names of its parameters whose values are not shown."""
        name = str(self.input.get("name", ""))
        if self.type == "plan":
            return sensitive_plan_parameters(name)
        return TASKS[name].sensitive if self.type == "task" and name in TASKS else frozenset()


def seed(world: World) -> None:
    """Give a new world its two schedules: a plan every week, and one puppet run in two days."""
    weekly = {"name": "patching::weekly", "parameters": {"group": {"value": "web"}}}
    once = {"scope": {"nodes": ["web01.example.com"]}, "noop": True}
    for one in (
        Schedule(FIRST, "plan", weekly, "production", "ops", -DAY_S, int(WEEK_S), description="weekly"),
        Schedule(FIRST + 1, "deploy", once, "staging", "ada", 2 * DAY_S),
    ):
        one.last_run = Run(-DAY_S, plan=1) if one.interval else None
        world.course.at(1.0 - DAY_S, partial(_add, world, one))
    world.schedule_ids.last = FIRST + 1


def busy(world: World, every: int) -> None:
    """Add schedules that are due again and again, every so many seconds; one of them in staging."""
    scope = {"scope": {"nodes": ["web01.example.com", "app01.example.com"]}}
    facts = {"name": "facts", "parameters": {}, **scope}
    rollout = {"name": "rollout::web", "parameters": {"batch": {"value": 2}}}
    for one in (
        Schedule(0, "task", facts, "production", "ops", 1.0, every, description="inventory of the web"),
        Schedule(0, "plan", rollout, "production", "ada", 2.0, 3 * every),
        Schedule(0, "deploy", scope, "staging", "deployer", 3.0, 2 * every),
        Schedule(0, "task", facts, "development", "ops", 4.0),
    ):
        one.id = world.next_id(world.schedule_ids)
        world.course.at(-60.0, partial(_add, world, one))


def create(world: World, schedule: Schedule, now: float) -> Schedule:
    """Write a schedule down under the next id, and wait for its time."""
    schedule.id = world.next_id(world.schedule_ids)
    _add(world, schedule, now)
    return schedule


def _add(world: World, schedule: Schedule, at: float) -> None:
    world.schedules[schedule.id] = schedule
    schedule.next_run = _after(world, schedule, at)
    _await(world, schedule)
    note(world, schedule, "created", at)


def change(world: World, schedule: Schedule, changes: Mapping[str, Any], now: float) -> None:
    """Replace fields; a new time starts anew."""
    for name, value in changes.items():
        setattr(schedule, name, value)
    if not schedule.enabled:
        schedule.next_run = None
    elif {"start", "interval"} & changes.keys():
        schedule.next_run = _after(world, schedule, now)
        _await(world, schedule)
    note(world, schedule, "changed" if schedule.enabled else "disabled", now)


def note(world: World, schedule: Schedule, what: str, at: float) -> None:
    """Note the fact that a schedule was created, changed or disabled."""
    due = None if schedule.next_run is None else world.course.text(schedule.next_run)
    who = {"type": schedule.type, "owner": schedule.owner, "environment": schedule.environment}
    fields = {**who, "description": schedule.description, "next_run": due}
    world.course.fact("schedule", at, id=schedule.id, change=what, **fields)


def last_of_time(world: World) -> float:
    """Return the last world second that can be written down."""
    return datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp() - world.start


def _after(world: World, schedule: Schedule, now: float) -> float | None:
    """Return when it is due next."""
    if schedule.start > now:
        return schedule.start
    if schedule.interval is None:
        return None
    due = schedule.start + schedule.interval * (math.floor((now - schedule.start) / schedule.interval) + 1)
    return due if due <= last_of_time(world) else None


def _await(world: World, schedule: Schedule) -> None:
    due = schedule.next_run
    if due is not None:
        world.course.at(due, lambda at: _run(world, schedule, at) if schedule.next_run == due else None)


def _run(world: World, schedule: Schedule, at: float) -> None:
    if world.knobs.scheduler == "skips":
        schedule.next_run = _after(world, schedule, at)
        _await(world, schedule)
        world.course.fact("schedule_skipped", at, schedule=schedule.id)
        return
    user = world.people.users[schedule.owner]
    draft: JobDraft | PlanDraft | Problem
    draft = denied(f"{user.login} is revoked") if user.revoked else ordered(Asker(world, user, at), schedule)
    run = Run(at, problem=draft) if isinstance(draft, Problem) else Run(at)
    match draft:
        case JobDraft():
            run = Run(at, job=world.submit(draft, at).id)
        case PlanDraft():
            run = Run(at, plan=world.start_plan(draft, at).id)
    schedule.last_run, schedule.next_run = run, _after(world, schedule, at)
    _await(world, schedule)
    error = None if run.problem is None else run.problem.kind
    world.course.fact("schedule_run", at, schedule=schedule.id, started_job=run.job, started_plan=run.plan, error=error)


def ordered(by: Asker, schedule: Schedule) -> JobDraft | PlanDraft | Problem:
    """Return the draft that a schedule means now, or why there can be none."""
    put, number = schedule.input, str(schedule.id)
    common = {
        "environment": schedule.environment,
        "description": schedule.description,
        "userdata": dict(schedule.userdata),
    }
    if schedule.type == "deploy":
        return orders.deploy(by, {**put, **common})
    if schedule.type == "task" and any(isinstance(p, dict) and "type" in p for p in put["parameters"].values()):
        return invalid("parameters of a task have no type")
    params = orders.unwrapped(by, put["parameters"])
    if isinstance(params, Problem):
        return params
    if schedule.type == "plan":
        plan = orders.plan(by, {**common, "plan_name": put["name"], "params": params})
        return plan if isinstance(plan, Problem) else replace(plan, scheduled=number)
    asked = {key: put[key] for key in ("scope", "targets", "noop") if key in put}
    task = orders.task(by, {**common, **asked, "task": put["name"], "params": params})
    if isinstance(task, Problem):
        return task
    return replace(task, options={**task.options, "scheduled-job-id": number})
