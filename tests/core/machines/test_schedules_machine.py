"""Schedules that are made, changed, switched off and missed: what is told of them is what happened to them, once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from orchbridge.core import times
from orchbridge.core.facts import LastRun, Owner, Schedule, TaskMeta
from orchbridge.core.questions import Answer, Page, Question, Schedules, TaskMetadata, Trouble
from orchbridge.core.schedules.stream import ScheduleStream
from orchbridge.core.walk import Start
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carried import CarriedMachine, seeds
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PASSING
from tests.core.machines.ledger import Ledger

BEGIN, POLL_S, GRACE_S = 1_000_000.0, 5.0, 30.0
picks = st.integers(0, 1_000)
pauses = st.sampled_from([0.0, 6.0, 6.0, 12.0])
ABSENT = Trouble("absent", "not found", status=404)


@dataclass
class Model:
    """One schedule; `text` stands for its definition."""

    id: int
    type: str
    text: str
    every: float | None
    planned: float | None
    last: LastRun | None = None
    enabled: bool = True
    runs: int = 0
    revisions: set[str] = field(default_factory=set)

    def fact(self) -> Schedule:
        raw = msgspec.json.encode({"name": str(self.id), "input": {"parameters": {"size": {"value": self.text}}}})
        return Schedule(
            self.id, raw, self.type, "site::work", "production", "", self.enabled, "2024", self.every,
            None if self.planned is None else times.text(self.planned), self.last, Owner("o", "ops"), (),
            {"input": msgspec.json.encode({"parameters": {"size": {"value": self.text}}})},
        )  # fmt: skip


class SchedulesMachine(CarriedMachine):
    """A server with schedules, a schedules stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.there: dict[int, Model] = {}
        self.ever: dict[int, Model] = {}
        self.hidden: set[int] = set()
        self.due: set[str] = set()  # runs that did not happen, by the ids of their records
        self.serial, self.judged = 0, 0
        self.random = Random(0)
        self.old = self.both = self.clamped = False
        self.start = "earliest"
        self.ledger = Ledger(name="prod/schedules")

    @initialize(start=st.sampled_from(["now", "earliest"]), before=st.integers(0, 3))
    def begin(self, start: str, before: int) -> None:
        self.start = start
        given = {"poll_s": POLL_S, "missed_after_s": GRACE_S, "forget_after_s": 200.0}
        stream = ScheduleStream(settings("schedules", start=Start(start), **given))
        self.carrier = Carrier(stream, self, self.ledger, BEGIN)
        self.carrier.most = self._most
        for _ in range(before):
            self.create("plan", 60.0, 0.0)
        self.carrier.until(self.now + 6.0, Random(1))
        if start == "now":
            assert not self.ledger.records, "what was there before the start is news to nobody"

    def _most(self) -> int | None:
        """One list a tick, and one more where a task had to be looked up first."""
        well = not self.faults.at_work and not self.carrier.under_way and not self.carrier.arrived
        return 2 if well and not self.clamped and not self.carrier.state.old and not self.old else None

    def answer(self, question: Question, now: float) -> Answer:
        if isinstance(question, TaskMetadata):
            return self.faults.change(question, TaskMeta(question.task), self.random)
        assert isinstance(question, Schedules)
        if question.old is not self.old and not (question.old and self.both):
            return ABSENT
        rows = [one.fact() for one in self.there.values() if one.id not in self.hidden]
        if question.old and self.both:
            rows = []  # switched off
        limit = min(question.limit, 2) if self.clamped else question.limit
        page = Page(tuple(rows[question.offset : question.offset + limit]), total=len(rows))
        return self.faults.change(question, page, self.random)

    def _pick(self, pick: int) -> Model | None:
        there = [one for one in self.there.values() if one.enabled]
        return there[pick % len(there)] if there else None

    @rule(type_=st.sampled_from(["plan", "task", "deploy"]), every=st.sampled_from([60.0, 300.0, None]), pause=pauses)
    def create(self, type_: str, every: float | None, pause: float) -> None:
        self.serial += 1
        made = Model(self.serial, type_, f"#{self.serial}", every, self.now + (every or 60.0))
        self.there[made.id] = self.ever[made.id] = made
        self.live(pause, 1)

    @rule(pick=picks, pause=pauses)
    def change(self, pick: int, pause: float) -> None:
        one = self._pick(pick)
        if one is not None and (one.planned is None or one.planned > self.now + 1.0):
            self.serial += 1
            one.text = f"#{self.serial}"
            self.live(pause, 1)

    @rule(pick=picks, pause=pauses, how=st.sampled_from(["vanish", "switch", "both"]))
    def end(self, pick: int, pause: float, how: str) -> None:
        one = self._pick(pick)
        if one is None:
            return
        if how != "vanish":
            one.enabled, one.planned = False, None
        if how == "both":
            self.live(12.0, 1)
        if how != "switch":
            self.there.pop(one.id, None)
        self.live(pause, 1)

    @rule(pick=picks, pause=pauses)
    def hide(self, pick: int, pause: float) -> None:
        """One list lacks a schedule that is there; the next shows it."""
        self.live(12.0, 1)
        one = self._pick(pick)
        if one is not None:
            self.hidden = {one.id}
            self.carrier.moment(Random(1))
            self.hidden = set()
        self.live(12.0 + pause, 1)

    @rule(old=st.booleans(), both=st.booleans(), clamped=st.booleans())
    def serve(self, old: bool, both: bool, clamped: bool) -> None:
        self.old, self.both, self.clamped = old, both, clamped

    @rule(how=st.sampled_from([*PASSING, "torn", "empty", "cut"]), times_=st.integers(1, 2))
    def sicken(self, how: str, times_: int) -> None:
        self.live(12.0, 1)
        self.faults.at_work["Schedules"] = (how, times_)
        self.live(12.0, 1)
        self.faults.at_work.clear()

    @rule(how=st.sampled_from([*PASSING, "missing", "forbidden"]), times_=st.integers(1, 4))
    def lose_tasks(self, how: str, times_: int) -> None:
        self.faults.at_work["TaskMetadata"] = (how, times_)

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0, 30.0, 130.0]), seed=seeds)
    def live(self, seconds: float, seed: int) -> None:
        """Live on; what is planned runs at its time, unless something is wrong with it."""
        end, random = self.now + seconds, Random(seed)
        while self.now < end:
            self._run()
            self.carrier.until(min(end, self.now + 1.0), random, step=1.0)

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self._run()

    def _run(self) -> None:
        for one in self.there.values():
            if one.planned is None or one.planned > self.now or not one.enabled:
                continue
            planned, one.planned = times.text(one.planned), None if one.every is None else one.planned + one.every
            one.runs += 1
            chance = self.random.random()
            if chance < 0.6:
                one.last = LastRun(planned, "plan", 1_000 + one.runs)
            else:
                self.due.add(f"e1:schedule/{one.id}/missed/{planned}")
                if chance < 0.8:
                    one.last = LastRun(planned, None, None, b'{"kind":"unknown-environment"}')

    @invariant()
    def news_is_true(self) -> None:
        for record in self.ledger.records[self.judged :]:
            one = self.ever.get(int(record.subject.partition("/")[2])) if record.key.startswith("schedule/") else None
            if one is None:
                continue
            if record.type == "schedule.run.missed.v1":
                assert record.id in self.due, f"{record.id} did happen"
            elif record.type in {"schedule.disabled.v1", "schedule.removed.v1"}:
                gone = one.id not in self.there or not one.enabled
                assert gone, f"{record.id}, which is there"
        self.judged = len(self.ledger.records)

    def teardown(self) -> None:
        if not hasattr(self, "carrier"):
            return
        self.heal()
        self.old = self.both = self.clamped = False
        self.live(700.0 if self.carrier.state.old or self.carrier.state.absent else 60.0, 1)
        self.news_is_true()
        told = Counter[tuple[int, str]]()
        for record in self.ledger.records:
            if record.key.startswith("schedule/"):
                told[int(record.subject.partition("/")[2]), record.type.split(".")[1]] += 1
        for id_, one in self.ever.items():
            memo = self.carrier.state.memos.get(id_)
            if id_ in self.there and one.enabled:
                assert memo is not None, f"{id_} is not known"
                assert memo.enabled, f"{id_} is there, and held to be off"
                assert memo.gone is None
            else:
                assert memo is None or not memo.enabled, f"{id_} is gone, and held to be there"
            assert told[id_, "created"] <= 1, f"{id_} was made once"


TestSchedules = SchedulesMachine.TestCase
TestSchedules.settings = budget(100, 25)
