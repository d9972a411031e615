"""Protocols between the rooms; nobody inherits from them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import msgspec

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.questions import Answer, Question, Reply, Trouble
from orchbridge.core.records import Message, Record


class StreamId(msgspec.Struct, frozen=True):
    """One tail of one source; its name is also the key of its head document."""

    source: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.source}/{self.kind}"


class Recalled(msgspec.Struct, frozen=True):
    """One remembered document, in the order written: the last of a key wins, None forgets it.

    `place` is "cursor" (key as in Batch.documents) or the channel asked for (bare record key,
    value = the record's `data` as JSON).
    """

    place: str
    key: str
    value: bytes | None


class Kept(msgspec.Struct, frozen=True):
    """A cursor document as it lies in a sink; `written` in Unix seconds, None where the sink does not know."""

    key: str
    value: bytes
    written: float | None = None


class Codec(Protocol):
    """Records to transport messages and back; `cli` chooses it, sinks only use it."""

    def encode(self, record: Record) -> Message:
        """Return the message; its topic is complete."""

    def topic(self, instance: str, channel: str) -> str:
        """Return the full topic of a source's channel."""

    def decode(self, instance: str, key: bytes | None, value: bytes | None) -> tuple[str, bytes | None] | None:
        """Return (bare key, data as JSON or None for a removal); None where it is another source's."""


class Lane(Protocol):
    """Our exclusive way into a sink for one stream."""

    def recall(self, channels: tuple[str, ...] = ()) -> AsyncIterator[Recalled]:
        """Yield the stream's cursor documents, and those of these channels, as last committed."""

    async def commit(self, batch: Batch) -> None:
        """Write records and documents, all or nothing; raise SinkLost, Fenced or Refused and promise nothing."""


class Finding(msgspec.Struct, frozen=True):
    """One line of `orchbridge check`: what was looked at, whether it is well, what to do if not.

    `level` is "ok", "warning" or "failed".
    """

    subject: str
    level: str
    message: str
    hint: str = ""


class Share(msgspec.Struct, frozen=True):
    """Which streams are ours at a time, and, as far as the sink knows, whose the others are.

    `group` names what the workers share, "" where a sink's streams are all ours always. `members` are
    the names of all workers and `owners` the worker of each stream by name. `apart` says why we are no
    member just now; whatever was ours stays ours until a share says otherwise. Every share that is not
    `apart` is a new decision of the group, even where it says the same.
    """

    owned: frozenset[StreamId]
    group: str = ""
    members: tuple[str, ...] = ()
    owners: Mapping[str, str] = {}
    apart: OrchbridgeError | None = None


class Group(Protocol):
    """Our place among the workers that share a sink's streams."""

    async def share(self) -> Share:
        """Return the newest share, waiting until it is another one than was returned last."""


class Sink(Protocol):
    """Where records go and where the memory lives."""

    async def open(self, streams: Sequence[StreamId]) -> None:
        """Connect and verify everything these streams need; raise Refused or SinkLost."""

    def join(self, streams: Sequence[StreamId], worker: str) -> AbstractAsyncContextManager[Group]:
        """Share these streams with the other workers while the block runs; leave them to the others after it."""

    def claim(self, stream: StreamId) -> AbstractAsyncContextManager[Lane]:
        """Fence older owners, then hand out the lane; raise Fenced where the stream is another worker's."""

    async def close(self) -> None:
        """Let go of everything within 2 s."""

    async def check(self, streams: Sequence[StreamId]) -> Iterable[Finding]:
        """Look at everything without changing anything (no topic created, nobody fenced)."""

    async def kept(self) -> Sequence[Kept]:
        """Return the documents of every stream as last committed by anybody, changing nothing; raise SinkLost,
        Refused or Corrupt where that cannot be read."""

    async def owner(self, stream: StreamId) -> str | None:
        """Return who carries the stream now, as far as the sink can tell, None for nobody; disturbs nobody."""


class Api(Protocol):
    """The orchestrator as the heart sees it."""

    async def answer(self, question: Question) -> Answer:
        """Return the answer, Trouble included; raise Denied where only a person can help."""

    def changed(self) -> bool:
        """Whether a token or certificate file differs from what was denied; asks nobody."""


class Recall(Protocol):
    """A memory being read back, one document at a time, so that a large one never stands twice."""

    def learn(self, document: Recalled) -> None:
        """Take in one document; raise Corrupt where it cannot be ours."""

    def state(self) -> Any:
        """Return the state that the documents describe."""


class Stream(Protocol):
    """One tail as a pure function of what was said; `state` is opaque to everybody else."""

    id: StreamId
    channels: tuple[str, ...]

    def recall(self, owner: str) -> Recall:
        """Return an empty memory to be filled; `owner` is stamped into the head by the next fold."""

    def ask(self, state: Any, now: float) -> tuple[Question, ...]:
        """Return everything the state leaves open at `now` (Unix seconds)."""

    def fold(self, state: Any, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers, in this order, amount to."""

    def due(self, state: Any, now: float) -> float:
        """Return seconds until ask() may have something new to say without another answer; 0 = now."""


@runtime_checkable
class Finite(Stream, Protocol):
    """A stream that comes to an end, and may have to wait before it begins."""

    def done(self, state: Any) -> bool:
        """Whether everything is delivered, once the batch that led to the state is committed."""

    def waits(self, state: Any) -> bool:
        """Whether there is nothing to ask until the memory is recalled again: another stream has to write to it."""


class Watch(Protocol):
    """Told what happened; turns it into metrics, log lines and the status page."""

    def shared(self, share: Share) -> None:
        """The workers' group has decided anew, or we are outside it."""

    def assigned(self, stream: StreamId) -> None: ...
    def claimed(self, stream: StreamId, state: Any) -> None: ...
    def read(self, stream: StreamId, items: int) -> None:
        """Answers came that hold so many jobs, events, nodes or plans; they are folded next."""

    def lapped(self, stream: StreamId, batch: Batch, now: float) -> None:
        """An answer was folded; whatever it held is committed by now."""

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None: ...
    def stumbled(self, stream: StreamId, loss: OrchbridgeError, pause_s: float) -> None: ...
    def troubled(self, stream: StreamId, subject: str, trouble: Trouble) -> None: ...
    def parked(self, stream: StreamId, refusal: OrchbridgeError) -> None: ...
    def resumed(self, stream: StreamId) -> None: ...
    def released(self, stream: StreamId, reason: str) -> None:
        """A newer owner was met: the stream was let go."""

    def revoked(self, stream: StreamId, reason: str) -> None:
        """The group gave the stream to another worker, and it was let go."""

    def waiting(self, stream: StreamId, state: Any) -> None:
        """A finite stream cannot begin before another one writes to its memory; no stumble, it is looked at again."""

    def finished(self, stream: StreamId, state: Any) -> None:
        """A finite stream is done; it is not carried any more."""
