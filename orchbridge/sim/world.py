"""The world: everything an orchestrator would know at a given second, and every fact on the way there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from orchbridge.sim import activity, play_jobs, play_plans, scenarios, schedules
from orchbridge.sim.activity import Activity, Commit, Object
from orchbridge.sim.catalogue import BROKERS, ENVIRONMENTS
from orchbridge.sim.course import Course, Fact
from orchbridge.sim.eventlog import Event, Slice
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.moments import chance
from orchbridge.sim.people import User
from orchbridge.sim.rbac import Rbac
from orchbridge.sim.rows import JOB_ENDS, PLAN_ENDS, Agent, Job, Plan
from orchbridge.sim.schedules import Schedule
from orchbridge.sim.script import JobDraft, PlanDraft
from orchbridge.sim.task_targets import TaskTarget

__all__ = ["Knobs", "World"]

DEFAULT_START = datetime(2025, 3, 9, 10, 15, 40, tzinfo=UTC)
HIDDEN_AT_MOST_S = 10.0  # rows delayed by ids show after this long even if no further id comes


class Ids:
    """The ids of one database sequence."""

    __slots__ = ("last", "name")

    def __init__(self, name: str, last: int = 0) -> None:
        self.name = name
        self.last = last


class World:
    """One orchestrator, played from a scenario such as `demo` or `backlog:jobs=1000,events=100`.

    It has no clock: every call says what time it is, in seconds since `start` (Unix seconds
    or an aware datetime); negative times are its past. Time never goes back. The same
    scenario, seed, knobs and calls give the same facts. Raises ConfigError for an unknown
    scenario or parameter.
    """

    def __init__(
        self, scenario: str, *, seed: int = 1, knobs: Knobs | None = None, start: datetime | float = DEFAULT_START
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.knobs = knobs or Knobs()
        self.course = Course(start)
        self.random = Random(f"{seed}/{scenario}")  # noqa: S311 - invented load, nothing secret
        self.jobs: dict[int, Job] = {}
        self.plans: dict[int, Plan] = {}
        self.agents: dict[str, Agent] = {}
        self.agents_version = 0
        self.environments = list(ENVIRONMENTS)
        self.people = Rbac(seed)
        self.task_targets: dict[int, TaskTarget] = {}
        self.schedules: dict[int, Schedule] = {}
        self.activity = Activity()
        self.inventory_body: tuple[int, bytes] | None = None
        self.flaps = 0
        self.requests: Counter[str] = Counter()
        self.outages: list[tuple[float, float]] = []
        self.node_seconds = (1.0, 3.0)
        self.expected_deploy: Callable[[float], Job] | None = None
        self.job_ids, self.event_ids = Ids("job"), Ids("event")
        self.plan_ids, self.plan_event_ids = Ids("plan"), Ids("plan-event")
        self.target_ids, self.schedule_ids = Ids("task-target"), Ids("schedule")
        self.job_scripts: dict[int, list[Any]] = {}
        self.plan_scripts: dict[int, list[Any]] = {}
        schedules.seed(self)
        scenarios.build(self, scenario)
        self._plan_restart()

    @property
    def start(self) -> float:
        """Unix seconds at world time 0."""
        return self.course.start

    # Time

    def advance(self, now: float) -> float:
        """Let everything up to `now` happen; return the time it is."""
        return self.course.advance(now)

    def listen(self, listener: Callable[[list[Fact]], None]) -> None:
        """Hand every fact to `listener` as time passes it; only before time first moves (else ValueError)."""
        self.course.listen(listener)
        listener([{"fact": "world", "scenario": self.scenario, "seed": self.seed, "start": self.course.text_ms(0.0)}])

    def down(self, now: float) -> bool:
        """Whether the service is crashed at this time."""
        return any(begin <= now < end for begin, end in self.outages)

    # Ids and visibility

    def next_id(self, ids: Ids) -> int:
        """Give out the next id of a sequence; with the knob `id_gaps` some are never used."""
        dose = self.knobs.dose("id_gaps")
        ids.last += 1
        if dose.form == "some" and chance(self.seed, "gap", ids.name, ids.last) < dose.p:
            ids.last += 1 + int(3 * chance(self.seed, "gap-width", ids.name, ids.last))
        return ids.last

    def sight(self, knob: str, what: str, number: int, at: float) -> tuple[float, int | None]:
        """Return from which time, or sooner from which id on, a row written now is visible."""
        dose = self.knobs.dose(knob)
        if dose.form == "in-order" or chance(self.seed, knob, what, number) >= dose.p:
            return at, None
        if dose.form == "seconds":
            return at + dose.amount, None
        return at + HIDDEN_AT_MOST_S, number + int(dose.amount)

    # What happens

    def submit(self, draft: JobDraft, now: float, plan: int | None = None) -> Job:
        """Start a job now; its script plays as time passes."""
        return play_jobs.submit(self, draft, now, plan)

    def start_plan(self, draft: PlanDraft, now: float) -> Plan:
        """Start a plan job now; its script plays as time passes."""
        return play_plans.start(self, draft, now)

    def stop(self, job: Job, now: float, *, force: bool = False) -> None:
        """Stop a job: what runs may finish, unless forced; does nothing to one that ended or is stopping."""
        play_jobs.stop(self, job, now, force=force)

    def stop_plan(self, plan: Plan, now: float) -> None:
        """Interrupt a plan: it fails; its jobs go on."""
        play_plans.stop(self, plan, now)

    def run_child(self, plan: Plan, child: JobDraft, now: float) -> Job:
        """Start a job of a plan that is driven from elsewhere."""
        return play_plans.run_child(self, plan, child, now)

    def end_plan(self, plan: Plan, state: str, result: Any, now: float) -> None:
        """End a plan that is driven from elsewhere, as success or failure."""
        play_plans.end(self, plan, state, result, now)

    def turn(self, changes: Mapping[str, str], now: float) -> None:
        """Set knobs from now on; raise ConfigError for an unknown name or value."""
        self.knobs = self.knobs.turned(changes)
        self.agents_version += 1
        if "id_restart" in changes:
            self._plan_restart(now)

    def _plan_restart(self, now: float = float("-inf")) -> None:
        wish, dose = self.knobs.id_restart, self.knobs.dose("id_restart")

        def restart(at: float) -> None:
            if self.knobs.id_restart == wish:
                self.restore(max(0, self.job_ids.last - dose.back), at)

        if dose.form == "at" and dose.amount > now:
            self.course.at(dose.amount, restart)

    def connect(self, node: str, connected: bool, now: float, broker: str | None = None) -> None:
        """Connect, disconnect or (connected while connected) reconnect a node, known or new."""
        known = self.agents.get(node)
        up = known is not None and known.connected
        if connected:
            change = "reconnected" if up else "connected"
            agent = Agent(node, True, broker or (known.broker if known else BROKERS[0]), now)
        elif known is not None and up:
            change = "disconnected"
            agent = Agent(node, False, known.broker, known.since, left=now)
        else:
            return
        self.agents[node] = agent
        self.agents_version += 1
        stamp = self.course.text_ms(agent.since)
        self.course.fact("node", now, node=node, change=change, broker=agent.broker, timestamp=stamp)

    def note(self, service: str, by: User, thing: Object, kind: str, message: str, now: float) -> None:
        """Write into the activity log what somebody did to something, with another service of PE."""
        event = {"message": message, "type": kind, "what": thing[0], "description": f"{kind}_{thing[0]}"}
        activity.write(self, Commit(now, service, by.about, (thing,), lambda: [event]), kind)

    def purge(self, oldest: int, now: float) -> int:
        """Purge the activity log of its oldest commits."""
        gone = self.activity.purge(oldest)
        if gone:
            self.course.fact("activity_purged", now, commits=gone)
        return gone

    def rewind(self, newest: int, now: float) -> int:
        """Restore the activity log from a backup: its newest commits never were."""
        gone = self.activity.rewind(newest)
        if gone:
            self.course.fact("activity_rewound", now, commits=gone)
        return gone

    def place(self, environment: str, present: bool, now: float) -> None:
        """Deploy the code of an environment, or remove it."""
        if present != (environment in self.environments):
            (self.environments.append if present else self.environments.remove)(environment)
            self.course.fact("environment", now, name=environment, present=present)

    def note_user(self, user: User, what: str, now: float) -> None:
        """Write into the activity log that an administrator changed an account."""
        activity.about_user(self, user, what, f"User {user.login}: {what}", now, by=self.people.users["admin"])

    def skip(self, jobs: int, now: float) -> list[int]:
        """Use up so many job ids without a job, as transactions do that are rolled back; return them."""
        self.job_ids.last += jobs
        skipped = list(range(self.job_ids.last - jobs + 1, self.job_ids.last + 1))
        self.course.fact("skipped", now, jobs=skipped)
        return skipped

    def prune(self, oldest: int, now: float) -> list[int]:
        """Delete the oldest jobs, and the finished plans older than the last of them; return the jobs' ids."""
        gone = sorted(self.jobs)[:oldest]
        if gone:
            border = self.jobs[gone[-1]].created
            plans = [plan.id for plan in self.plans.values() if plan.state in PLAN_ENDS and plan.created <= border]
            self.forget("pruned", gone, plans, now)
        return gone

    def crash(self, seconds: float, now: float) -> None:
        """Let the service crash, and be back so many seconds later: what ran ends as its release has it."""
        self.outages.append((now, now + seconds))
        for job in self.jobs.values():
            play_jobs.crash(self, job, now, now + seconds)
        for plan in self.plans.values():
            play_plans.crash(self, plan, now, now + seconds)
        self.course.fact("crashed", now, seconds=seconds)

    def restore(self, to_job: int, now: float) -> None:
        """Restore the database from a backup: jobs above `to_job`, and plans since then, never were.

        Their ids, and their events' ids, are given out again for others.
        """
        gone = [number for number in self.jobs if number > to_job]
        border = min((self.jobs[number].created for number in gone), default=now)
        plans = [plan.id for plan in self.plans.values() if plan.created >= border]
        self.forget("restored", gone, plans, now, to_job=to_job)
        self.job_ids.last = min(self.job_ids.last, to_job)
        self.plan_ids.last = max(self.plans, default=min([self.plan_ids.last + 1, *plans]) - 1)
        self.event_ids.last = max((job.log.last or 0 for job in self.jobs.values()), default=0)
        self.plan_event_ids.last = max((plan.log.last or 0 for plan in self.plans.values()), default=0)

    def forget(self, fact: str, jobs: Iterable[int], plans: Iterable[int], now: float, **values: Any) -> None:
        """Delete jobs and plans, telling the truth about it under this name."""
        jobs = [number for number in jobs if self.jobs.pop(number, None)]
        plans = [number for number in plans if self.plans.pop(number, None)]
        for number in jobs:
            self.job_scripts.pop(number, None)
        for number in plans:
            self.plan_scripts.pop(number, None)
        for plan in self.plans.values():
            plan.children = [number for number in plan.children if number in self.jobs]
        self.course.fact(fact, now, jobs=jobs, plans=plans, **values)

    def forget_job(self, job: Job, now: float) -> None:
        """Prune one job, unless it is gone already."""
        if self.jobs.get(job.id) is job:
            self.forget("pruned", [job.id], [], now)

    def forget_plan(self, plan: Plan, now: float) -> None:
        """Prune one plan job, unless it is gone already."""
        if self.plans.get(plan.id) is plan:
            self.forget("pruned", [], [plan.id], now)

    # What the API may show

    def shown(self, row: Job | Plan | Event, last_id: int, now: float) -> bool:
        """Whether a row's transaction is committed, as far as readers can tell."""
        return now >= row.seen_at or (row.seen_from is not None and last_id >= row.seen_from)

    def seen_jobs(self, now: float) -> list[Job]:
        """Return the visible jobs by ascending id."""
        return [job for job in self.jobs.values() if self.shown(job, self.job_ids.last, now)]

    def seen_plans(self, now: float) -> list[Plan]:
        """Return the visible plan jobs by ascending id."""
        return [plan for plan in self.plans.values() if self.shown(plan, self.plan_ids.last, now)]

    def job(self, number: int, now: float) -> Job | None:
        """Return one visible job."""
        job = self.jobs.get(number)
        return job if job and self.shown(job, self.job_ids.last, now) else None

    def plan(self, number: int, now: float) -> Plan | None:
        """Return one visible plan job."""
        plan = self.plans.get(number)
        return plan if plan and self.shown(plan, self.plan_ids.last, now) else None

    def events(self, of: Job | Plan, start: int, now: float) -> Slice:
        """Return the visible events with id `start` or higher; counts as one read (event_lag_after_terminal)."""
        ids = self.event_ids if isinstance(of, Job) else self.plan_event_ids
        over = of.state in JOB_ENDS or of.state in PLAN_ENDS
        lagging = over and of.reads_after_end < self.knobs.dose("event_lag_after_terminal").amount
        last = of.log.last if lagging else None

        def shown(event: Event) -> bool:
            return event.id != last and self.shown(event, ids.last, now)

        if lagging:
            of.reads_after_end += 1
        elif over:
            of.log.pack(shown)
        return of.log.since(start, shown)

    def plan_event(self, plan: Plan, number: int, now: float) -> bytes | None:
        """Return one visible event of a plan with its whole text, or None."""
        found = plan.log.find(number, lambda event: self.shown(event, self.plan_event_ids.last, now))
        return found and plan.full_texts.get(number, found)

    def children(self, plan: Plan) -> Sequence[Job]:
        """Return the jobs a plan started, as far as they still exist."""
        return [self.jobs[number] for number in plan.children]
