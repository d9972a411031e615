"""What a run came to: the truth against what consumers saw, and how long anything took to get there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from tests.chaos.stage import Noted
from tests.oracle import Seen, judge, judge_nodes
from tests.oracle_lists import judge_activity, judge_schedules

SLACK_S = 0.5  # after a fault its effect may still be on the way


@dataclass(frozen=True)
class Finding:
    """Counts of what is wrong, zero everywhere when all is well, and some of it in words."""

    events: int = 0
    records: int = 0
    missing: int = 0
    duplicated: int = 0
    disordered: int = 0
    uncertified: int = 0
    untrue: int = 0
    invented: int = 0
    words: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return not any(getattr(self, name) for name in WRONGS)

    def __add__(self, other: Finding) -> Finding:
        return Finding(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


WRONGS = ("missing", "duplicated", "disordered", "uncertified", "untrue", "invented")


def found(
    truth: Sequence[Mapping[str, Any]], seen: Sequence[Seen], *, until: float, unreadable: Iterable[int] = (),
    services: Collection[str] = (),
) -> Finding:  # fmt: skip
    """Judge all that consumers of one house saw; what happened after `until` (world seconds) may be missing.

    Of which `services` it carries the activity: then it carries the schedules as well.
    """
    verdict = judge(truth, seen, until=until, unreadable=frozenset(unreadable))
    if services:
        verdict.take(judge_activity(truth, seen, services=services, until=until))
        verdict.take(judge_schedules(truth, seen, until=until, patient=False))
    nodes = judge_nodes(truth, seen, quiet_since=until - 4.0)
    lists = {
        "missing": verdict.missing, "duplicated": verdict.twice, "disordered": verdict.disordered,
        "uncertified": verdict.uncertified, "untrue": verdict.untrue + nodes, "invented": verdict.invented,
    }  # fmt: skip
    words = tuple(f"{name}: {', '.join(list_[:4])}" for name, list_ in lists.items() if list_)
    return Finding(verdict.events, len(seen), *(len(lists[name]) for name in WRONGS), words)


@dataclass
class Delays:
    """Seconds from an event's moment in the world to its arrival at a consumer."""

    all: list[float] = field(default_factory=list)
    during: dict[str, float] = field(default_factory=dict)  # fault -> the longest of an event that fell into one

    def summary(self) -> dict[str, float]:
        cuts = sorted(self.all) or [0.0]
        at = {name: cuts[min(len(cuts) - 1, int(share * len(cuts)))] for name, share in SHARES.items()}
        return {name: round(value, 2) for name, value in {**at, "max": cuts[-1]}.items()}


SHARES = {"p50": 0.5, "p99": 0.99}


def delays(
    truth: Sequence[Mapping[str, Any]], arrivals: Mapping[str, float], noted: Sequence[Noted], house: str, since: float
) -> Delays:
    """Return the delays of one house's job events that happened after `since` (Unix seconds) and came."""
    start = datetime.fromisoformat(truth[0]["start"]).timestamp()
    restored = any(fact["fact"] == "restored" for fact in truth)
    arrived: dict[str, list[float]] = defaultdict(list)
    for id_, at in arrivals.items():
        epoch, _, rest = id_.partition(":")
        if "/event/" in rest and (epoch == "e1" or restored):
            arrived[rest].append(at)
    events = sorted(
        (start + fact["at"], f"job/{fact['job']}/event/{fact['id']}")
        for fact in truth
        if fact["fact"] == "job_event" and start + fact["at"] > since
    )
    waits = [(at, min(after) - at) for at, id_ in events if (after := [t for t in arrived[id_] if t >= at - 1.0])]
    result = Delays([max(0.0, wait) for _, wait in waits])
    for note in noted:
        if note.house in {"", house}:
            worst = [wait for at, wait in waits if note.begun - SLACK_S <= at <= note.ended + SLACK_S]
            result.during[note.name] = max([result.during.get(note.name, 0.0), *worst])
    return result
