"""The truth log of a simulator, read as what a dashboard should show: jobs, plans and nodes at any moment."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

OUTCOMES = {
    "finished": "success",
    "failed": "failure",
    "stopped": "stopped",
    "success": "success",
    "failure": "failure",
}
ENDS = {"node_finished": "finished", "node_failed": "failed", "node_errored": "errored", "node_skipped": "skipped"}


@dataclass
class Work:
    """One job or plan. Times are Unix seconds; `stamps` are the same as PE prints them, cut to whole seconds."""

    source: str
    id: int
    type: str
    name: str | None
    environment: str
    created: float
    states: list[tuple[str, float]] = field(default_factory=list)
    stamps: dict[str, float] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    pruned: float = float("inf")  # when it vanished from the server, if it did before its end

    @property
    def over(self) -> bool:
        return self.outcome is not None or self.pruned < float("inf")

    @property
    def outcome(self) -> str | None:
        return OUTCOMES.get(self.states[-1][0]) if self.states else None

    @property
    def ended(self) -> float:
        """When it ended or vanished; later than anything where it has not."""
        return self.states[-1][1] if self.outcome else self.pruned

    @property
    def seconds(self) -> float:
        return self.ended - self.created

    @property
    def waited(self) -> float:
        """As PE's stamps tell it."""
        return self.stamps["running"] - self.stamps["created"]

    @property
    def broken(self) -> int:
        return self.results["failed"] + self.results["errored"]

    def state(self, at: float) -> str | None:
        """Return the state it is in, None before its creation and after its end."""
        found = None
        for state, since in self.states:
            if since <= at:
                found = state
        return None if found is None or at >= self.ended else found


@dataclass(frozen=True)
class Story:
    """What befell one orchestrator, from its truth log."""

    source: str
    facts: tuple[dict[str, Any], ...]
    clock: tuple[int, float] | None = None  # a job and when it really began: PE's clock is not ours

    @classmethod
    def read(cls, source: str, path: Path, clock: tuple[int, float] | None = None) -> Story:
        lines = path.read_text().splitlines(keepends=True)
        return cls(source, tuple(json.loads(line) for line in lines if line.endswith("\n")), clock)

    @cached_property
    def nominal_start(self) -> float:
        """The same by the simulator's own clock, which is that of its stamps."""
        return datetime.fromisoformat(self.facts[0]["start"]).timestamp()

    @cached_property
    def start(self) -> float:
        """When the simulator's clock showed 0, in Unix seconds of ours."""
        if self.clock is None:
            return self.nominal_start
        job, began = self.clock
        (fact,) = (fact for fact in self.facts if fact["fact"] == "job" and fact["id"] == job)
        return began - float(fact["at"])

    @cached_property
    def jobs(self) -> list[Work]:
        """Jobs since the simulator's start; the past before it is history to the bridge."""
        return self._works("job", "job_state")

    @cached_property
    def plans(self) -> list[Work]:
        return self._works("plan", "plan_state")

    @cached_property
    def past(self) -> Counter[str]:
        """How many jobs and plans ended before the start."""
        return Counter(
            f"{fact['fact']}s" for fact in self.facts[1:] if fact["fact"] in {"job", "plan"} and fact["at"] < 0
        )

    def _works(self, kind: str, states: str) -> list[Work]:
        found: dict[int, Work] = {}
        for fact in self.facts[1:]:
            at = self.start + fact["at"]
            if fact["fact"] == kind and fact["at"] >= 0:
                name, environment = fact.get("task") or fact.get("name"), fact.get("environment", "production")
                work = Work(self.source, fact["id"], fact.get("type", kind), name, environment, at)
                work.stamps["created"] = _stamp(fact)
                found[fact["id"]] = work
            elif fact["fact"] == states and fact[kind] in found:
                found[fact[kind]].states.append((fact["state"], at))
                found[fact[kind]].stamps.setdefault(fact["state"], _stamp(fact))
            elif fact["fact"] == "pruned":
                for work in (found[number] for number in fact[f"{kind}s"] if number in found):
                    work.pruned = at
            elif kind == "job" and fact["fact"] == "job_event" and fact["type"] in ENDS and fact["job"] in found:
                found[fact["job"]].results[ENDS[fact["type"]]] += 1
        return list(found.values())

    @cached_property
    def skipped(self) -> list[int]:
        """Ids that no job ever has."""
        return [number for fact in self.facts if fact["fact"] == "skipped" for number in fact["jobs"]]

    @cached_property
    def moves(self) -> list[tuple[float, str, str, str]]:
        """All changes of nodes as (when, node, change, broker), in order."""
        return [
            (self.start + fact["at"], fact["node"], fact["change"], fact["broker"])
            for fact in self.facts[1:]
            if fact["fact"] == "node"
        ]

    def nodes(self, at: float) -> dict[str, str | None]:
        """Return the broker of every node known at a moment, None where it is not connected."""
        found: dict[str, str | None] = {}
        for when, node, change, broker in self.moves:
            if when <= at:
                found[node] = None if change == "disconnected" else broker
        return found

    def transitions(self) -> Counter[str]:
        """How often nodes connected and disconnected since the start; a reconnect is a new connection."""
        words = {"disconnected": "disconnected", "connected": "connected", "reconnected": "connected"}
        return Counter(words[change] for when, _, change, _ in self.moves if when >= self.start)

    def flapping(self) -> int:
        losses = Counter(node for _, node, change, _ in self.moves if change == "disconnected")
        return sum(count >= 3 for count in losses.values())


def _stamp(fact: dict[str, Any]) -> float:
    return datetime.fromisoformat(fact["time"]).timestamp()
