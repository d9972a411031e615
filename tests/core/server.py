"""A small orchestrator without HTTP: answers a stream's questions from a script of what becomes visible when."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import (
    Connection,
    Job,
    JobEvent,
    NodeRow,
    Owner,
    Plan,
    PlanEvent,
    StatusItem,
    TaskMeta,
)
from orchbridge.core.questions import (
    Answer,
    BrokerStatus,
    Health,
    Inventory,
    InventoryOf,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    TaskMetadata,
    Trouble,
)

MISSING = Trouble("missing", "unknown-job", status=404)


@dataclass
class ScriptedJob:
    """A job: when each state is entered, and each event's id, node, type, time and how late it becomes visible."""

    id: int
    created: float
    states: list[tuple[float, str]]
    events: list[tuple[int, str | None, str, float, float]] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    visible: float | None = None
    task: str | None = None
    sensitive: tuple[str, ...] = ()
    params: dict[str, object] = field(default_factory=dict)
    owner: str = "o1"

    def shown(self, now: float) -> bool:
        return now >= (self.created if self.visible is None else self.visible)

    def fact(self, now: float, *, detail: bool = False) -> Job:
        entered = [(at, state) for at, state in self.states if at <= now] or self.states[:1]
        at, state = entered[-1]
        over = state in {"finished", "failed", "stopped"}
        status = tuple(StatusItem(word, times.text(when)) for when, word in entered)
        raw = {"name": str(self.id), "state": state, "options": {"params": self.params, "task": self.task}}
        return Job(
            self.id, state, msgspec.json.encode(raw), created=times.text(self.created), stamp=times.text(at),
            finished=times.text(at) if over else None, node_count=len(self.nodes), node_states=self.node_states(now),
            task=self.task, environment="production", owner=Owner(self.owner, "ops"), sensitive=self.sensitive,
            status=status if detail else None,
        )  # fmt: skip

    def results(self, now: float) -> dict[str, str]:
        state = dict.fromkeys(self.nodes, "new")
        for _, node, type_, at, _ in self.events:
            if node is not None and at <= now:
                state[node] = type_.removeprefix("node_")
        return state

    def node_states(self, now: float) -> dict[str, int] | None:
        counts: dict[str, int] = {}
        for state in self.results(now).values():
            counts[state] = counts.get(state, 0) + 1
        return counts or None

    def shown_events(self, now: float) -> list[JobEvent]:
        return [
            JobEvent(id_, type_, b'{"id":"%d"}' % id_, times.text(at), node, b"{}", f"{type_} {node}")
            for id_, node, type_, at, late in sorted(self.events)
            if at + late <= now
        ]


@dataclass
class Server:
    """What can be asked. `trouble` maps question types to an answer given instead."""

    jobs: list[ScriptedJob] = field(default_factory=list)
    plans: dict[int, tuple[Plan, list[PlanEvent]]] = field(default_factory=dict)
    inventory: dict[str, Connection] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    broker: str = "running"
    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: dict[type, Trouble] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    cut: int | None = None

    def job(self, id_: int, now: float) -> ScriptedJob | None:
        return next((job for job in self.jobs if job.id == id_ and job.shown(now)), None)

    def answer(self, question: Question, now: float) -> Answer:
        self.asked.append(question)
        if type(question) in self.trouble:
            return self.trouble[type(question)]
        match question:
            case JobsPage(limit=limit, offset=offset):
                jobs = sorted((job for job in self.jobs if job.shown(now)), key=lambda job: -job.id)
                return Page(tuple(job.fact(now) for job in jobs[offset : offset + limit]), total=len(jobs))
            case JobDetail(job=id_):
                job = self.job(id_, now)
                return MISSING if job is None else job.fact(now, detail=True)
            case JobEvents(job=id_, start=start):
                job = self.job(id_, now)
                return MISSING if job is None else self._page(job.shown_events(now), start)
            case JobNodes(job=id_, limit=limit, offset=offset):
                job = self.job(id_, now)
                if job is None:
                    return MISSING
                rows = [NodeRow(name, state) for name, state in job.results(now).items()]
                return Page(tuple(rows[offset : offset + limit]), paged=False)
            case PlansPage(limit=limit, offset=offset):
                plans = [self.plans[id_][0] for id_ in sorted(self.plans, reverse=True)]
                return Page(tuple(plans[offset : offset + limit]), total=len(plans))
            case PlanDetail(plan=id_):
                return self.plans[id_][0] if id_ in self.plans else MISSING
            case PlanEvents(plan=id_, start=start):
                return self._cut_texts(self.plans[id_][1], start) if id_ in self.plans else MISSING
            case PlanEventWhole(plan=id_, event=event):
                return next((found for found in self.plans[id_][1] if found.id == event), MISSING)
            case Inventory():
                return Page(tuple(c for name, c in self.inventory.items() if name not in self.hidden and c.connected))
            case InventoryOf(nodes=nodes):
                return Page(tuple(self.inventory.get(name, Connection(name, connected=False)) for name in nodes))
            case BrokerStatus():
                return Health(self.broker)
            case TaskMetadata(task=task):
                return TaskMeta(task, self.tasks[task]) if task in self.tasks else Trouble("missing", "unknown-task")

    def _page(self, events: list[JobEvent], start: int | None) -> Page:
        found = [event for event in events if event.id >= (start or 0)]
        if self.cut is not None and len(found) > self.cut:
            return Page(tuple(found[: self.cut]), cut=True)
        return Page(tuple(found))

    @staticmethod
    def _cut_texts(events: list[PlanEvent], start: int | None) -> Page:
        def short(event: PlanEvent) -> PlanEvent:
            cut = (event.message or "").encode()[:1024].decode(errors="ignore")  # no part of a character
            return msgspec.structs.replace(event, message=event.message and cut)

        return Page(tuple(short(event) for event in events if (event.id or 0) >= (start or 0)))


def simple_job(
    id_: int, first_event: int, *, begin: float = 0.0, nodes: int = 2, step: int = 1, fail: int = 0
) -> ScriptedJob:
    """Return a job of `nodes` nodes, its event ids `step` apart, over within five seconds; `fail` of them fail."""
    names = [f"n{at}.test" for at in range(nodes)]
    ids = iter(range(first_event, first_event + 10_000 * step, step))
    events: list[tuple[int, str | None, str, float, float]] = [
        (next(ids), name, "node_running", begin + 1.0, 0.0) for name in names
    ]
    events += [
        (next(ids), name, "node_failed" if at < fail else "node_finished", begin + 3.0, 0.0)
        for at, name in enumerate(names)
    ]
    events.append((next(ids), None, "job_finished", begin + 4.0, 0.0))
    end = "failed" if fail else "finished"
    states = [(begin, "new"), (begin + 0.3, "ready"), (begin + 0.8, "running"), (begin + 4.0, end)]
    return ScriptedJob(id_, begin, states, events, names)
