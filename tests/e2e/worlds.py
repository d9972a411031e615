"""Simulator, client, streams and a sink in memory, in one process over real sockets; many such worlds at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from orchbridge.core.activity.stream import ActivityStream
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.normalize.context import Origin
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.ports import StreamId
from orchbridge.core.redact import Rules
from orchbridge.core.schedules.stream import ScheduleStream
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Start
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.oracle import Seen
from tests.runtime.watching import Watching

KINDS: Mapping[str, Callable[[StreamSettings], Any]] = {
    "jobs": JobStream,
    "plans": PlanStream,
    "inventory": InventoryStream,
    "schedules": ScheduleStream,
}


@dataclass
class Case:
    """One world: a scenario under knobs for some seconds, then knobs as in `mended` and time to settle."""

    knobs: Mapping[str, str] = field(default_factory=dict)
    scenario: str = "demo:nodes=24,shortest=0.3,longest=1.2"
    seconds: float = 5.0
    settle_s: float = 25.0
    mended: Mapping[str, str] = field(default_factory=dict)
    streams: tuple[str, ...] = ("jobs", "plans", "inventory")
    poll_s: float = 0.3
    inventory_s: float = 0.5
    seed: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    levers: Callable[[World, float], None] = lambda world, now: None
    console: str = ""  # where RBAC and activity are, if it is not the simulator


@dataclass
class Life:
    """What is known of a world while it is lived and afterwards."""

    world: World
    truth: list[dict[str, Any]]
    store: MemoryStore
    watch: Watching
    asked: Counter[str] = field(default_factory=Counter)
    until: float | None = None
    verdict: Any = None
    answered: list[tuple[float, str]] = field(default_factory=list)
    url: str = ""
    carrying: asyncio.Task[None] | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        return time.monotonic() - self.begun

    def seen(self) -> list[Seen]:
        return [Seen(r.channel, r.key, r.id, r.type, r.data, r.sequence) for r in self.store.records]


@asynccontextmanager
async def bridged(case: Case) -> AsyncIterator[Life]:
    """Carry a world's streams into memory while the block runs."""
    world = World(case.scenario, seed=case.seed, knobs=Knobs().turned(case.knobs), start=time.time())
    life = Life(world, [], MemoryStore(), Watching())
    world.listen(life.truth.extend)
    stop = Stop()

    def count(asked: Asked) -> None:
        life.asked[f"{asked.endpoint} {asked.code}"] += 1
        life.answered.append((life.now, asked.endpoint))

    access = Access(name="prod", url="", token="letmein")
    async with (
        served(world, token="letmein") as url,
        Client(replace(access, url=url, rbac_url=case.console or url), count) as api,
    ):
        life.url, life.begun = url, time.monotonic()

        def settings(kind: str) -> StreamSettings:
            given = {"start": Start("earliest"), "poll_s": case.inventory_s if kind == "inventory" else case.poll_s}
            return StreamSettings(StreamId("prod", kind), url, Origin("prod", Rules()), **{**given, **case.settings})

        feeds = [Feed(KINDS.get(kind, ActivityStream)(settings(kind)), api) for kind in case.streams]
        async with asyncio.TaskGroup() as group:
            worker = Worker("w1", MemorySink(life.store), stop, life.watch, time.time)
            life.carrying = group.create_task(carry_all(feeds, worker))
            yield life
            stop.ask()


async def lived(case: Case, judge: Callable[[Life], Any]) -> Life:
    """Live through one world; the last verdict is one that is well, or the one at the end of the time to settle."""
    async with bridged(case) as life:
        assert life.carrying is not None
        await _course(case, life, life.carrying, judge)
    return life


async def _course(case: Case, life: Life, carrying: asyncio.Task[None], judge: Callable[[Life], Any]) -> None:
    await _pass(case.seconds / 2, carrying)
    case.levers(life.world, life.now)
    await _pass(case.seconds / 2, carrying)
    neutral = {name: value for name, value in asdict(Knobs()).items() if name in case.knobs and name in TRANSIENT}
    life.world.turn({**neutral, **case.mended}, life.now)
    life.until = life.now
    ends = time.monotonic() + case.settle_s
    while True:
        life.verdict = judge(life)
        if life.verdict.well or time.monotonic() > ends or carrying.done():
            return
        await _pass(0.5, carrying)


async def _pass(seconds: float, carrying: asyncio.Task[None]) -> None:
    """Let world time pass; a bridge that ended early ends it too."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(carrying), seconds)


TRANSIENT = frozenset({"faults", "latency", "auth_fault", "inventory", "broker_status", "error_body"})


class Worlds:
    """Lives many cases at a time in a thread of its own; each result can be waited for by name."""

    def __init__(self, cases: Mapping[str, Case], judge: Callable[[str, Life], Any], at_once: int = 20) -> None:
        self._results: dict[str, Future[Life]] = {name: Future() for name in cases}
        self._cases, self._judge, self._at_once = cases, judge, at_once
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="worlds")

    def __enter__(self) -> Worlds:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def result(self, name: str, limit_s: float = 170.0) -> Life:
        return self._results[name].result(limit_s)

    async def _live(self) -> None:
        slots = asyncio.Semaphore(self._at_once)

        async def one(name: str, case: Case) -> None:
            async with slots:
                try:
                    self._results[name].set_result(await lived(case, lambda life: self._judge(name, life)))
                except BaseException as error:
                    self._results[name].set_exception(error)

        async with asyncio.TaskGroup() as group:
            for name, case in self._cases.items():
                group.create_task(one(name, case))
