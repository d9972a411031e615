"""The tail loop: nothing held survives a failed commit, nothing slow holds up the rest, nothing spins."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchbridge.core.batch import BATCH_RECORDS_MAX, Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.facts import Connection
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import Sink, StreamId
from orchbridge.core.questions import Answer, Inventory, JobEvents, JobsPage, Page, Question, Reply
from orchbridge.runtime.asking import UNDER_WAY_MAX
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import clock, live

FATES = st.sampled_from(
    ["ok", "ok", "ok", "refused", "answer_lost", "cancelled_before", "cancelled_after", "leaked_before", "leaked_after"]
)


def few_jobs() -> Server:
    jobs = [simple_job(id_, 100 + id_, begin=id_ * 0.7, nodes=2, step=4, fail=id_ % 2) for id_ in range(1, 4)]
    jobs[1].events[1] = (*jobs[1].events[1][:4], 1.6)
    return Server(jobs)


def wanted(server: Server) -> list[str]:
    return sorted(f"e1:job/{job.id}/event/{event[0]}" for job in server.jobs for event in job.events)


async def somebody_cancelled() -> None:
    """Wait for what somebody else cancels: that raises what being cancelled does, and nobody cancelled us."""
    task = asyncio.create_task(asyncio.sleep(60.0))
    await asyncio.sleep(0)
    task.cancel()
    await task


class Crash(Exception):
    """The process dies here."""


def doomed(fates: Iterator[str]) -> MemoryStore:
    """Return a memory whose commits meet these fates: lost before or after, or the process dies on either side."""
    store = MemoryStore()
    fate = "ok"

    async def before(stream: StreamId, batch: Batch) -> None:
        nonlocal fate
        fate = next(fates, "ok")
        await asyncio.sleep(0.01)
        if fate == "refused":
            raise SinkLost("refused")
        if fate == "cancelled_before":
            raise Crash
        if fate == "leaked_before":
            await somebody_cancelled()

    async def after(stream: StreamId, batch: Batch) -> None:
        if fate == "answer_lost":
            raise SinkLost("done, but we never heard")
        if fate == "cancelled_after":
            raise Crash
        if fate == "leaked_after":
            await somebody_cancelled()

    store.before, store.after = before, after
    return store


async def through(
    store: MemoryStore, server: Server, until: float, *, stream: JobStream | None = None, sink: Sink | None = None
) -> None:
    """Carry the jobs until that time, starting anew after every crash."""
    while clock() < until:
        stage = Stage(store, sink=sink)
        try:
            async with stage.carrying(Orchestrator(server), stream or JobStream(settings("jobs"))) as task:
                await asyncio.wait([task], timeout=until - clock())
        except* Crash:
            await asyncio.sleep(0.3)


@hypothesis_settings(deadline=None)
@given(st.lists(FATES, max_size=50))
def test_every_record_exactly_once_whatever_the_commits_do(fates: list[str]) -> None:
    server = few_jobs()
    store = doomed(iter(fates))
    live(through(store, server, 60.0 + 16.0 * len(fates)))
    ids = store.ids
    assert sorted(id_ for id_ in ids if "/event/" in id_) == wanted(server)
    assert len(ids) == len(set(ids))
    assert {record.key for record in store.records if record.type == "job.summary.v1"} == {"1", "2", "3"}


class Keeping(JobStream):
    """A mutant: what was held in memory outlives a failed commit."""

    held: Any = None

    def fold(self, state: Any, replies: Sequence[Reply], now: float) -> Batch:
        batch = super().fold(state, replies, now)
        self.held = batch.state
        return batch

    def recall(self, owner: str) -> Any:
        recall = super().recall(owner)
        told = recall.state
        recall.state = lambda: self.held or told()  # type: ignore[method-assign]
        return recall


class Retrying(MemorySink):
    """A mutant: a commit in doubt is tried again instead of asking the sink where it stands."""

    @contextlib.asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[Any]:
        async with super().claim(stream) as lane:
            sure = lane.commit

            async def commit(batch: Batch) -> None:
                try:
                    await sure(batch)
                except SinkLost:
                    lane.dead = False
                    await sure(batch)

            lane.commit = commit  # type: ignore[method-assign]
            yield lane


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_tail_that_keeps_its_state_would_lose_records(at: int) -> None:
    server = few_jobs()
    store = doomed(iter(["ok"] * at + ["refused"]))
    live(through(store, server, 60.0, stream=Keeping(settings("jobs"))))
    assert sorted(id_ for id_ in store.ids if "/event/" in id_ or "/state/" in id_) != sorted(whole(few_jobs()))


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_tail_that_retries_without_recall_would_repeat_records(at: int) -> None:
    store = doomed(iter(["ok"] * at + ["answer_lost"]))
    live(through(store, few_jobs(), 60.0, sink=Retrying(store)))
    assert len(store.ids) > len(set(store.ids))


def whole(server: Server) -> list[str]:
    """Return the ids that the tail as it is delivers."""
    store = MemoryStore()
    live(through(store, server, 60.0))
    return [id_ for id_ in store.ids if "/event/" in id_ or "/state/" in id_]


@pytest.mark.parametrize("side", ["refused", "answer_lost"])
def test_after_a_lost_sink_the_state_is_dropped_and_recalled(side: str) -> None:
    async def main() -> None:
        server = few_jobs()
        stage = Stage(doomed(iter(["ok", "ok", side])))
        async with stage.carrying(Orchestrator(server)):
            await stage.watch.wait_for("claimed", 2)
            claimed = stage.watch.states["jobs"]
            assert all(track.job is None for track in claimed.tracks.values()), "what was held came through"
            written = {int(key.rpartition("/")[2]) for key in stage.store.documents if key != "prod/jobs"}
            assert set(claimed.tracks) == written
            await asyncio.sleep(30.0)
        assert sorted(stage.events) == wanted(server)
        assert stage.watch.count("stumbled") == 1

    live(main())


def test_a_stalled_question_holds_up_only_its_own_job() -> None:
    async def main() -> None:
        server = Server([simple_job(1, 100), simple_job(2, 200)])
        api, stage = Orchestrator(server), Stage()
        gate = api.hold(lambda question: isinstance(question, JobEvents) and question.job == 1)
        async with stage.carrying(api):
            await asyncio.sleep(8.0)
            assert stage.certified == {"2": True}
            gate.set()
            await asyncio.sleep(8.0)
            assert stage.certified == {"1": True, "2": True}
        assert sorted(stage.events) == wanted(server)

    live(main())


def test_what_answers_hold_is_told_once() -> None:
    """A long answer is folded slice by slice, and is one answer all the same."""

    async def main() -> None:
        names = [f"n{number:04}.test" for number in range(2 * BATCH_RECORDS_MAX + 1)]
        nodes = {name: Connection(name, True, None, "2026-01-01T00:00:00Z") for name in names}
        stage, api = Stage(), Orchestrator(Server(inventory=nodes))
        async with stage.carrying(api, InventoryStream(settings("inventory", poll_s=100.0))):
            await asyncio.sleep(20.0)
        assert stage.watch.count("committed") == 3
        assert stage.watch.items == len(names)

    live(main())


def test_many_stalled_questions_do_not_hide_the_list() -> None:
    async def main() -> None:
        server = Server([simple_job(id_, id_ * 100, begin=0.0) for id_ in range(1, 41)])
        api, stage = Orchestrator(server), Stage()
        api.hold(lambda question: not isinstance(question, JobsPage))
        async with stage.carrying(api):
            await asyncio.sleep(10.0)
        lists = [at for at, question in api.asked if isinstance(question, JobsPage)]
        assert len(lists) >= 9
        assert max(later - at for at, later in pairwise(lists)) < 1.5

    live(main())


class Counting(JobStream):
    """A stream that counts how often it was asked what to ask."""

    asks = 0

    def ask(self, state: object, now: float) -> tuple[Question, ...]:  # type: ignore[override]
        self.asks += 1
        assert self.asks < 1_000, "the loop spins"
        return super().ask(state, now)  # type: ignore[arg-type]


def test_a_slow_list_does_not_make_the_loop_spin() -> None:
    async def main() -> None:
        api, stage, stream = Orchestrator(few_jobs()), Stage(), Counting(settings("jobs"))
        gate = api.hold(lambda question: isinstance(question, JobsPage))
        async with stage.carrying(api, stream):
            await asyncio.sleep(30.0)
            assert stream.asks <= 30.0 / 0.5 + 5
            gate.set()
            await asyncio.sleep(10.0)
        assert sorted(stage.events) == wanted(api.server)

    live(main())


def test_idle_costs_one_lap_a_tick() -> None:
    async def main() -> None:
        stage, stream = Stage(), Counting(settings("jobs"))
        api = Orchestrator(Server([simple_job(1, 100, begin=-9_000.0)]))
        async with stage.carrying(api, stream):
            await asyncio.sleep(5.0)
            stream.asks = 0
            api.asked.clear()
            await asyncio.sleep(20.0)
        assert [type(question) for _, question in api.asked] == [JobsPage] * len(api.asked)
        assert 19 <= len(api.asked) <= 21
        assert stream.asks <= 3 * len(api.asked)

    live(main())


def test_a_clock_that_goes_back_stops_nothing() -> None:
    async def main() -> None:
        lag = 4_000.0
        stage = Stage(clock_=lambda: clock() + lag)
        server = Server([simple_job(1, 100, begin=0.0), simple_job(2, 200, begin=11.0)])
        api = Orchestrator(server)
        async with stage.carrying(api):
            await asyncio.sleep(10.0)
            lag = 400.0
            await asyncio.sleep(20.0)
            assert stage.certified == {"1": True, "2": True}
        assert sorted(stage.events) == wanted(server)
        assert len(stage.store.ids) == len(set(stage.store.ids))
        assert "the clock went back by 3" in str(stage.watch.told)

    live(main())


class Weighing(JobStream):
    """A stream that knows which answers of events it has folded."""

    def __init__(self) -> None:
        super().__init__(settings("jobs"))
        self.folded: set[int] = set()

    def fold(self, state: Any, replies: Sequence[Reply], now: float) -> Batch:
        batch = super().fold(state, replies, now)
        left = {reply.question.job for reply in batch.left if isinstance(reply.question, JobEvents)}
        self.folded |= {r.question.job for r in replies if isinstance(r.question, JobEvents)} - left
        return batch


def test_answers_waiting_to_be_folded_are_bounded() -> None:
    """A batch holds 2,000 records; while large answers wait for their turn, no more of them are asked for."""

    class Heavy(Server):
        def answer(self, question: Question, now: float) -> Any:
            told = super().answer(question, now)
            if not isinstance(question, JobEvents):
                return told
            items = tuple(msgspec.structs.replace(item, raw=RAW) for item in told.items)  # type: ignore[union-attr]
            return msgspec.structs.replace(told, items=items)

    async def main() -> None:
        server = Heavy([simple_job(id_, id_ * 1_000, begin=-900.0, nodes=300) for id_ in range(1, 65)])
        stage, stream, most = Stage(), Weighing(), 0
        api = Orchestrator(server)

        async def slow(_: StreamId, batch: Batch) -> None:
            nonlocal most
            await asyncio.sleep(0.3)
            answered = {question.job for _, question in api.asked if isinstance(question, JobEvents)}
            most = max(most, len(answered - stream.folded))

        stage.store.before = slow
        async with stage.carrying(api, stream):
            await asyncio.sleep(60.0)
        assert stage.certified == {str(id_): True for id_ in range(1, 65)}
        assert most <= UNDER_WAY_MAX + 4

    live(main())


RAW = b'{"id":"1","x":"' + b"x" * 20_000 + b'"}'


class Rows(list[Connection]):
    """Rows of a list; other than a tuple's it can be seen when they go."""


