"""Watchdogs: they bark at what hangs here, once, and never at what others do, however long it lasts."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchbridge.core.alarms import Alarm
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Denied, Fenced, SinkLost
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Inventory, JobEvents, JobsPage, Trouble
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.heart import Hearts
from orchbridge.runtime.stillness import Stillness
from orchbridge.runtime.trail import Trail
from orchbridge.runtime.watchdog import Bounds, Watchdog, judge, watching
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.test_heart import view
from tests.runtime.virtual import clock, live

KAFKA = Bounds(claim_s=40.0, recall_s=300.0, commit_s=20.0)
HOUR = 3_600.0


class Kennel:
    """Implements Alarms; remembers everything."""

    def __init__(self) -> None:
        self.barks: list[tuple[Alarm, tuple[str, ...]]] = []
        self.standing: list[Alarm] = []
        self.cleared_ones: list[Alarm] = []

    def told(self, alarm: Alarm, stack: Sequence[str]) -> None:
        self.barks.append((alarm, tuple(stack)))

    def raised(self, alarm: Alarm) -> None:
        self.standing.append(alarm)

    def cleared(self, alarm: Alarm) -> None:
        self.standing.remove(alarm)
        self.cleared_ones.append(alarm)

    @property
    def kinds(self) -> list[str]:
        return [alarm.kind for alarm, _ in self.barks]


class Watched(Stage):
    """A stage whose worker is watched, and beats."""

    def __init__(self, store: MemoryStore | None = None, **more: Any) -> None:
        self.trail, self.kennel = Trail(), Kennel()
        hearts = Hearts({"prod": 60.0}, view, "0.1.0")
        super().__init__(store, **{"trail": self.trail, "hearts": hearts, **more})

    @contextlib.asynccontextmanager
    async def watched(self, api: Orchestrator, *streams: Any) -> AsyncIterator[None]:
        async with watching(self.trail, KAFKA, self.kennel, blocked_s=HOUR), self.carrying(api, *streams):
            yield


def both(poll_s: float = 1.0) -> tuple[JobStream, InventoryStream]:
    return JobStream(settings("jobs", poll_s=poll_s)), InventoryStream(settings("inventory", poll_s=30.0))


# -- what it must not bark at -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["fails", "hangs", "throttles"])
def test_the_orchestrator_is_away_for_an_hour(how: str) -> None:
    """Hanging means what the client makes of it: each answer is a failure after its time limit."""
    trouble = Trouble("throttled", "wait", status=429, retry_after_s=900.0) if how == "throttles" else None
    fault = trouble or Trouble("timeout" if how == "hangs" else "unreachable", "nobody there")

    async def main() -> None:
        server = Server([simple_job(1, 100)], trouble={JobsPage: fault, Inventory: fault})
        api, stage = Orchestrator(server, seconds=120.0 if how == "hangs" else 0.05), Watched()
        async with stage.watched(api, *both()):
            await asyncio.sleep(HOUR)
            server.trouble.clear()
            api.seconds = 0.05
            await asyncio.sleep(1_000.0)
        assert stage.kennel.barks == []
        assert stage.certified == {"1": True}

    live(main())


@pytest.mark.parametrize("where", ["open", "claim", "commit", "after"])
def test_the_sink_is_away_for_an_hour(where: str) -> None:
    """Whatever it is asked ends in SinkLost within its own limit."""

    class Away(MemorySink):
        @contextlib.asynccontextmanager
        async def claim(self, stream: StreamId) -> AsyncIterator[Any]:
            if where == "claim" and clock() < HOUR:
                await asyncio.sleep(30.0)
                raise SinkLost("no broker")
            async with super().claim(stream) as lane:
                yield lane

    async def main() -> None:
        store = MemoryStore()
        stage = Watched(store, sink=Away(store))

        async def lose(stream: StreamId, batch: Batch) -> None:
            if clock() < HOUR:
                await asyncio.sleep(15.0)
                raise SinkLost("no broker")

        if where in {"commit", "after"}:
            setattr(store, "before" if where == "commit" else "after", lose)
        async with stage.watched(Orchestrator(Server([simple_job(1, 100)])), *both()):
            await asyncio.sleep(HOUR + 100.0)
        assert stage.kennel.barks == []
        assert stage.certified == {"1": True}

    live(main())


def test_parked_for_a_day_and_let_go() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Watched()
        api.denied = Denied("401", hint="a fresh token")
        async with stage.watched(api, *both()):
            await asyncio.sleep(24 * HOUR)
            api.denied, api.mended = None, True
            await asyncio.sleep(100.0)
            assert stage.certified == {"1": True}

            async def fence(stream: StreamId, batch: Batch) -> None:
                raise Fenced("another has it")

            stage.store.before = fence
            await asyncio.sleep(HOUR)
        assert stage.watch.count("released") > 0
        assert stage.kennel.barks == []

    live(main())


def test_rare_looks_are_no_hang() -> None:
    async def main() -> None:
        stage = Watched(hearts=Hearts({}, view, ""))
        streams = JobStream(settings("jobs", poll_s=3_600.0)), InventoryStream(settings("inventory", poll_s=86_400.0))
        async with stage.watched(Orchestrator(Server([simple_job(1, 100)])), *streams):
            await asyncio.sleep(60 * HOUR)
        assert stage.kennel.barks == []

    live(main())


def test_a_huge_catch_up() -> None:
    """Commit after commit at the limit of what the sink allows, for hours."""

    async def main() -> None:
        server = Server([simple_job(id_, id_ * 1_000, begin=-900.0, nodes=300) for id_ in range(1, 129)])
        stage = Watched()

        async def slow(_: StreamId, batch: Batch) -> None:
            await asyncio.sleep(9.9)

        stage.store.before = slow
        async with stage.watched(Orchestrator(server, seconds=100.0)):
            await asyncio.sleep(3 * HOUR)
        assert stage.kennel.barks == []
        assert len(stage.certified) == 128

    live(main())


@pytest.mark.parametrize("step", [-7_200.0, 7_200.0, 400 * 86_400.0])
def test_a_clock_that_is_set(step: float) -> None:
    async def main() -> None:
        off = 1e9
        stage = Watched(clock_=lambda: clock() + off)
        async with stage.watched(Orchestrator(Server([simple_job(1, 100)])), *both()):
            await asyncio.sleep(100.0)
            off += step
            await asyncio.sleep(HOUR)
        assert stage.kennel.barks == []

    live(main())


@pytest.mark.parametrize("where", ["commit", "claim", "question", "rest"])
def test_frozen_for_an_hour_and_thawed(where: str) -> None:
    """SIGSTOP: monotonic time goes on, nothing of ours does; what was under way ends after the thaw."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Watched()
        frozen = asyncio.Event()

        async def hold(stream: StreamId, batch: Batch) -> None:
            if where in {"commit", "rest"} and not frozen.is_set():
                await asyncio.sleep(5.0)
                freeze()
                await asyncio.sleep(0.1)
                if where == "rest":
                    raise SinkLost("gone")

        def freeze() -> None:
            frozen.set()
            loop._leaping.now += HOUR  # type: ignore[attr-defined]

        stage.store.before = hold
        if where == "question":
            api.seconds = 20.0
            loop.call_later(30.0, freeze)
        if where == "claim":
            loop.call_soon(freeze)
        async with stage.watched(api, *both()):
            await asyncio.sleep(2 * HOUR)
        assert frozen.is_set()
        assert stage.kennel.barks == []

    live(main())


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(["ok", "lost", "denied", "trouble", "slow", "freeze"]),
                          st.floats(1.0, 1_500.0)), max_size=5))  # fmt: skip
