"""What the orchestrator's database holds: jobs, their nodes, plan jobs, agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchbridge.sim.eventlog import EventLog

JOB_ENDS = frozenset({"stopped", "finished", "failed"})
PLAN_ENDS = frozenset({"success", "failure"})
NODE_ENDS = frozenset({"finished", "failed", "errored", "skipped", "stopped"})


@dataclass(slots=True)
class Stretch:
    """A state with the world seconds at which it was entered and left."""

    state: str
    entered: float
    left: float | None = None


@dataclass(slots=True)
class JobNode:
    """One node's part in one job. Times are world seconds."""

    name: str
    state: str = "new"
    started: float | None = None
    ended: float | None = None
    touched: float | None = None
    event_ids: tuple[int, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    result: Any = None


@dataclass(slots=True)
class Job:
    """One job. `type` is deploy, task, plan_task...; `seen_at` and `seen_from` say when it shows (see Event)."""

    id: int
    type: str
    created: float
    options: Mapping[str, Any]
    owner: Mapping[str, Any]
    environment: str
    description: str
    userdata: Mapping[str, Any]
    nodes: Mapping[str, JobNode]
    counts: dict[str, int]
    plan: int | None = None
    status: list[Stretch] = field(default_factory=list)
    log: EventLog = field(default_factory=EventLog)
    seen_at: float = 0.0
    seen_from: int | None = None
    reads_after_end: int = 0
    node_rows: Callable[[], Mapping[str, JobNode]] | None = None
    cached: tuple[object, bytes] | None = None  # its JSON in the list, and for which request it was made

    @property
    def state(self) -> str:
        return self.status[-1].state

    @property
    def stamp(self) -> float:
        return self.status[-1].entered

    @property
    def finished(self) -> float | None:
        return self.stamp if self.state in JOB_ENDS else None

    @property
    def rows(self) -> Mapping[str, JobNode]:
        """Its nodes; made on the spot for jobs of a generated past."""
        return self.node_rows() if self.node_rows else self.nodes

    def enter(self, state: str, at: float) -> None:
        """Begin a new state."""
        if self.status:
            self.status[-1].left = at
        self.status.append(Stretch(state, at))

    def recount(self, before: str, after: str) -> None:
        """Move one node from one state's count to another's."""
        self.counts[before] -= 1
        if not self.counts[before]:
            del self.counts[before]
        self.counts[after] = self.counts.get(after, 0) + 1


@dataclass(slots=True)
class Plan:
    """One plan job. `children` are the ids of the jobs it started."""

    id: int
    name: str
    created: float
    options: Mapping[str, Any]
    owner: Mapping[str, Any]
    userdata: Mapping[str, Any]
    state: str = "running"
    stamp: float = 0.0
    result: Any = None
    children: list[int] = field(default_factory=list)
    log: EventLog = field(default_factory=EventLog)
    full_texts: dict[int, bytes] = field(default_factory=dict)
    seen_at: float = 0.0
    seen_from: int | None = None
    reads_after_end: int = 0

    @property
    def finished(self) -> float | None:
        return self.stamp if self.state in PLAN_ENDS else None


@dataclass(slots=True)
class Agent:
    """One node's session with a broker; `since` is when it was opened (world seconds)."""

    name: str
    connected: bool
    broker: str
    since: float
    left: float | None = None
    encoded: bytes | None = None  # its JSON in the list, made when first asked for