class Roll:
    """Implements Api: a list of these many nodes, each answer in memory of its own."""

    def __init__(self, nodes: int) -> None:
        self.names = [f"node{number:03d}" for number in range(nodes)]
        self.answers: list[weakref.ref[Rows]] = []

    async def answer(self, question: Question) -> Answer:
        assert isinstance(question, Inventory)
        rows = Rows(Connection(name, True, "broker", "2026-01-01T00:00:00Z") for name in self.names)
        self.answers.append(weakref.ref(rows))
        return Page(rows)  # type: ignore[arg-type]

    def changed(self) -> bool:
        return False


def test_an_answer_does_not_stand_in_memory_while_what_it_said_is_committed() -> None:
    """With a large inventory the next list comes in meanwhile: one of them is enough."""
    roll, store = Roll(3), MemoryStore()
    standing: list[int] = []

    async def before(stream: StreamId, batch: Batch) -> None:
        standing.append(sum(answer() is not None for answer in roll.answers))

    store.before = before

    async def play() -> None:
        stage = Stage(store)
        async with stage.carrying(roll, InventoryStream(settings("inventory"))):  # type: ignore[arg-type]
            await asyncio.sleep(1.0)

    live(play())
    assert standing
    assert set(standing) == {0}


@pytest.mark.parametrize("side", ["before", "after"])
def test_what_somebody_else_cancelled_ends_no_stream(side: str) -> None:
    """A library that lets out a cancellation of its own: the tail stumbles, says so and goes on."""
    server, store = few_jobs(), MemoryStore()
    commits = 0

    async def hook(stream: StreamId, batch: Batch) -> None:
        nonlocal commits
        commits += 1
        if commits == 2:
            await somebody_cancelled()

    setattr(store, side, hook)

    async def play() -> Stage:
        stage = Stage(store)
        async with stage.carrying(Orchestrator(server)) as task:
            await asyncio.sleep(60.0)
            assert not task.done()
        return stage

    stage = live(play())
    assert sorted(stage.events) == wanted(server)
    stumbles = [detail for what, _, detail in stage.watch.told if what == "stumbled"]
    assert "nobody asked for that" in str(*stumbles)
