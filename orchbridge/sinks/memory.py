"""A sink in the process's own memory: the same promises as the real ones, for tests and trials."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from orchbridge.core.batch import Batch
from orchbridge.core.errors import Fenced, SinkLost
from orchbridge.core.ports import Codec, Finding, Group, Kept, Recalled, StreamId
from orchbridge.core.records import Message, Record
from orchbridge.sinks.alone import alone
from orchbridge.sinks.needs import Quarantine, encode, of_stream

Hook: TypeAlias = Callable[[StreamId, Batch], Awaitable[None]]
Encoded: TypeAlias = Callable[[Batch], list[Message]]


@dataclass(slots=True)
class MemoryStore:
    """What survives a "restart": give the same store to the next MemorySink.

    `before` is awaited before a commit takes effect and `after` once it has; whatever they raise
    (SinkLost, a crash of the test's own) comes out of the commit, so a test can lose a batch,
    lose only the answer, hold a commit up or die on either side of it. `carried` tells the newest
    claim of each stream that is still open.
    """

    records: list[Record] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    before: Hook | None = None
    after: Hook | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of all records, in the order written."""
        return [record.id for record in self.records]


class MemorySink:
    """A sink over a MemoryStore; with a codec the messages are kept as well."""

    def __init__(
        self, store: MemoryStore, codec: Codec | None = None, *, quarantine: Quarantine = lambda record, _: record
    ) -> None:
        self._store = store
        self._codec = codec
        self._quarantine = quarantine

    async def open(self, streams: Sequence[StreamId]) -> None:
        """Nothing has to exist beforehand."""

    def join(self, streams: Sequence[StreamId], worker: str) -> AbstractAsyncContextManager[Group]:  # noqa: ARG002
        """Everything is ours: nobody else can write here."""
        return alone(streams)

    @contextlib.asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[MemoryLane]:
        """Fence older owners, in this process or of an earlier sink on the same store."""
        claim = self._store.claims.get(stream.name, 0) + 1
        self._store.claims[stream.name] = self._store.carried[stream.name] = claim
        lane = MemoryLane(self._store, self._messages, stream, claim)
        try:
            yield lane
        finally:
            lane.dead = True
            if self._store.carried.get(stream.name) == claim:
                del self._store.carried[stream.name]

    def _messages(self, batch: Batch) -> list[Message]:
        if self._codec is None:
            return []
        return [encode(record, self._codec, self._quarantine) for record in batch.records]

    async def close(self) -> None:
        """Nothing is open."""

    async def check(self, streams: Sequence[StreamId]) -> Iterable[Finding]:  # noqa: ARG002 - the port's signature
        """Nothing can be wrong, but that it does not last."""
        return (Finding("memory", "warning", "records end with the process", "use another sink to keep them"),)

    async def kept(self) -> Sequence[Kept]:
        """Return every document in the store."""
        return [Kept(key, value) for key, value in self._store.documents.items()]

    async def owner(self, stream: StreamId) -> str | None:
        """Return "this process" while a lane is open whose claim is the newest."""
        return "this process" if stream.name in self._store.carried else None


class MemoryLane:
    """One claim on a stream of a MemoryStore."""

    def __init__(self, store: MemoryStore, encoded: Encoded, stream: StreamId, claim: int) -> None:
        self._store = store
        self._encoded = encoded
        self._stream = stream
        self._claim = claim
        self.dead = False

    async def recall(self, channels: tuple[str, ...] = ()) -> AsyncIterator[Recalled]:
        """Yield the stream's documents and the last state of each key in these channels."""
        for key, value in tuple(self._store.documents.items()):
            if of_stream(self._stream, key):
                yield Recalled("cursor", key, value)
        for channel in channels:
            for record in tuple(self._store.records):
                if record.channel == channel and record.instance == self._stream.source:
                    data = None if record.data is None else msgspec.json.encode(record.data)
                    yield Recalled(channel, record.key, data)

    async def commit(self, batch: Batch) -> None:
        """Take the batch whole, or raise and promise nothing."""
        if self.dead:
            raise SinkLost(f"the lane of {self._stream.name} is closed", hint="claim the stream again")
        if batch.empty:
            return
        self.dead = True  # until the outcome is known, whatever the hooks raise
        if self._store.before is not None:
            await self._store.before(self._stream, batch)
        if self._store.claims[self._stream.name] != self._claim:
            raise Fenced(f"{self._stream.name} has a newer owner")
        self._apply(batch)
        if self._store.after is not None:
            await self._store.after(self._stream, batch)
        self.dead = False

    def _apply(self, batch: Batch) -> None:
        messages = self._encoded(batch)
        self._store.records.extend(batch.records)
        self._store.messages.extend(messages)
        for key, value in batch.documents.items():
            if value is None:
                self._store.documents.pop(key, None)
            else:
                self._store.documents[key] = value
        self._store.commits += 1
