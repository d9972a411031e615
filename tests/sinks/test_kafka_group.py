"""Workers that share streams through a real consumer group: who has what, and what becomes of their lanes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiokafka.protocol.group import LeaveGroupRequest

from orchbridge.core.errors import Fenced, SinkLost
from orchbridge.core.ports import Lane, Share, StreamId
from orchbridge.sinks.kafka import KafkaSink
from orchbridge.sinks.kafka.clients import SESSION_S
from orchbridge.sinks.kafka.group import Standing
from tests.sinks.contract import JOBS, NODES, OTHER_JOBS, OTHER_NODES, PLANS, cursors, head, record, remember
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
        assert asyncio.get_running_loop().time() - began < SESSION_S - 0.5, "nobody waits for a session to end"
        assert (len(a.owned), len(c.owned)) == (3, 3)


async def test_two_that_leave_one_after_the_other_keep_nobody_waiting(place: KafkaPlace) -> None:
    """The second leaves while the group still shares out what the first had."""
    async with crew(place) as workers:
        a, b, c = [await workers.hire(name) for name in "abc"]
        await all_settled(a, b, c)
        began = asyncio.get_running_loop().time()
        member = b.sink._member
        assert member is not None
        generation = member._generation
        await workers.leave(a)
        # Until the group begins to share out, which tells nobody else; it may have done so while `a` was leaving.
        while member._moved.is_set() and member._generation == generation:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await workers.leave(b)
        await all_settled(c)
        assert asyncio.get_running_loop().time() - began < SESSION_S - 0.5, "nobody waits for a session to end"


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


async def test_a_member_the_group_has_dropped_joins_again_and_its_lanes_go_on(place: KafkaPlace) -> None:
    """As after a sleep: until it has joined again nothing is its own, and nobody else took anything meanwhile."""
    async with crew(place) as workers:
        a = await workers.hire("a")
        async with a.sink.claim(JOBS) as lane:
            await commit(lane, 1, "a")
            member, before = a.sink._member, len(a.decided)
            assert member is not None
            coordinator = member._consumer._coordinator
            await coordinator._send_req(LeaveGroupRequest(place.settings.group, coordinator.member_id))
            assert await member.standing(JOBS) is Standing.ANOTHERS
            with pytest.raises(Fenced):
                async with a.sink.claim(PLANS):
                    pass
            await a.until(lambda: len(a.decided) > before)
            assert await member.standing(JOBS) is Standing.OURS
            await commit(lane, 2, "a")
    assert [item.id.rsplit("/", 1)[1] for item in await place.seen()] == ["1", "2"]


async def test_workers_of_different_configurations_carry_what_they_can(place: KafkaPlace) -> None:
    old, new = (JOBS, PLANS, NODES), (JOBS, PLANS, OTHER_JOBS, OTHER_NODES)
    async with crew(place) as workers:
        a = await workers.hire("a", old)
        b = await workers.hire("b", new)
        await all_settled(a, b, streams=tuple(set(old + new)))
        assert NODES in a.owned
        assert {OTHER_JOBS, OTHER_NODES} <= b.owned
        assert a.owned <= set(old)
        assert b.owned <= set(new)
        await workers.leave(a)
        await all_settled(b, streams=new)
        assert f"{NODES.name}" not in b.decided[-1].owners, "nobody is left who could"


async def test_what_goes_wrong_in_our_callbacks_is_not_only_logged(place: KafkaPlace) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with crew(place) as workers:
            a = await workers.hire("a")
            assert a.sink._member is not None
            a.sink._member.gates = {JOBS: None}  # type: ignore[dict-item]
            await workers.hire("b")
            await asyncio.sleep(20)
    assert caught.group_contains(AttributeError)


async def test_a_decision_that_comes_while_a_consumer_is_closed_concerns_nobody(place: KafkaPlace) -> None:
    """Taken for a fault of ours it would end every later consumer as well, and each leaving disturbs the others."""
    async with crew(place) as workers:
        a = await workers.hire("a")
        member = a.sink._member
        assert member is not None
        closed = member._consumer
        stop = closed.stop

        async def stop_late() -> None:
            await stop()
            member.assigned(set())  # the join that was waited for

        closed.stop = stop_late
        closed._coordinator._do_rejoin_group = None  # whatever it does next fails
        closed._coordinator.request_rejoin()
        await a.until(lambda: a.shares[-1].apart is not None)
        await a.until(lambda: a.shares[-1].apart is None)
        second = member._consumer
        assert second is not closed
        b = await workers.hire("b")
        await all_settled(a, b)
        assert member._consumer is second, "it went on"


async def test_a_coordinator_task_that_dies_costs_a_new_consumer(place: KafkaPlace) -> None:
    async with crew(place) as workers:
        a = await workers.hire("a")
        async with a.sink.claim(JOBS) as lane:
            await commit(lane, 1, "a")
            member = a.sink._member
            assert member is not None
            first = member._consumer
            first._coordinator._do_rejoin_group = None  # whatever it does next fails
            first._coordinator.request_rejoin()
            await a.until(lambda: a.shares[-1].apart is not None)
            await a.until(lambda: a.shares[-1].apart is None)
            assert member._consumer is not first
            assert a.owned == frozenset(STREAMS)
            await commit(lane, 2, "a")
        assert await place.sink().owner(JOBS) is not None
    assert await place.sink().owner(JOBS) is None, "they left"


async def test_a_sequence_out_of_order_leads_to_a_new_claim_and_no_contest(place: KafkaPlace) -> None:
    async with crew(place) as workers:
        a = await workers.hire("a")
        async with a.sink.claim(JOBS) as lane:
            await commit(lane, 1, "a")
            sequences = lane._producer._txn_manager._sequence_numbers
            for partition in tuple(sequences):
                sequences[partition] += 7
            with pytest.raises(SinkLost) as caught:
                await commit(lane, 2, "a")
            assert not caught.value.contested
        async with a.sink.claim(JOBS) as lane:
            await commit(lane, 2, "a")
    assert [item.id.rsplit("/", 1)[1] for item in await place.seen()] == ["1", "2"]


WRITER = """
import asyncio, sys
from orchbridge.core.errors import OrchbridgeError
from tests.sinks.contract import *
from tests.sinks.kafka_place import KafkaPlace

