"""The JSONL sink: `<directory>/<topic>.jsonl`, one structured event a line, exactly once through any crash."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from orchbridge.core.batch import Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import Codec, Finding, Group, Kept, Recalled, StreamId
from orchbridge.core.records import COMPACTED
from orchbridge.sinks.alone import alone
from orchbridge.sinks.jsonl import disk, ledger
from orchbridge.sinks.jsonl.inspection import inspect
from orchbridge.sinks.jsonl.store import Store
from orchbridge.sinks.needs import Quarantine, encode, of_stream, topics

P = ParamSpec("P")
T = TypeVar("T")

CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Where the files lie, and the size above which an event file is closed and a new part begun.

    Closed parts are `<topic>.<number>.jsonl`; orchbridge never reads or removes them. A state
    file is rewritten instead, once more than half of it says nothing any more.
    """

    directory: Path
    rotate_bytes: int = 1 << 30


class JsonlSink:
    """All streams of one process in one directory. One thread does the work, so commits never mix."""

    def __init__(self, settings: JsonlSettings, codec: Codec, *, quarantine: Quarantine) -> None:
        self._settings = settings
        self._codec = codec
        self._quarantine = quarantine
        self._sources: dict[str, None] = {}
        self._store = Store(Path(settings.directory), settings.rotate_bytes, self._key_of)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orchbridge-jsonl")

    async def open(self, streams: Sequence[StreamId]) -> None:
        """Take the directory and bring it in order; raise Refused where another process writes to it,
        Corrupt where files and cursor file disagree, SinkLost where the disk fails."""
        self._sources.update(dict.fromkeys(stream.source for stream in streams))
        await self._run(self._store.open, set(topics(streams, self._codec)))

    def join(self, streams: Sequence[StreamId], worker: str) -> AbstractAsyncContextManager[Group]:  # noqa: ARG002
        """Everything is ours: the lock keeps others out."""
        return alone(streams)

    @contextlib.asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[JsonlLane]:
        """Fence the stream's older lanes of this process; others are kept out by the lock."""
        lane = JsonlLane(self, stream, await self._run(self._store.claim, stream.name))
        try:
            yield lane
        finally:
            lane.dead = True

    async def close(self) -> None:
        """Finish what is being written, at most 2 s, and let go of the directory."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._run(self._store.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def check(self, streams: Sequence[StreamId]) -> Iterable[Finding]:  # noqa: ARG002 - the port's signature
        """Look at the directory, its lock, its cursor file and its space."""
        return await self._run(inspect, Path(self._settings.directory))

    async def peek(self, stream: StreamId) -> list[Recalled]:
        """Return the stream's documents as last committed by anybody, without claiming anything."""
        return [Recalled("cursor", one.key, one.value) for one in await self.kept() if of_stream(stream, one.key)]

    async def kept(self) -> Sequence[Kept]:
        """Return every stream's documents; which of them was written when, one file for all does not tell."""
        directory = Path(self._settings.directory)
        path = directory / ledger.NAME
        try:
            content = await self._run(lambda: path.read_bytes() if path.exists() else b"")
        except OSError as error:
            raise disk.trouble(error, directory, "read") from error
        documents = ledger.decode(content, str(path)).documents if content else {}
        return [Kept(key, value) for key, value in documents.items()]

    async def owner(self, stream: StreamId) -> str | None:  # noqa: ARG002 - one lock is for all streams
        """Return the process that holds the directory, which carries all its streams."""
        directory = Path(self._settings.directory)
        try:
            return await self._run(lambda: disk.owner(directory))
        except OSError as error:
            raise disk.trouble(error, directory, "read") from error

    async def _recall(self, stream: StreamId, channels: tuple[str, ...]) -> AsyncIterator[Recalled]:
        for key, value in await self._run(self._store.documents, stream.name):
            yield Recalled("cursor", key, value)
        for channel in channels:
            chunks = self._store.chunks(self._codec.topic(stream.source, channel))
            while (lines := await self._run(next, chunks, None)) is not None:
                for line in lines:
                    found = self._codec.decode(stream.source, None, line.rstrip(b"\n"))
                    if found is not None:
                        yield Recalled(channel, *found)

    async def _commit(self, stream: StreamId, claim: int, batch: Batch) -> None:
        values: defaultdict[str, list[bytes]] = defaultdict(list)
        state: dict[str, bool] = {}
        for record in batch.records:
            message = encode(record, self._codec, self._quarantine)
            if message.value is None:
                raise ValueError(f"{record.id} has no line; the jsonl sink needs a structured codec")
            values[message.topic] += (message.value, b"\n")
            state[message.topic] = record.channel in COMPACTED
        lines = {topic: (b"".join(parts), state[topic]) for topic, parts in values.items()}
        await self._run(self._store.commit, stream.name, claim, lines, batch.documents)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work in the sink's thread. Cancelling gives up waiting; the work itself runs on,
        or never starts, so files and memory stay of one mind."""
        try:
            future = self._thread.submit(work, *args, **kwargs)
        except RuntimeError as error:
            raise SinkLost("the sink is closed") from error
        return await asyncio.wrap_future(future)

    def _key_of(self, line: bytes) -> tuple[object, bool] | None:
        for source in self._sources:
            found = self._codec.decode(source, None, line.rstrip(b"\n"))
            if found is not None:
                return (source, found[0]), found[1] is None
        return None


class JsonlLane:
    """One claim on a stream; dead after any commit that did not return."""

    def __init__(self, sink: JsonlSink, stream: StreamId, claim: int) -> None:
        self._sink = sink
        self._stream = stream
        self._claim = claim
        self.dead = False

    def recall(self, channels: tuple[str, ...] = ()) -> AsyncIterator[Recalled]:
        """Yield the stream's documents, then every real line of these state channels."""
        return self._sink._recall(self._stream, channels)

    async def commit(self, batch: Batch) -> None:
        """Make records and documents last, or raise SinkLost, Fenced or Refused and promise nothing."""
        if self.dead:
            raise SinkLost(f"the lane of {self._stream.name} is closed", hint="claim the stream again")
        if batch.empty:
            return
        self.dead = True
        await self._sink._commit(self._stream, self._claim, batch)
        self.dead = False