def test_no_course_of_others_troubles_makes_it_bark(course: list[tuple[str, float]]) -> None:
    async def main() -> None:
        fault = {JobsPage: Trouble("server", "503", status=503), Inventory: Trouble("server", "503", status=503)}
        server = Server([simple_job(id_, id_ * 100, begin=id_ * 500.0) for id_ in range(1, 9)])
        api, stage, now = Orchestrator(server), Watched(), ["ok"]

        async def fate(stream: StreamId, batch: Batch) -> None:
            await asyncio.sleep(14.9 if now[0] == "slow" else 0.02)
            if now[0] == "lost":
                raise SinkLost("no broker")

        stage.store.before = fate
        async with stage.watched(api, *both(20.0)):
            for what, seconds in course:
                now[0] = what
                server.trouble.update(fault if what == "trouble" else {})
                api.seconds = 230.0 if what == "slow" else 0.05
                api.denied, api.mended = (Denied("401"), False) if what == "denied" else (None, True)
                if what == "freeze":
                    asyncio.get_running_loop()._leaping.now += seconds  # type: ignore[attr-defined]
                await asyncio.sleep(seconds)
                server.trouble.clear()
            now[0] = "ok"
        assert stage.kennel.barks == []

    live(main())


# -- what it must bark at ---------------------------------------------------------------------


