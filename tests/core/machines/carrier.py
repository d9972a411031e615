"""A stream driven fold by fold: questions travel, answers arrive in any order, and commits meet any fate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from orchbridge.core.ports import Finite, Stream
from orchbridge.core.questions import (
    Activity,
    Answer,
    BrokerStatus,
    Inventory,
    InventoryOf,
    JobEvents,
    JobsPage,
    PlanEvents,
    PlansPage,
    Question,
    Reply,
    Schedules,
    subject,
)
from orchbridge.sinks.needs import of_stream
from tests.core.machines.ledger import Ledger

COUNTED = JobsPage | PlansPage | Inventory | JobEvents | PlanEvents | InventoryOf | BrokerStatus | Activity | Schedules
LAPS_MAX = 300  # within one moment, for hundreds of jobs listed ten at a time; more than that is asking for ever


class Source(Protocol):
    """Whoever answers."""

    def answer(self, question: Question, now: float) -> Answer: ...


class Carrier:
    """One owner of a stream at a time. A fate is ok, refused (crash before the commit) or answer_lost (after it).

    `most` tells how many lists and events a tick may ask for, None where that is not judged; `heard` is what was
    answered and folded since the claim.
    """

    def __init__(self, stream: Stream, source: Source, ledger: Ledger, now: float) -> None:
        self.stream, self.source, self.ledger, self.now = stream, source, ledger, now
        self.finite = isinstance(stream, Finite)
        self.claims = 0
        self.state: Any = None
        self.under_way: dict[tuple[str, object], tuple[Question, float]] = {}
        self.arrived: list[Reply] = []
        self.fates: list[str] = []
        self.tick: list[Question] = []
        self.heard: set[tuple[str, object]] = set()
        self.listed = False  # by the last tick
        self.most: Callable[[], int | None] = lambda: None
        self.claim()

    def claim(self) -> None:
        """Forget everything and read the memory back, as a new owner does."""
        self.claims += 1
        recall = self.stream.recall(f"w{self.claims}")
        for document in self.ledger.recalled():
            if document.place != "cursor" or of_stream(self.stream.id, document.key):
                recall.learn(document)
        self.state = recall.state()
        self.under_way.clear()
        self.arrived.clear()
        self.heard.clear()

    def ask(self) -> int:
        """Send off what is not under way yet; return how many questions those were."""
        asked = self.stream.ask(self.state, self.now)
        fresh = {subject(q): q for q in reversed(asked) if subject(q) not in self.under_way}
        for about, question in fresh.items():
            self.under_way[about] = (question, self.now)
            self.tick.append(question)
        return len(fresh)

    def serve(self, random: Random, share: float = 1.0) -> None:
        """Let the server answer some of what is under way; it speaks of this moment, whenever it is heard."""
        there = {subject(reply.question) for reply in self.arrived}
        for about, (question, asked_at) in list(self.under_way.items()):
            if about not in there and random.random() < share:
                self.arrived.append(Reply(question, self.source.answer(question, self.now), asked_at, self.now))

    def fold(self, random: Random, most: int = 1_000) -> None:
        """Fold up to so many of the answers that arrived, in any order; a bad fate ends the claim."""
        random.shuffle(self.arrived)
        while self.arrived and most > 0:
            many = random.choice((1, 2, len(self.arrived)))
            replies, self.arrived = tuple(self.arrived[:many]), self.arrived[many:]
            most -= len(replies)
            for reply in replies:
                self.under_way.pop(subject(reply.question), None)
                self.heard.add(subject(reply.question))
            while replies:
                batch = self.stream.fold(self.state, replies, self.now)
                if not batch.empty:
                    fate = self.fates.pop(0) if self.fates else "ok"
                    if fate != "refused":
                        self.ledger.commit(batch, self.now)
                    if fate != "ok":
                        self.claim()
                        return
                self.state, replies = batch.state, batch.left

    def lap(self, random: Random) -> bool:
        """Ask, hear and fold everything; return whether there was anything."""
        asked = self.ask() or len(self.under_way)
        self.serve(random)
        self.fold(random)
        return bool(asked)

    def moment(self, random: Random) -> None:
        """Lap until nothing more is to be asked now; that is a tick."""
        if self.finite and self.stream.waits(self.state):  # type: ignore[attr-defined]
            self.claim()
        most, claims = self.most(), self.claims
        self.tick = []
        for _ in range(LAPS_MAX):
            if not self.lap(random):
                asked = [question for question in self.tick if isinstance(question, COUNTED)]
                kind = most is None or claims != self.claims or len(asked) <= most
                self.listed = any(isinstance(question, JobsPage | PlansPage) for question in asked)
                assert kind, f"unkind: {len(asked)} where {most} would do: {asked}"
                return
        raise AssertionError(f"asks for ever at {self.now}: {self.stream.ask(self.state, self.now)}")

    def until(self, end: float, random: Random, step: float = 0.25) -> None:
        """Live on until `end`."""
        together([self], end, random, step)


def together(carriers: Sequence[Carrier], end: float, random: Random, step: float = 0.25) -> None:
    """Let several live on until `end`, side by side."""
    while True:
        for carrier in carriers:
            carrier.moment(random)
        now = carriers[0].now
        if now >= end:
            return
        due = min(carrier.stream.due(carrier.state, now) for carrier in carriers[:1])
        for carrier in carriers:
            carrier.now = min(end, now + max(step, due))