async def main(bootstrap, prefix, size):
    place = KafkaPlace(bootstrap, prefix, transaction_timeout_s=1.0)
    sink = place.sink()
    await sink.open([JOBS])
    async with sink.join([JOBS], "writer") as group:
        while (await group.share()).apart is not None:
            pass
        async with sink.claim(JOBS) as lane:
            high = (await cursors(lane)).get("prod/jobs", {"high": 0})["high"]
            while True:
                items = [record(n, str(n % 3), data={"text": "x" * int(size)}) for n in range(high + 1, high + 101)]
                high += 100
                await lane.commit(remember({"prod/jobs": head("writer", high=high)}, *items))
                print(high, flush=True)

try:
    asyncio.run(main(*sys.argv[1:]))
except* OrchbridgeError as group:
    error = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    print(type(error).__name__, getattr(error, "contested", None), error, flush=True)
"""


@pytest.fixture
def writer(place: KafkaPlace) -> Iterator[subprocess.Popen[str]]:
    """A process that joins, claims and commits, and sleeps when it is told to; its commits take some 50 ms."""
    command = [sys.executable, "-c", WRITER, place.settings.bootstrap_servers, place.prefix, "15000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


async def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_the_coordinators_own_abort_is_told_from_a_newer_owner(
    place: KafkaPlace, writer: subprocess.Popen[str]
) -> None:
    """Asleep beyond the transaction's timeout, but not beyond the session's: the group goes on calling it ours."""
    line = ""
    for attempt in range(30):
        begun = time.monotonic()
        for _ in range(10):  # what it wrote before we listened is read away, and how long it takes is seen
            line = await heard(writer)
        commit_s = (time.monotonic() - begun) / 10
        if not line.isdigit():
            break
        await asyncio.sleep(commit_s * (0.25 + attempt % 4 / 6))  # into the next commit
        writer.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.8)
        writer.send_signal(signal.SIGCONT)
        line = next((said for said in [await heard(writer) for _ in range(2)] if not said.isdigit()), line)
        if not line.isdigit():
            break
    assert line.startswith("SinkLost True")


async def test_asleep_beyond_the_session_it_is_fenced_and_does_no_harm(
    place: KafkaPlace, writer: subprocess.Popen[str]
) -> None:
    await heard(writer)
    async with crew(place) as workers, asyncio.timeout(60):
        hired = asyncio.create_task(workers.hire("b", (JOBS,)))
        writer.send_signal(signal.SIGSTOP)
        b = await hired
        began = asyncio.get_running_loop().time()
        await b.until(lambda: JOBS in b.owned)
        print(f"given {asyncio.get_running_loop().time() - began:.2f} s after joining")
        async with b.sink.claim(JOBS) as lane:
            high = (await cursors(lane))["prod/jobs"]["high"]
            await lane.commit(remember({"prod/jobs": head("b", high=high + 1)}, record(high + 1)))
            writer.send_signal(signal.SIGCONT)
            lines = [await heard(writer) for _ in range(3)]
            fenced = next(line for line in lines if line and not line.isdigit())
            assert fenced.startswith("Fenced")
            await asyncio.sleep(1.0)  # whatever the sleeper still had on its way
            await lane.commit(remember({"prod/jobs": head("b", high=high + 2)}, record(high + 2)))
    numbers = [int(item.id.rsplit("/", 1)[1]) for item in await place.seen()]
    assert sorted(numbers) == list(range(1, high + 3))