def test_a_commit_that_never_returns_is_told_once_with_its_stack_and_cleared() -> None:
    async def main() -> None:
        api, stage, gate = Orchestrator(Server([simple_job(1, 100)])), Watched(), asyncio.Event()

        async def stuck_for_ever(stream: StreamId, batch: Batch) -> None:
            secret = "PLANTED"
            if stream.kind == "jobs" and secret and clock() < 1_000.0:
                await gate.wait()

        stage.store.before = stuck_for_ever
        async with stage.watched(api, *both()):
            await asyncio.sleep(78.0)
            assert stage.kennel.barks == [], "own limit and patience are not over"
            await asyncio.sleep(10.0)
            assert stage.kennel.kinds == ["commit"]
            assert stage.kennel.standing[0].subject == "prod/jobs"
            await asyncio.sleep(900.0)
            assert stage.kennel.kinds == ["commit"], "once"
            told, stack = stage.kennel.barks[0]
            assert "prod/jobs: its commit does not return" in told.reason
            assert any("runtime/tail.py" in line and "await lane.commit(batch)" in line for line in stack)
            assert any("stuck_for_ever: await gate.wait()" in line for line in stack)
            assert "PLANTED" not in str(stack)
            gate.set()
            await asyncio.sleep(5.0)
            assert stage.kennel.standing == []
            assert len(stage.kennel.cleared_ones) == 1
            await asyncio.sleep(100.0)
        assert stage.certified == {"1": True}

    live(main())


@pytest.mark.parametrize("where", ["claim", "recall", "wait"])
def test_a_tail_that_hangs_elsewhere(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(MemorySink):
        @contextlib.asynccontextmanager
        async def claim(self, stream: StreamId) -> AsyncIterator[Any]:
            if where == "claim":
                await asyncio.Event().wait()
            async with super().claim(stream) as lane:
                if where == "recall":
                    lane.recall = self.endless  # type: ignore[method-assign]
                yield lane

        async def endless(self, channels: Any = ()) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    async def deaf(self: Any, seconds: float, stop: Any) -> tuple[()]:
        await stop.wait()
        return ()

    if where == "wait":
        monkeypatch.setattr("orchbridge.runtime.asking.Asking.some", deaf)

    async def main() -> None:
        store = MemoryStore()
        stage = Watched(store, sink=Hanging(store))
        async with stage.watched(Orchestrator(Server())):
            await asyncio.sleep(700.0)
            assert stage.kennel.kinds == ["task"]
            assert f"its {where} does not return" in stage.kennel.barks[0][0].reason

    live(main())


def test_a_sink_that_never_opens() -> None:
    """While one that is away and says so is waited for, however long."""

    class Closed(MemorySink):
        async def open(self, streams: object) -> None:
            if clock() > HOUR:
                await asyncio.Event().wait()
            await asyncio.sleep(30.0)
            raise SinkLost("nobody there")

    async def main() -> None:
        store = MemoryStore()
        stage = Watched(store, sink=Closed(store))
        async with watching(stage.trail, KAFKA, stage.kennel, blocked_s=HOUR), asyncio.TaskGroup() as group:
            group.create_task(carry_all([Feed(JobStream(settings("jobs")), Orchestrator(Server()))], stage.worker))
            await asyncio.sleep(HOUR)
            assert stage.kennel.barks == []
            await asyncio.sleep(300.0)
            assert stage.kennel.kinds == ["task"]
            stage.stop.ask()

    live(main())


def test_a_question_that_does_not_even_fail() -> None:
    """Others of its stream come and go; nothing can stand in line for so long."""

    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100), simple_job(2, 200, begin=9_000.0)])), Watched()
        gate = api.hold(lambda question: isinstance(question, JobEvents) and question.job == 1)
        async with stage.watched(api, *both()):
            await asyncio.sleep(HOUR - 60.0)
            assert stage.kennel.barks == []
            await asyncio.sleep(120.0)
            assert stage.kennel.kinds == ["question"]
            assert any("api.answer(question)" in line for line in stage.kennel.barks[0][1])
            gate.set()
            await asyncio.sleep(5.0)
            assert stage.kennel.standing == []

    live(main())


def test_a_source_whose_every_question_is_swallowed() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Watched()
        api.hold(lambda question: True)
        async with stage.watched(api, *both()):
            await asyncio.sleep(HOUR + 60.0)
        assert sorted(alarm.subject for alarm, _ in stage.kennel.barks) == ["prod/inventory", "prod/jobs"]

    live(main())


