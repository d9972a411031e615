"""Sends each source's canary at its interval, from the worker that carries the source's jobs; counts how it went."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog

from orchbridge.cli.canary.errand import Errand
from orchbridge.cli.canary.flight import Flown, fly
from orchbridge.cli.canary.perch import Perch
from orchbridge.cli.slips import place
from orchbridge.core.batch import Batch
from orchbridge.core.ports import StreamId
from orchbridge.ops.chores import Canary
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.status import CanaryStatus
from orchbridge.orchestrator import Client

FIRST_S = 60.0  # within so long the first one is sent; not all sources at once, nor at the moment of a takeover
JITTER = 0.1


class Canaries:
    """The canaries of all sources that have one. Nothing they meet reaches a stream.

    The clients are their own, not open yet: what waits for an answer holds a place of nobody else's.
    """

    def __init__(self, errands: Sequence[Errand], clients: Mapping[str, Client], metrics: Metrics) -> None:
        self._errands, self._clients = errands, clients
        self._counts = {
            errand.source: Canary(metrics, errand.source, errand.task, errand.interval_s) for errand in errands
        }
        self._perches = {errand.source: Perch(errand.stream) for errand in errands}
        self._last: dict[str, int] = {}
        self._log = structlog.get_logger("orchbridge")

    # -- a Companion --------------------------------------------------------------------------

    def taken(self, stream: StreamId) -> None:
        """A stream is ours."""
        if stream.kind == "jobs" and stream.source in self._perches:
            self._perches[stream.source].taken(stream)
            self._counts[stream.source].taken(time.time())

    def lost(self, stream: StreamId) -> None:
        """A stream is another's; what is told of its canary is the other's to tell."""
        if stream.kind == "jobs" and stream.source in self._perches:
            self._perches[stream.source].lost(stream)
            self._counts[stream.source].lost()

    def recalled(self, stream: StreamId, state: Any) -> None:
        """This is what the sink remembers of a stream."""
        perch = self._perches.get(stream.source)
        if perch is not None:
            perch.recalled(stream, state)

    def committed(self, stream: StreamId, batch: Batch) -> None:
        """A batch is in the sink."""
        perch = self._perches.get(stream.source)
        if perch is not None:
            perch.committed(stream, batch)

    def status(self, source: str) -> CanaryStatus | None:
        """Return what this worker knows of a source's canary, None where it sends none."""
        counts = self._counts.get(source)
        return None if counts is None else counts.status

    # -- at work ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Send them while the block runs."""
        async with contextlib.AsyncExitStack() as open_clients:
            for client in self._clients.values():
                await open_clients.enter_async_context(client)
            async with asyncio.TaskGroup() as group:  # a keeper that died would be missed by nobody
                keeping = [group.create_task(self._keep(each), name=f"canary {each.source}") for each in self._errands]
                try:
                    yield
                finally:
                    for task in keeping:
                        task.cancel()

    async def _keep(self, errand: Errand) -> None:
        perch = self._perches[errand.source]
        pause_s = _first(errand)
        while True:
            await asyncio.sleep(pause_s)
            if not perch.ours:
                perch.turned.clear()
                await perch.turned.wait()
                pause_s = _first(errand)
                continue
            began = time.monotonic()
            flown = await self._sent(errand, perch)
            if flown is None:
                self._log.info(
                    "canary.abandoned", source=errand.source, explanation="another worker carries its stream"
                )
            else:
                self._told(errand, flown)
            pause_s = max(0.0, errand.interval_s * random.uniform(1 - JITTER, 1 + JITTER) - (time.monotonic() - began))  # noqa: S311

    async def _sent(self, errand: Errand, perch: Perch) -> Flown | None:
        """Return how it went, None where the stream moved to another worker meanwhile."""
        perch.watch()
        flight = asyncio.create_task(self._flown(errand, perch))
        moving = asyncio.create_task(perch.gone())
        try:
            await asyncio.wait({flight, moving}, return_when=asyncio.FIRST_COMPLETED)
            return flight.result() if flight.done() else None
        finally:
            for task in (flight, moving):
                task.cancel()
            await asyncio.gather(flight, moving, return_exceptions=True)
            perch.rest()

    async def _flown(self, errand: Errand, perch: Perch) -> Flown:
        try:
            return await fly(self._clients[errand.source], errand, perch, self._last.get(errand.source))
        except Exception as error:
            return Flown("internal", error=f"{type(error).__name__} at {place(error)}", hint="please report it")

    def _told(self, errand: Errand, flown: Flown) -> None:
        source, job = errand.source, flown.job
        if job is not None:
            self._last[source] = job  # another's too: seen a second time, an interval later, it hangs
        if flown.elsewhere:
            self._log.info("canary.skipped", source=source, job=job, explanation="one that was sent before still flies")
            return
        if flown.reason:
            self._counts[source].failed(flown.reason, time.time(), flown.error, flown.hint)
            said = {"reason": flown.reason, "job": job, "error": flown.error, "hint": flown.hint}
            self._log.warning("canary.failed", source=source, **said)
            return
        self._counts[source].landed(flown.seconds, time.time())
        seconds = round(flown.seconds, 2)
        self._log.info("canary.landed", source=source, job=job, seconds=seconds, recovered=flown.recovered)


def _first(errand: Errand) -> float:
    return random.uniform(0.0, min(FIRST_S, errand.interval_s))  # noqa: S311 - jitter, not a secret
