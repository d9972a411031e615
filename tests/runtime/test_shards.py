"""What the group decides is what runs: streams start and stop with it, whatever the order of things."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.errors import Fenced, SinkLost
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import Share, StreamId
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.shards import AGAIN_S, carry_shares
from orchbridge.runtime.stop import Stop
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import clock, live
from tests.runtime.watching import Watching

JOBS, NODES = StreamId("prod", "jobs"), StreamId("prod", "inventory")


class Decisions:
    """A group whose decisions are made by hand."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Share] = asyncio.Queue()

    async def share(self) -> Share:
        return await self._queue.get()

    def decide(self, *owned: StreamId, **owners: str) -> None:
        named = {f"prod/{kind}": name for kind, name in owners.items()}
        self._queue.put_nowait(Share(frozenset(owned), "orchbridge", ("w1", "w2"), named))

    def cut_off(self) -> None:
        self._queue.put_nowait(Share(frozenset(), "orchbridge", apart=SinkLost("no coordinator")))


class SharedSink(MemorySink):
    """A memory that is shared out by hand."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.group = Decisions()

    @contextlib.asynccontextmanager
    async def join(self, streams: Sequence[StreamId], worker: str) -> AsyncIterator[Decisions]:  # type: ignore[override]
        yield self.group


class Crew:
    """One worker of several over one memory, with jobs and inventory."""

    def __init__(self, store: MemoryStore, server: Server) -> None:
        self.sink, self.api = SharedSink(store), Orchestrator(server)
        self.group = self.sink.group
        self.stage = Stage(store, sink=self.sink)
        self.watch = self.stage.watch

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        feeds = [Feed(JobStream(settings("jobs")), self.api), Feed(InventoryStream(settings("inventory")), self.api)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry_all(feeds, self.stage.worker))
            yield
            self.stage.stop.ask()

    def told(self, *what: str) -> list[tuple[str, str]]:
        return [(told, kind) for told, kind, _ in self.watch.told if told in what]


def one() -> Crew:
    return Crew(MemoryStore(), Server([simple_job(1, 100)]))


def test_nothing_is_asked_before_the_group_has_decided() -> None:
    async def main() -> None:
        crew = one()
        async with crew.working():
            await asyncio.sleep(60.0)
            assert crew.api.asked == []
            crew.group.decide(JOBS)
            await crew.watch.wait_for("claimed", kind="jobs")
            await asyncio.sleep(20.0)
        assert crew.stage.certified == {"1": True}
        assert crew.told("assigned", "claimed") == [("assigned", "jobs"), ("claimed", "jobs")]

    live(main())


def test_what_stays_goes_on_with_its_claim_and_what_goes_stops() -> None:
    async def main() -> None:
        crew = one()
        async with crew.working():
            crew.group.decide(JOBS, NODES)
            await crew.watch.wait_for("claimed", times=2)
            await asyncio.sleep(5.0)
            crew.group.decide(JOBS, inventory="w2")
            assert await crew.watch.wait_for("revoked") == "w2 carries it now"
            since = clock()
            await asyncio.sleep(60.0)
            late = [
                question for at, question in crew.api.asked if at > since and "Inventory" in type(question).__name__
            ]
            assert late == []
            assert crew.api.asked[-1][0] > clock() - 5.0, "jobs go on"
        assert crew.watch.count("claimed", "jobs") == 1
        assert crew.told("released", "stumbled") == []

    live(main())


def test_given_away_and_back_before_it_has_ended_it_is_carried_again() -> None:
    async def main() -> None:
        crew = one()
        committing, end = asyncio.Event(), asyncio.Event()

        async def slow(stream: StreamId, batch: object) -> None:
            if stream == JOBS and not end.is_set():
                committing.set()
                await end.wait()

        crew.stage.store.before = slow
        async with crew.working():
            crew.group.decide(JOBS)
            await committing.wait()
            crew.group.decide(jobs="w2")
            await asyncio.sleep(0.1)
            crew.group.decide(JOBS)
            await asyncio.sleep(0.1)
            assert crew.watch.count("assigned") == 1, "two of a kind never run at once"
            end.set()
            await crew.watch.wait_for("claimed", times=2)
            await asyncio.sleep(20.0)
        assert crew.stage.certified == {"1": True}
        assert crew.told("revoked", "released") == []
        assert len(crew.stage.store.ids) == len(set(crew.stage.store.ids))

    live(main())


def test_fenced_and_ours_by_a_later_decision_it_is_carried_again() -> None:
    async def main() -> None:
        crew = one()
        async with crew.working():
            crew.group.decide(JOBS)
            await crew.watch.wait_for("committed")
            async with MemorySink(crew.stage.store).claim(JOBS):
                pass  # a newer owner, for a moment
            crew.api.server.jobs.append(simple_job(2, 200, begin=clock()))
            await crew.watch.wait_for("released")
            assert crew.watch.count("claimed") == 1
            crew.group.decide(JOBS)
            await crew.watch.wait_for("claimed", times=2)
            await asyncio.sleep(30.0)
        assert crew.stage.certified == {"1": True, "2": True}

    live(main())


def test_fenced_while_the_group_says_nothing_it_is_tried_again_all_the_same() -> None:
    async def main() -> None:
        watch, group, stop, at = Watching(), Decisions(), Stop(), []

        async def carrying(_: StreamId, term: Stop) -> Fenced | None:
            at.append(clock())
            if len(at) < 4:
                return Fenced("somebody")
            await term.wait()
            return None

        group.decide(JOBS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry_shares([JOBS], group, stop, watch, carrying))
            await asyncio.sleep(100.0)
            stop.ask()
        assert at == pytest.approx([0.0, AGAIN_S, 2 * AGAIN_S, 3 * AGAIN_S])

    live(main())


def test_fenced_and_given_to_another_it_stands_by() -> None:
    async def main() -> None:
        watch, group, stop, runs = Watching(), Decisions(), Stop(), []

        async def carrying(id_: StreamId, _: Stop) -> Fenced | None:
            runs.append(id_)
            return Fenced("somebody")

        group.decide(JOBS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry_shares([JOBS], group, stop, watch, carrying))
            await asyncio.sleep(1.0)
            group.decide(jobs="w2")
            await asyncio.sleep(100.0)
            stop.ask()
        assert runs == [JOBS]
        assert watch.count("revoked") == 1

    live(main())


def test_outside_the_group_what_is_ours_goes_on_until_it_says_otherwise() -> None:
    async def main() -> None:
        crew = one()
        async with crew.working():
            crew.group.decide(JOBS)
            await crew.watch.wait_for("claimed")
            crew.group.cut_off()
            await asyncio.sleep(20.0)
        assert crew.stage.certified == {"1": True}
        assert crew.watch.shares[-1].apart is not None
        assert crew.told("revoked", "released") == []

    live(main())


def test_one_that_is_done_ends_and_the_others_go_on() -> None:
    async def main() -> None:
        watch, group, stop, ends = Watching(), Decisions(), Stop(), []

        async def carrying(id_: StreamId, term: Stop) -> Fenced | None:
            if id_ == JOBS:
                await term.wait()
            ends.append((id_, clock()))
            return None

        group.decide(JOBS, NODES)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry_shares([JOBS, NODES], group, stop, watch, carrying))
            await asyncio.sleep(10.0)
            group.decide(JOBS, NODES)
            await asyncio.sleep(10.0)
            stop.ask()
        assert ends == [(NODES, 0.0), (JOBS, 20.0)]

    live(main())


@pytest.mark.parametrize("decided", [False, True])
async def test_a_worker_that_stands_by_stops_at_once(decided: bool) -> None:
    crew = one()
    if decided:
        crew.group.decide(jobs="w2", inventory="w2")
    async with asyncio.timeout(2.0), crew.working():
        await asyncio.sleep(0)


async def test_stop_asked_before_anything_began_is_not_lost() -> None:
    crew = one()
    crew.group.decide(JOBS, NODES)
    crew.stage.stop.ask()
    async with asyncio.timeout(2.0), crew.working():
        pass
    assert crew.api.asked == []


turns = st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.floats(0.0, 4.0)), max_size=12)


@given(turns)
def test_whatever_is_decided_for_whom_and_heard_when_each_record_is_there_once(
    schedule: list[tuple[int, bool, float]],
) -> None:
    """Two workers hear different things at different times, and sometimes both or neither believe to be the owner."""

    async def main() -> None:
        server, store = (
            Server([simple_job(number, 100 * number, begin=4.0 * number) for number in range(1, 5)]),
            MemoryStore(),
        )
        crews = [Crew(store, server), Crew(store, server)]
        async with crews[0].working(), crews[1].working():
            for who, owns, gap in schedule:
                crews[who].group.decide(*([JOBS] if owns else []))
                await asyncio.sleep(gap)
            crews[1].group.decide(jobs="w1")
            crews[0].group.decide(JOBS)
            await asyncio.sleep(90.0)
        events = [id_ for id_ in store.ids if "/event/" in id_]
        assert len(store.ids) == len(set(store.ids))
        assert sorted(events) == sorted(
            f"e1:job/{number}/event/{100 * number + n}" for number in range(1, 5) for n in range(5)
        )

    live(main())