def test_a_long_line_is_no_hang() -> None:
    """A slow source and few slots: a question waits for hours, in order, while others are answered one by one."""
    stream, trail = StreamId("prod", "jobs"), Trail()

    async def main() -> None:
        for number in range(24):
            trail.asked(stream, number)
        for number in range(24):
            trail.now += 240.0
            assert not list(judge(trail, KAFKA))
            trail.answered(stream, number)

    asyncio.run(main())


def test_nothing_is_said_twice_while_it_lasts_and_again_when_it_comes_back() -> None:
    trail, kennel, stream = Trail(), Kennel(), StreamId("prod", "jobs")
    dog = Watchdog(trail, KAFKA, kennel)

    async def main() -> None:
        for _ in range(2):
            trail.begin(stream, "commit")
            for _ in range(200):
                trail.now += 1.0
                dog.look()
            trail.begin(stream, "wait", 1.0)
            dog.look()

    asyncio.run(main())
    assert kennel.kinds == ["commit", "commit"]
    assert kennel.standing == []


# -- the loop itself --------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 1e6)), max_size=60))
def test_stillness_counts_only_what_the_onlooker_lived_through(looks: list[tuple[bool, float]]) -> None:
    seen, turns, streak = Stillness(), 0, 0
    for turned, passed in looks:
        turns += turned
        fresh = turned or seen.turns == -1
        seen = seen.after(turns, passed)
        streak = 0 if fresh else streak + 1
        assert seen.still_s <= 2.0 * streak
        assert seen.turns == turns


def hog(seconds: float) -> None:
    secret = "PLANTED"
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        len(secret)


async def test_a_blocked_loop_is_written_down_while_it_is_blocked() -> None:
    kennel, trail = Kennel(), Trail()
    during: list[int] = []

    async with watching(trail, KAFKA, kennel, blocked_s=0.4):
        await asyncio.sleep(0.05)
        threading.Timer(1.2, lambda: during.append(len(kennel.barks))).start()
        hog(2.0)
        assert kennel.standing == []
        await asyncio.sleep(1.2)
    assert during == [1], "while nothing turned"
    (told, stack), *more = kennel.barks
    assert not more
    assert told.kind == "loop"
    assert any("hog: " in line for line in stack)
    assert "PLANTED" not in str(stack)
    assert kennel.cleared_ones == [told]


async def test_a_loop_that_turns_is_left_alone() -> None:
    kennel, chance = Kennel(), random.Random(7)
    async with watching(Trail(), KAFKA, kennel, blocked_s=4.0):
        for _ in range(20):
            hog(chance.uniform(0.0, 0.3))
            await asyncio.sleep(0)
    assert kennel.barks == []


async def test_what_the_block_raises_stays_what_it_is() -> None:
    with pytest.raises(SinkLost):
        async with watching(Trail(), KAFKA, Kennel()):
            raise SinkLost("x")


def test_every_step_of_a_tail_is_put_down(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        stage, seen = Watched(), set()
        begin = stage.trail.begin
        monkeypatch.setattr(stage.trail, "begin", lambda s, doing, own=None: (seen.add(doing), begin(s, doing, own))[1])

        async def lose(stream: StreamId, batch: Batch) -> None:
            if clock() < 3.0:
                raise SinkLost("x")

        stage.store.before = lose
        async with stage.carrying(Orchestrator(Server([simple_job(1, 100)])), *both()):
            await asyncio.sleep(20.0)
        assert seen == {"claim", "recall", "wait", "commit", "rest"}
        assert stage.trail.steps == {}
        assert stage.trail.questions == {}

    live(main())


FROZEN = """
import asyncio, sys
from orchbridge.runtime.trail import Trail
from orchbridge.runtime.watchdog import Bounds, watching

class Told:
    def told(self, alarm, stack): print("barked", alarm, flush=True)
    def raised(self, alarm): print("raised", alarm, flush=True)
    def cleared(self, alarm): print("cleared", alarm, flush=True)

async def main():
    async with watching(Trail(), Bounds(), Told(), blocked_s=1.0):
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

asyncio.run(main())
"""


def test_a_process_that_is_frozen_and_thawed_for_real() -> None:
    """Longer than the loop may stand still, again and again: the onlooker was frozen as well."""
    with subprocess.Popen(
        [sys.executable, "-c", FROZEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(3):
            child.send_signal(signal.SIGSTOP)
            time.sleep(2.0)  # the time that passes is what is tested
            child.send_signal(signal.SIGCONT)
            time.sleep(0.5)
        child.stdin.close()
        assert child.stdout.read() == ""
        assert child.wait(10) == 0
