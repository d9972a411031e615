"""A list without ids under everything a server can do to it: every entry is told once, whatever became of its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from orchbridge.core import times
from orchbridge.core.activity.known import short
from orchbridge.core.activity.stream import ActivityStream
from orchbridge.core.activity.work import Reach
from orchbridge.core.facts import Commit, Deed, Job, Named
from orchbridge.core.normalize.activity import digest
from orchbridge.core.normalize.context import Origin
from orchbridge.core.questions import Activity, Answer, JobDetail, Page, Question, Trouble
from orchbridge.core.redact import Rules
from orchbridge.core.walk import Start
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carried import CarriedMachine, seeds
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PASSING
from tests.core.machines.ledger import Ledger

BEGIN = 1_000_000.0
REACH = Reach(limit=40, kept=24, overlap=4, room=6)
ORIGIN = Origin("prod", Rules())
BURIED_MAX = REACH.kept - 8
AGAIN_MAX = 10  # the same question within one moment
pauses = st.sampled_from([0.0, 0.5, 1.0, 4.0])
ABSENT = Trouble("absent", "not found", status=404)


@dataclass
class Entry:
    """One entry of the list; equal ones have the same `text` and second. It shows from `visible` on."""

    text: str
    at: float
    visible: float
    buried: int = 0
    excused: bool = False
    shown: bool = False

    @property
    def serial(self) -> int:
        return int(self.text[1:])

    @cached_property
    def brief(self) -> str:
        return short(digest("rbac", self.fact, ORIGIN))

    @cached_property
    def fact(self) -> Commit:
        raw = b'{"n":"%s"}' % self.text.encode()
        return Commit(raw, times.text(int(self.at)), Named("u1", "ops"), (Named("n", "n", "node"),), (Deed(self.text),))


class ActivityMachine(CarriedMachine):
    """A server's list, an activity stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.made: Counter[str] = Counter()
        self.before: set[str] = set()  # what was there before a stream that starts now
        self.serial, self.judged = 0, 0
        self.backups: list[list[Entry]] = []
        self.random = Random(0)
        self.newest_first = self.clamped = False
        self.versions = {1, 2}
        self.last: Page | None = None
        self.asked, self.asked_at = Counter[Activity](), 0.0
        self.told: Counter[str] = Counter()
        self.in_epoch: Counter[tuple[str, str]] = Counter()
        self.forgotten: set[str] = set()  # more were away than are remembered: another epoch may tell these again
        self.ledger = Ledger(name="prod/activity-rbac")

    @initialize(start=st.sampled_from(["earliest", "now"]), before=st.integers(0, 60))
    def begin(self, start: str, before: int) -> None:
        for _ in range(before):
            self._add(BEGIN - 50.0 + self.serial * 0.5)
        self.before = {entry.text for entry in self.entries} if start == "now" else set()
        stream = ActivityStream(settings("activity-rbac", start=Start(start), poll_s=2.0), REACH)
        self.carrier = Carrier(stream, self, self.ledger, BEGIN)
        self.carrier.most = self._most
        self.carrier.until(BEGIN + 1.0, Random(1))

    def _add(self, now: float, *, equal: bool = False, hidden: float = 0.0) -> None:
        if not equal or not self.entries or int(self.entries[-1].at) != int(now):
            self.serial += 1
        text = f"#{self.serial}"
        for entry in self.entries:
            entry.buried += entry.visible > now
        self.entries.append(Entry(text, now, now + hidden))
        self.made[text] += 1

    def shown(self, now: float) -> list[Entry]:
        for entry in self.entries:
            entry.shown = entry.shown or entry.visible <= now
        return [entry for entry in self.entries if entry.shown]

    def answer(self, question: Question, now: float) -> Answer:
        if isinstance(question, JobDetail):
            return Job(question.job, "running", b"{}", created=times.text(BEGIN))
        assert isinstance(question, Activity)
        self._not_for_ever(question, now)
        if question.version not in self.versions:
            return ABSENT
        rows = [entry.fact for entry in self.shown(now)]
        if self.newest_first:
            rows.reverse()
        how, times_ = self.faults.at_work.get("Activity", ("", 0))
        if how == "stale" and times_:
            rows = rows[2:] if self.newest_first else rows[:-2]
        limit = min(question.limit, 15) if self.clamped else question.limit
        page = Page(tuple(rows[question.offset : question.offset + limit]), total=len(rows))
        if how in {"stale", "again"}:
            self.faults.at_work["Activity"] = (how, times_ - 1) if times_ > 1 else ("", 0)
            return self.last if how == "again" and self.last is not None else page
        self.last = page
        return self.faults.change(question, page, self.random)

    def _not_for_ever(self, question: Activity, now: float) -> None:
        """The stream ends a look that is too long; one that asks the same again and again has lost its way."""
        self.asked = self.asked if now == self.asked_at else Counter()
        self.asked_at = now
        self.asked[question] += 1
        assert self.asked[question] <= AGAIN_MAX, f"asks for ever at {now}: {question}"

    def _most(self) -> int | None:
        """One question a tick while nothing happens and the server is well."""
        state = self.carrier.state
        quiet = not self.faults.at_work and not self.carrier.under_way and not self.carrier.arrived
        there = self.shown(self.now)
        told = state.begun and state.total == len(there) == state.known.position
        rows = [entry.brief for entry in there[-len(state.known.digests) :]] if quiet and told else []
        told = told and rows == list(state.known.digests)
        known = not state.dirty and state.suspicion is None and state.version in self.versions
        known = known and state.search is None  # else a look that began earlier still goes on
        known = known and state.newest_first == self.newest_first
        return 1 if quiet and told and known else None

    @rule(count=st.integers(1, 7), equal=st.booleans(), hidden=st.sampled_from([0.0, 0.0, 0.0, 1.5, 6.0]), pause=pauses)
    def commit(self, count: int, equal: bool, hidden: float, pause: float) -> None:
        self._add(self.now, hidden=hidden)
        for _ in range(count - 1):
            self.carrier.now += 0.0 if equal else 1.1  # a list of one second alone would not tell which way it runs
            self._add(self.now, equal=equal)
        self.carrier.now += 1.1
        self.carrier.until(self.now + pause, Random(1))

    @rule(many=st.integers(8, 120))
    def flood(self, many: int) -> None:
        """Many at once, yet not all in one second: then nobody could tell which way a page of them runs."""
        for _ in range(many):
            self.carrier.now += 0.25
            self._add(self.now)

    @rule(count=st.sampled_from([1, 3, 20, 1_000]), pause=pauses)
    def purge(self, count: int, pause: float) -> None:
        """The oldest go; what nobody had read of them is lost with them."""
        self._disturb()
        for entry in self.entries[:count]:
            entry.excused = True
        for entry in self.entries:  # as many that show deeper than a look reads would hide that the place moved
            untold = self.told[entry.text] < self.made[entry.text]
            entry.excused = entry.excused or (entry.buried >= REACH.overlap and untold)
        del self.entries[:count]
        self.carrier.until(self.now + pause, Random(1))

    @rule()
    def backup(self) -> None:
        self.backups = [*self.backups[-1:], [replace(entry) for entry in self.entries]]

    @precondition(lambda self: self.backups)
    @rule(which=st.integers(0, 1), pause=pauses)
    def restore(self, which: int, pause: float) -> None:
        """The list goes back to what it was; the server's clock does not."""
        self._disturb()
        self.carrier.now += 2.0
        saved = self.backups[which % len(self.backups)]
        there = {id(entry) for entry in self.entries}
        lowest = min((entry.serial for entry in saved), default=self.serial)
        ever = Counter({text: count for text, count in self.made.items() if int(text[1:]) >= lowest})
        away = ever - Counter(entry.text for entry in saved)
        if away.total() > REACH.kept:
            self.forgotten |= away.keys()
        self.entries = [replace(entry) for entry in saved]
        for entry in self.entries:
            entry.excused = entry.excused or id(entry) not in there
        self.carrier.until(self.now + pause, Random(1))

    def _disturb(self) -> None:
        """What is not visible yet while the list changes below it cannot be told from what was there before."""
        self.shown(self.now)
        for entry in self.entries:
            entry.excused = entry.excused or not entry.shown

    @rule(newest_first=st.booleans(), clamped=st.booleans(), versions=st.sampled_from([{1, 2}, {1}, {2}]), pause=pauses)
    def upgrade(self, newest_first: bool, clamped: bool, versions: set[int], pause: float) -> None:
        self.newest_first, self.clamped, self.versions = newest_first, clamped, versions
        self.carrier.until(self.now + pause, Random(1))

    @rule(how=st.sampled_from([*PASSING, "torn", "cut", "empty"]), times_=st.integers(1, 2))
    def sicken(self, how: str, times_: int) -> None:
        self.faults.at_work["Activity"] = (how, times_)

    @rule(how=st.sampled_from(["stale", "again"]))
    def fall_behind(self, how: str) -> None:
        """One answer lacks the newest, or is the one before once more; the next is right again."""
        self.carrier.until(self.now + 5.0, Random(1))
        self.faults.at_work["Activity"] = (how, 1)
        self.carrier.until(self.now + 5.0, Random(1))

    @rule(seconds=st.sampled_from([0.0, 1.0, 5.0, 60.0]), seed=seeds)
    def live(self, seconds: float, seed: int) -> None:
        self.carrier.until(self.now + seconds, Random(seed), step=1.0)

    @invariant()
    def nothing_is_told_twice(self) -> None:
        for record in self.ledger.records[self.judged :]:
            assert record.type != "quarantine.v1"
            if record.type == "audit.activity.v1" and record.data is not None:
                text = msgspec.json.decode(record.data["events"])[0]["message"]
                self.told[text] += 1
                assert text not in self.before, f"{record.id} was there before the stream began"
                self.in_epoch[record.epoch, text] += 1
                told = self.in_epoch[record.epoch, text] if text in self.forgotten else self.told[text]
                assert told <= self.made[text], f"{record.id} is told {told} times"
        self.judged = len(self.ledger.records)

    def teardown(self) -> None:
        if not hasattr(self, "carrier"):
            return
        self.heal()
        self.versions = self.versions or {2}
        self.carrier.until(self.now + 60.0, Random(1), step=1.0)
        if self.carrier.state.absent:
            self.carrier.until(self.now + 700.0, Random(1), step=1.0)
        self.nothing_is_told_twice()
        there = Counter(entry.text for entry in self.shown(self.now) if self._due(entry))
        for text, count in there.items():
            if text not in self.before:
                assert self.told[text] >= count, f"{text} is told {self.told[text]} times of {count}"

    @staticmethod
    def _due(entry: Entry) -> bool:
        return not entry.excused and entry.buried <= BURIED_MAX


TestActivity = ActivityMachine.TestCase
TestActivity.settings = budget(200, 40)
