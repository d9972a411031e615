"""Servers that go back, are emptied, lose ids or outlive us: a new epoch or a counted notice, never silence."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import structlog

from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.normalize.context import Origin
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.ports import StreamId
from orchbridge.core.redact import Rules
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.walk import Start
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.watch import OpsWatch
from orchbridge.ops.watched import Watched
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.client import Client
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker
from orchbridge.sim import load
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.oracle import Seen, judge

POLL_S, LIMIT_S = 0.25, 70.0


class Play:
    """One server, one memory, and a bridge that is started and stopped."""

    def __init__(self) -> None:
        self.world = World("empty:nodes=4,shortest=0.1,longest=0.3", start=time.time())
        self.truth: list[dict[str, Any]] = []
        self.world.listen(self.truth.extend)
        self.begun = time.monotonic()
        self.random = Random(7)
        self.store, self.metrics, self.url = MemoryStore(), Metrics(), ""
        log = structlog.wrap_logger(None, processors=[_silent])
        watched = [Watched("prod", "pe", {"jobs": POLL_S, "plans": POLL_S})]
        self.watch = OpsWatch(watched, self.metrics, lambda *_: StreamView(), version="0", clock=time.time, log=log)

    @property
    def now(self) -> float:
        return time.monotonic() - self.begun

    def jobs(self, count: int) -> list[int]:
        """Run so many jobs; return their ids."""
        before = set(self.world.jobs)
        self.world.advance(self.now)
        for _ in range(count):
            load.plain_task(self.world, self.random, self.now)
        return sorted(set(self.world.jobs) - before)

    def restore(self, to_job: int) -> None:
        self.world.restore(to_job, self.world.advance(self.now))

    def skip(self, count: int) -> list[int]:
        return self.world.skip(count, self.world.advance(self.now))

    def prune(self, count: int) -> list[int]:
        return self.world.prune(count, self.world.advance(self.now))

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[None]:
        """Carry jobs and plans while the block runs; another one begins where this one ended."""
        stop = Stop()
        worker = Worker("w1", MemorySink(self.store), stop, self.watch, time.time)
        access = Access(name="prod", url=self.url, token="letmein")
        async with Client(access, lambda _: None) as api:
            kinds: Mapping[str, Callable[[StreamSettings], Any]] = {"jobs": JobStream, "plans": PlanStream}
            feeds = [
                Feed(
                    stream(
                        StreamSettings(
                            StreamId("prod", kind), self.url, Origin("prod", Rules()), start=Start("earliest"),
                            poll_s=POLL_S, grace_s=2.0,
                        )
                    ),
                    api,
                )
                for kind, stream in kinds.items()
            ]  # fmt: skip
            async with asyncio.TaskGroup() as group:
                group.create_task(carry_all(feeds, worker))
                yield
                stop.ask()

    def certified(self, epoch: int = 1) -> set[int]:
        """Return the jobs certified whole in an epoch."""
        return {
            int(record.key)
            for record in self.store.records
            if record.type == "job.summary.v1"
            and record.data
            and record.data["complete"]
            and record.epoch == f"e{epoch}"
        }

    def notices(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            record.data["subject"]: record.data
            for record in self.store.records
            if record.type == "bridge.notice.v1" and record.data and record.data["kind"] == kind
        }

    def counted(self, kind: str) -> float:
        return self.metrics.value("orchbridge_notices_total", "prod", "jobs", kind) or 0.0

    def total(self, name: str) -> float:
        return self.metrics.value(name, "prod") or 0.0

    async def until(self, happened: Callable[[], object], what: str, limit_s: float = 25.0) -> None:
        ends = time.monotonic() + limit_s
        while not happened():
            said = [r.id for r in self.store.records if r.channel in {"jobs", "notices"}][-12:]
            assert time.monotonic() < ends, f"never: {what}; said were {said}"
            await asyncio.sleep(0.05)

    async def delivers(self, epoch: int = 1) -> None:
        """The stream goes on: a job of now is certified within seconds."""
        new = set(self.jobs(2))
        await self.until(lambda: new <= self.certified(epoch), f"jobs {new} in e{epoch}")

    def well(self) -> None:
        """Nothing is missing, told twice, invented, out of order or falsely certified."""
        seen = [Seen(r.channel, r.key, r.id, r.type, r.data, r.sequence) for r in self.store.records]
        verdict = judge(self.truth, seen, until=self.now - 5.0)
        assert verdict.well, str(verdict)


def _silent(*_: object) -> Any:
    raise structlog.DropEvent


def _says(notice: Mapping[str, Any], *words: str) -> None:
    assert notice["stream"] == "jobs"
    for word in words:
        assert word in notice["explanation"], notice
    assert notice["action"]


async def restored(play: Play) -> None:
    """The database is put back to an earlier one, and stays there for a while."""
    async with play.bridge():
        first = set(play.jobs(6))
        await play.until(lambda: first <= play.certified(), "the first jobs")
        play.restore(3)
        await play.until(lambda: play.notices("source_reset"), "a reset")
        _says(play.notices("source_reset")["e2"], "went back", "above id 3")
        assert "restored" in play.notices("source_reset")["e2"]["action"]
        await play.delivers(2)
    assert play.total("orchbridge_resets_total") == play.counted("source_reset") == 1
    play.well()


async def promoted(play: Play) -> None:
    """A replica takes over without the last writes, and its ids are other jobs' at once."""
    async with play.bridge():
        first = set(play.jobs(6))
        await play.until(lambda: first <= play.certified(), "the first jobs")
        await asyncio.sleep(1.1)  # times are told in seconds: within one, another job could not be told from the lost
        play.restore(4)
        again = set(play.jobs(4))
        await play.until(lambda: again <= play.certified(2), f"jobs {again} of the new history")
        _says(play.notices("source_reset")["e2"], "above id 4")
        assert again == {5, 6, 7, 8}
        await play.delivers(2)
    assert play.total("orchbridge_resets_total") == 1
    play.well()


