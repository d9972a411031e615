"""Stopping: polite, at once where nothing is under way, and never in the middle of a batch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from orchbridge.core.batch import Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import StreamId
from orchbridge.runtime.bridge import Feed, carry, carry_all
from orchbridge.runtime.stop import Stop, obeying_signals
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import clock, live


def test_stop_asked_before_the_first_lap_is_not_lost() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server([simple_job(1, 100)]))
        stage.stop.ask()
        await carry_all([Feed(JobStream(settings("jobs")), api)], stage.worker)
        assert api.asked == []
        assert stage.watch.told == []

    live(main())


def test_stop_asked_while_recalling_asks_nothing() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server())
        claimed = stage.watch.claimed
        stage.watch.claimed = lambda stream, state: (claimed(stream, state), stage.stop.ask())  # type: ignore[assignment, func-returns-value, method-assign]
        await carry(Feed(JobStream(settings("jobs")), api), stage.worker)
        assert api.asked == []

    live(main())


def test_stop_asked_during_a_commit_finishes_the_batch() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server([simple_job(1, 100, begin=-100.0)]))

        async def slow(stream: StreamId, batch: Batch) -> None:
            if stage.store.commits == 1:
                stage.stop.ask()
                await asyncio.sleep(5.0)

        stage.store.before = slow
        async with stage.carrying(api) as task:
            await task
        assert stage.store.commits == 2
        assert stage.watch.count("committed") == 2
        assert clock() < 6.0

    live(main())


def test_stop_asked_during_a_rest_ends_it_at_once() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server())
        stream = JobStream(settings("jobs", poll_s=3_600.0))
        async with stage.carrying(api, stream):
            await asyncio.sleep(20.0)
            assert api.under_way == 0
        assert clock() == pytest.approx(20.0)

    live(main())


def test_a_slow_question_does_not_delay_a_stop() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server([simple_job(1, 100)]))
        api.hold(lambda question: True)
        async with stage.carrying(api):
            await asyncio.sleep(2.0)
            assert api.under_way == 1
        assert clock() == pytest.approx(2.0)
        assert api.under_way == 0

    live(main())


def test_stop_asked_while_the_sink_is_away_ends_the_waiting() -> None:
    class Away(MemorySink):
        async def open(self, streams: object) -> None:
            raise SinkLost("nobody there")

    async def main() -> None:
        store = MemoryStore()
        stage, api = Stage(store, sink=Away(store)), Orchestrator(Server())
        async with asyncio.TaskGroup() as group:
            group.create_task(carry_all([Feed(JobStream(settings("jobs")), api)], stage.worker))
            await asyncio.sleep(100.0)
            assert stage.watch.count("stumbled") >= 5
            stage.stop.ask()
        assert clock() == pytest.approx(100.0)
        assert api.asked == []

    live(main())


def test_stop_asked_while_parked_ends_the_waiting() -> None:
    from orchbridge.core.errors import Denied

    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server())
        api.denied = Denied("no", kind="puppetlabs.rbac/token-revoked")
        async with stage.carrying(api):
            await stage.watch.wait_for("parked")
        assert clock() < 1.0
        assert stage.watch.count("resumed") == 0

    live(main())


async def test_a_signal_asks_and_a_second_one_cuts() -> None:
    stop = Stop()
    with pytest.raises(TimeoutError):
        async with obeying_signals(stop, grace_s=60.0):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()


async def test_a_stop_that_takes_too_long_is_cut() -> None:
    stop = Stop()
    with pytest.raises(TimeoutError):
        async with obeying_signals(stop, grace_s=0.0):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
    assert stop.asked


class Silent(MemorySink):
    """A sink whose broker accepts and never answers: `open` or `claim` waits for ever."""

    def __init__(self, *, opens: bool) -> None:
        super().__init__(MemoryStore())
        self._opens = opens

    async def open(self, streams: Sequence[StreamId]) -> None:
        if not self._opens:
            await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield None


@pytest.mark.parametrize("opens", [True, False], ids=["claiming", "opening"])
def test_a_silent_sink_does_not_delay_a_stop(opens: bool) -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([])), Stage(sink=Silent(opens=opens))
        feeds = [Feed(JobStream(settings("jobs")), api)]
        async with asyncio.timeout(20.0), asyncio.TaskGroup() as group:
            group.create_task(carry_all(feeds, stage.worker))
            await asyncio.sleep(5.0)
            stage.stop.ask()
            since = clock()
        assert clock() - since < 0.1

    live(main())
