"""What the runtime's tests play with: an orchestrator that can be made to wait or refuse, and a worker over memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from orchbridge.core.errors import Denied
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import Sink, Stream
from orchbridge.core.questions import Answer, Question
from orchbridge.runtime.bridge import Feed, carry
from orchbridge.runtime.heart import SILENT, Hearts
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker
from orchbridge.runtime.trail import UNJUDGED, Trail
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server
from tests.runtime.virtual import clock
from tests.runtime.watching import Watching


class Orchestrator:
    """Implements Api over a scripted server; every answer takes `seconds` of virtual time."""

    def __init__(self, server: Server, seconds: float = 0.05) -> None:
        self.server, self.seconds = server, seconds
        self.asked: list[tuple[float, Question]] = []
        self.under_way = 0
        self.denied: Denied | None = None
        self.mended = False
        self._held: list[tuple[Callable[[Question], bool], asyncio.Event]] = []

    async def answer(self, question: Question) -> Answer:
        self.asked.append((clock(), question))
        self.under_way += 1
        try:
            for matches, gate in self._held:
                if matches(question):
                    await gate.wait()
            await asyncio.sleep(self.seconds)
            if self.denied is not None:
                raise self.denied
            return self.server.answer(question, clock())
        finally:
            self.under_way -= 1

    def changed(self) -> bool:
        return self.mended

    def hold(self, matches: Callable[[Question], bool]) -> asyncio.Event:
        """Leave these questions unanswered until the event is set."""
        gate = asyncio.Event()
        self._held.append((matches, gate))
        return gate


class Stage:
    """One worker over one memory, for any number of streams."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        sink: Sink | None = None,
        clock_: Callable[[], float] = clock,
        trail: Trail = UNJUDGED,
        hearts: Hearts = SILENT,
    ) -> None:
        self.store = store if store is not None else MemoryStore()
        self.stop, self.watch = Stop(), Watching()
        self.worker = Worker("w1", sink or MemorySink(self.store), self.stop, self.watch, clock_, trail, hearts)

    @contextlib.asynccontextmanager
    async def carrying(self, api: Orchestrator, *streams: Stream) -> AsyncIterator[asyncio.Task[None]]:
        """Carry these streams (jobs by default) while the block runs, then ask to stop and wait for the end."""
        feeds = [Feed(stream, api) for stream in streams or (JobStream(settings("jobs")),)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(carry(feed, self.worker)) for feed in feeds]
            yield tasks[0]
            self.stop.ask()

    @property
    def events(self) -> list[str]:
        return [record.id for record in self.store.records if "/event/" in record.id]

    @property
    def certified(self) -> dict[str, Any]:
        return {r.key: r.data["complete"] for r in self.store.records if r.type == "job.summary.v1" and r.data}