async def promoted_while_away(play: Play) -> None:
    """As above, unseen, and many more jobs came since than are remembered."""
    async with play.bridge():
        first = set(play.jobs(6))
        await play.until(lambda: first <= play.certified(), "the first jobs")
    await asyncio.sleep(1.1)
    play.restore(4)
    again = set(play.jobs(80))
    async with play.bridge():
        await play.until(lambda: again <= play.certified(2), f"jobs {again} of the new history")
        await play.delivers(2)
    assert play.counted("source_reset") == 1
    play.well()


async def emptied(play: Play) -> None:
    """Everything is pruned; the next jobs come later."""
    async with play.bridge():
        first = set(play.jobs(5))
        await play.until(lambda: first <= play.certified(), "the first jobs")
        play.prune(5)
        await asyncio.sleep(4 * POLL_S)
        await play.delivers()
    assert play.notices("source_reset") == {}, "an idle server that was emptied is no other server"
    assert play.notices("pruned_unread") == play.notices("gap") == {}, "nothing was lost"
    play.well()


async def never_visible(play: Play) -> None:
    """Ids that transactions took with them."""
    async with play.bridge():
        first = set(play.jobs(2))
        lost = play.skip(2)
        first |= set(play.jobs(2))
        await play.until(lambda: first <= play.certified(), "the jobs around the gap")
        await play.until(lambda: len(play.notices("gap")) == 2, "two gaps", limit_s=50.0)
        for id_ in lost:
            _says(play.notices("gap")[f"{id_}-{id_}"], f"jobs {id_}", "never became visible")
        await play.delivers()
    assert play.total("orchbridge_gaps_total") == play.counted("gap") == 2
    play.well()


