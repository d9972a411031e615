"""What one run takes place on: a simulator, brokers, proxies before both, and houses of bridges between them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.broker import PROXIED, Broker
from tests.chaos.house import House
from tests.chaos.proxy import Proxy
from tests.chaos.reading import Follower
from tests.cluster import SIZE, Cluster
from tests.e2e.acts import People
from tests.e2e.programs import simulator
from tests.oracle import facts

TOKEN = "letmein"


@dataclass(frozen=True)
class Setting:
    """How large a stage is: `houses` are groups of their own over one world, each with so many workers.

    With `lists` they carry activity and schedules as well.
    """

    scenario: str
    houses: int = 1
    workers: int = 1
    brokers: int = 1
    poll_s: float = 0.5
    lists: bool = False


@dataclass
class Noted:
    """One fault that was done: when it began and ended (Unix seconds)."""

    name: str
    house: str
    begun: float
    ended: float = 0.0
    done: bool = True


@dataclass
class Stage:
    """Everything a fault can get its hands on, and what was done so far."""

    folder: Path
    url: str
    brokers: tuple[Broker, ...]
    kafka: tuple[Proxy, ...]
    source: Proxy
    houses: list[House]
    followers: list[Follower]
    noted: list[Noted] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unreadable: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    planned: list[int] = field(default_factory=list)  # schedules for another day
    _people: People | None = None

    async def people(self) -> People:
        """Return who works there; the first call lets them in."""
        if self._people is None:
            self._people = await asyncio.to_thread(People, self.url, self.folder)
        return self._people

    @property
    def direct(self) -> str:
        """Where Kafka is without a proxy."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def token(self) -> Path:
        return self.folder / "token"

    def truth(self) -> list[dict[str, Any]]:
        return facts(self.folder / "truth.log")

    def complain(self, words: str) -> None:
        """Note what should not have happened, if anything did."""
        if words:
            self.complaints.append(words)

    @contextmanager
    def noting(self, name: str, house: House | None = None) -> Iterator[Noted]:
        """Note a fault, unless there was no occasion for it; it ends where the block does, however that ends."""
        note = Noted(name, house.name if house else "", time.time())
        try:
            yield note
        finally:
            note.ended = time.time()
            if note.done:
                self.noted.append(note)

    async def turn(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Use one of the simulator's levers (`knobs`, `restore`, ...), past its own faults."""
        async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
            answer = await client.post(f"{self.url}/sim/{path}", json=body)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    async def calm(self) -> None:
        """Put everything right: brokers up, proxies well behaved, workers alive and awake."""
        for proxy in (*self.kafka, self.source):
            proxy.calm()
        for broker in self.brokers:
            broker.thaw()
            if not broker.running:
                await asyncio.to_thread(broker.start)
        for house in self.houses:
            for worker in house.workers:
                worker.thaw()
                if worker.died_by_itself:
                    self.complaints.append(f"{worker.out.name}: a worker ended by itself")
                if not worker.alive:
                    worker.kill()
                    worker.start()


@asynccontextmanager
async def staged(setting: Setting, folder: Path, seed: int, name: str) -> AsyncIterator[Stage]:
    """Set the stage, every worker started; clear everything at the end but the folder."""
    async with AsyncExitStack() as stack:
        programs = stack.enter_context(ExitStack())
        brokers, proxies = await stack.enter_async_context(_kafka(setting.brokers))
        given = ("--seed", str(seed))
        url, _ = programs.enter_context(simulator(folder, setting.scenario, *given))
        place = urlsplit(url)
        source = Proxy(lambda: (place.hostname or "", place.port or 0))
        await source.open()
        stack.push_async_callback(source.close)
        bootstrap = ",".join(proxy.address for proxy in proxies)
        stage = Stage(folder, url, brokers, proxies, source, [], [])
        for number in range(setting.houses):
            house = House(
                f"{name}{number + 1}", folder, url=f"http://{source.address}", bootstrap=bootstrap,
                token=stage.token, workers=setting.workers, poll_s=setting.poll_s, lists=setting.lists,
            )  # fmt: skip
            stage.houses.append(house)
            stage.followers.append(Follower(stage.direct, house.prefix))
            for worker in house.workers:
                programs.callback(worker.kill)
                worker.start()
        async with _beside([house.watch() for house in stage.houses] + [each.follow() for each in stage.followers]):
            yield stage


@asynccontextmanager
async def _beside(works: list[Any]) -> AsyncIterator[None]:
    """Let these go on while the block runs; where one of them fails the block ends as well."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _kafka(count: int) -> AsyncIterator[tuple[tuple[Broker, ...], tuple[Proxy, ...]]]:
    """Run one broker or three, each behind a proxy of its own."""
    assert count in {1, SIZE}
    cluster = Cluster(listeners=(PROXIED,)) if count == SIZE else None
    brokers = cluster.brokers if cluster else (Broker(listeners=(PROXIED,), heap_mb=384),)
    proxies = tuple(_before(broker) for broker in brokers)
    try:
        for broker, proxy in zip(brokers, proxies, strict=True):
            await proxy.open()
            broker.through = proxy.address
        await asyncio.to_thread(cluster.start if cluster else brokers[0].start)
        yield brokers, proxies
    finally:
        for proxy in proxies:
            await proxy.close()
        for broker in brokers:
            with contextlib.suppress(OSError):
                broker.dispose()


def _before(broker: Broker) -> Proxy:
    host, _, port = broker.at(PROXIED).rpartition(":")
    return Proxy(lambda: (host, int(port)))
