"""Workers that share streams through a real consumer group: who has what, and what becomes of their lanes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from orchbridge.core.errors import Fenced
from orchbridge.core.ports import Lane, Share, StreamId
from orchbridge.sinks.kafka import KafkaSink
from tests.sinks.contract import JOBS, NODES, OTHER_JOBS, OTHER_NODES, PLANS, head, record, remember
from tests.sinks.kafka_place import KafkaPlace

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

STREAMS = (JOBS, PLANS, NODES, OTHER_JOBS, OTHER_NODES, StreamId("test", "plans"))


class Worker:
    """A sink that has joined; `owned` is what it was given last, `shares` everything it was told."""

    def __init__(self, name: str, sink: KafkaSink) -> None:
        self.name, self.sink = name, sink
        self.shares: list[Share] = []
        self._news = asyncio.Event()

    @property
    def decided(self) -> list[Share]:
        return [share for share in self.shares if share.apart is None]

    @property
    def owned(self) -> frozenset[StreamId]:
        return self.decided[-1].owned if self.decided else frozenset()

    async def listen(self, share: Callable[[], object]) -> None:
        while True:
            self.shares.append(await share())  # type: ignore[misc]
            self._news.set()

    async def until(self, met: Callable[[], bool], limit_s: float = 20.0) -> None:
        async with asyncio.timeout(limit_s):
            while not met():
                self._news.clear()
                await self._news.wait()


class Crew:
    """Workers over one place; each may leave, or be cut off as if it had died."""

    def __init__(self, place: KafkaPlace, tasks: asyncio.TaskGroup) -> None:
        self.place, self._tasks = place, tasks
        self._ends: dict[str, asyncio.Event] = {}
        self._gone: dict[str, asyncio.Task[None]] = {}

    async def hire(self, name: str, streams: tuple[StreamId, ...] = STREAMS) -> Worker:
        worker, joined = Worker(name, self.place.sink()), asyncio.Event()
        self._ends[name] = asyncio.Event()
        self._gone[name] = self._tasks.create_task(self._work(worker, streams, joined))
        await joined.wait()
        await worker.until(lambda: bool(worker.decided))
        return worker

    async def _work(self, worker: Worker, streams: tuple[StreamId, ...], joined: asyncio.Event) -> None:
        await worker.sink.open(streams)
        async with worker.sink.join(streams, worker.name) as group, asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(worker.listen(group.share))
            joined.set()
            await self._ends[worker.name].wait()
            listening.cancel()

    async def leave(self, worker: Worker) -> None:
        self._ends[worker.name].set()
        await self._gone[worker.name]

    async def end(self) -> None:
        for event in self._ends.values():
            event.set()


@pytest.fixture
def place(kafka: str, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka, prefix)


@contextlib.asynccontextmanager
async def crew(place: KafkaPlace) -> AsyncIterator[Crew]:
    async with asyncio.TaskGroup() as tasks:
        found = Crew(place, tasks)
        try:
            yield found
        finally:
            await found.end()


async def all_settled(*workers: Worker, streams: tuple[StreamId, ...] = STREAMS, limit_s: float = 20.0) -> None:
    names = tuple(sorted(worker.name for worker in workers))
    for worker in workers:
        await worker.until(lambda worker=worker: worker.decided[-1].members == names, limit_s)  # type: ignore[misc]
    together = sorted(stream.name for worker in workers for stream in worker.owned)
    assert together == sorted(stream.name for stream in streams)


async def commit(lane: Lane, number: int, owner: str, stream: StreamId = JOBS) -> None:
    item = record(number, key=stream.kind, source=stream.source)
    await lane.commit(remember({stream.name: head(owner, high=number)}, item))


async def test_two_then_three_share_evenly_and_one_that_leaves_hands_over_at_once(place: KafkaPlace) -> None:
    async with crew(place) as workers:
        a = await workers.hire("a")
        assert a.owned == frozenset(STREAMS)
        b = await workers.hire("b")
        await all_settled(a, b)
        assert (len(a.owned), len(b.owned)) == (3, 3)
        before = a.owned
        c = await workers.hire("c")
        await all_settled(a, b, c)
        assert (len(a.owned), len(b.owned), len(c.owned)) == (2, 2, 2)
        assert a.owned < before, "who has to give keeps the rest"
        assert a.decided[-1].owners == {stream.name: worker.name for worker in (a, b, c) for stream in worker.owned}
        began = asyncio.get_running_loop().time()
        await workers.leave(b)
        await all_settled(a, c)
        assert asyncio.get_running_loop().time() - began < 4.0
        assert (len(a.owned), len(c.owned)) == (3, 3)


async def test_a_lane_whose_stream_stays_goes_on_and_one_whose_stream_goes_is_let_go(place: KafkaPlace) -> None:
    async with crew(place) as workers:
        a = await workers.hire("a")
        async with contextlib.AsyncExitStack() as stack:
            lanes = {stream: await stack.enter_async_context(a.sink.claim(stream)) for stream in STREAMS}
            for stream, lane in lanes.items():
                await commit(lane, 1, "a", stream)
            b = await workers.hire("b")
            await all_settled(a, b)
            for stream, lane in lanes.items():
                if stream in a.owned:
                    await commit(lane, 2, "a", stream)
                else:
                    with pytest.raises(Fenced, match=r"gave .* to b"):
                        await commit(lane, 2, "a", stream)
        for stream in b.owned:
            async with b.sink.claim(stream) as lane:
                await commit(lane, 2, "b", stream)
        for stream in a.owned:
            with pytest.raises(Fenced, match="does not count"):
                async with b.sink.claim(stream):
                    pass
    numbers = [(item.topic, item.id) for item in await place.seen()]
    assert len(numbers) == len(set(numbers)) == 2 * len(STREAMS)


async def test_a_commit_waits_while_the_group_decides(place: KafkaPlace) -> None:
    async with crew(place) as workers:
        a = await workers.hire("a")
        async with a.sink.claim(JOBS) as lane, asyncio.TaskGroup() as tasks:
            await commit(lane, 1, "a")
            member = a.sink._member
            assert member is not None
            await member.revoked()
            waiting = tasks.create_task(commit(lane, 2, "a"))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            member._decide()  # it is ours again
            await waiting
    assert [item.id.rsplit("/", 1)[1] for item in await place.seen()] == ["1", "2"]
