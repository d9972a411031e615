"""A canary's whole way in one process: simulator, client, the jobs stream, a sink in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from structlog.testing import capture_logs

from orchbridge.cli.canary import Canaries, Errand, flight
from orchbridge.cli.owning import Owning
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.normalize.context import Origin
from orchbridge.core.ports import StreamId
from orchbridge.core.redact import Rules
from orchbridge.core.settings import StreamSettings
from orchbridge.ops.catalogue import CANARY_REASONS
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator import Access, Client
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.orchestrator.lossy import Lossy, losing
from tests.runtime.watching import Watching

STREAM = StreamId("prod", "jobs")
TOKEN = "letmein"
QUICK = "empty:nodes=4,shortest=0.05,longest=0.1"


@dataclass
class Nest:
    """What a test looks at."""

    world: World
    lossy: Lossy
    store: MemoryStore
    metrics: Metrics
    owning: Owning
    canaries: Canaries
    lines: list[MutableMapping[str, Any]] = field(default_factory=list)

    def told(self, event: str) -> list[MutableMapping[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    @property
    def failures(self) -> dict[str, float]:
        found = {
            reason: self.metrics.value("orchbridge_canary_failures_total", "prod", reason) for reason in CANARY_REASONS
        }
        return {reason: value for reason, value in found.items() if value}  # type: ignore[misc]

    @property
    def last_success(self) -> float | None:
        return self.metrics.value("orchbridge_canary_last_success_timestamp_seconds", "prod")

    @property
    def jobs(self) -> list[int]:
        """The canaries' jobs, as the simulator has them."""
        return [job.id for job in self.world.jobs.values() if job.options.get("description") == flight.MARK]

    @property
    def flown(self) -> float:
        """How many have arrived."""
        count = 'orchbridge_canary_seconds_count{source="prod"} '
        lines = self.metrics.text("")[0].decode().splitlines()
        return sum(float(line.removeprefix(count)) for line in lines if line.startswith(count))


@asynccontextmanager
async def nest(
    errand: Errand, *, scenario: str = QUICK, how: str = "", carried: bool = True, read_s: float = 30.0, **knobs: str
) -> AsyncIterator[Nest]:
    """Keep a canary while the block runs; `how` is what becomes of commands on their way, see Lossy."""
    world = World(scenario, knobs=Knobs(**knobs), start=time.time())
    store, metrics, stop = MemoryStore(), Metrics(), Stop()
    async with served(world, token=TOKEN) as straight, losing(straight, how) as lossy:
        access = Access("prod", lossy.url, token=TOKEN, read_s=read_s)
        settings = StreamSettings(STREAM, lossy.url, Origin("prod", Rules()), poll_s=0.1, grace_s=0.5)
        async with Client(Access("prod", straight, token=TOKEN)) as reader:
            canaries = Canaries([errand], {"prod": Client(access)}, metrics)
            owning = Owning(Watching(), [canaries])
            with capture_logs() as lines:
                async with canaries.working(), asyncio.TaskGroup() as group:
                    if carried:
                        worker = Worker("w1", MemorySink(store), stop, owning, time.time)
                        group.create_task(carry_all([Feed(JobStream(settings), reader)], worker))
                    yield Nest(world, lossy, store, metrics, owning, canaries, lines)
                    stop.ask()


async def until(what: str, true: Callable[[], object], limit_s: float = 20.0) -> None:
    """Wait for a condition; fail where it does not come."""
    try:
        async with asyncio.timeout(limit_s):
            while not true():  # noqa: ASYNC110 - what it waits for tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} never came") from None