async def away_for_long(play: Play, unread: int = 70) -> None:
    """Nobody reads for longer than the server keeps its jobs."""
    async with play.bridge():
        first = set(play.jobs(3))
        await play.until(lambda: first <= play.certified(), "the first jobs")
    lost = play.jobs(unread)
    await asyncio.sleep(2.5)
    gone = play.prune(3 + unread)
    assert set(lost) <= set(gone)
    kept = set(play.jobs(3))
    async with play.bridge():
        await play.until(lambda: kept <= play.certified(), "what was still there")
        await play.until(lambda: _range(play) == set(lost), f"a word about {lost}", limit_s=60.0)
        await play.delivers()
    for notice in play.notices("pruned_unread").values():
        _says(notice, "were gone from the server before they were read")
        assert "job_prune_threshold" in notice["action"]
    assert play.counted("pruned_unread") + play.counted("gap") >= 1
    play.well()


def _range(play: Play) -> set[int]:
    """Return the ids that notices name as lost."""
    named: set[int] = set()
    for subject in (*play.notices("pruned_unread"), *play.notices("gap")):
        first, _, last = subject.partition("-")
        named |= set(range(int(first), int(last) + 1))
    return named


async def pruned_while_read(play: Play) -> None:
    """What is being read is pruned under our hands."""
    async with play.bridge():
        play.world.node_seconds = (5.0, 6.0)
        slow = play.jobs(1)[0]
        await play.until(lambda: any(r.key == str(slow) for r in play.store.records), "a word of the job")
        play.prune(1)
        await play.until(lambda: any(r.type == "job.summary.v1" for r in play.store.records), "its certificate")
        certificate = next(r.data for r in play.store.records if r.type == "job.summary.v1")
        assert certificate is not None
        assert (certificate["complete"], certificate["truncated"]) == (False, True)
        play.world.node_seconds = (0.1, 0.3)
        await play.delivers()
    play.well()


async def everything_at_once(play: Play) -> None:
    """Away while jobs were pruned, ids lost, and the server was restored twice."""
    async with play.bridge():
        first = set(play.jobs(8))
        await play.until(lambda: first <= play.certified(), "the first jobs")
        play.restore(6)
        await play.until(lambda: play.notices("source_reset"), "a reset")
        second = set(play.jobs(3))
        await play.until(lambda: second <= play.certified(2), f"jobs {second} in e2")
    await asyncio.sleep(1.1)
    play.restore(5)
    play.prune(3)
    lost = set(play.skip(2))
    third = set(play.jobs(6))
    async with play.bridge():
        await play.until(lambda: third <= play.certified(3), f"jobs {third} in e3")
        await play.until(lambda: lost <= _range(play), f"a word about {lost}", limit_s=50.0)
        await play.delivers(3)
    assert play.total("orchbridge_resets_total") == 2
    assert set(play.notices("source_reset")) == {"e2", "e3"}
    play.well()


SCRIPTS: Mapping[str, Callable[[Play], Awaitable[None]]] = {
    "restored": restored,
    "promoted": promoted,
    "promoted-while-away": promoted_while_away,
    "emptied-by-pruning": emptied,
    "ids-never-visible": never_visible,
    "away-for-long": away_for_long,
    "away-for-long-few-lost": partial(away_for_long, unread=8),
    "pruned-while-read": pruned_while_read,
    "everything-at-once": everything_at_once,
}


async def _played(script: Callable[[Play], Awaitable[None]], result: Future[None]) -> None:
    try:
        play = Play()
        async with served(play.world, token="letmein") as url:
            play.url, play.begun = url, time.monotonic()
            await script(play)
        result.set_result(None)
    except BaseException as error:
        result.set_exception(error)


@pytest.fixture(scope="module")
def results() -> Iterator[Mapping[str, Future[None]]]:
    """Play all scripts at the same time: most of it is waiting."""
    futures: dict[str, Future[None]] = {name: Future() for name in SCRIPTS}

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for name, script in SCRIPTS.items():
                group.create_task(_played(script, futures[name]))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()), name="epochs")
    thread.start()
    yield futures
    thread.join()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_server_that_goes_back_or_forgets(name: str, results: Mapping[str, Future[None]]) -> None:
    results[name].result(LIMIT_S + 40.0)
