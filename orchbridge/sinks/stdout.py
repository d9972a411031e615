"""Records as lines on a stream of bytes: to look at them, or to feed a program that keeps its own memory."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError, Refused, SinkLost
from orchbridge.core.ports import Codec, Finding, Group, Kept, Recalled, StreamId
from orchbridge.sinks.alone import alone
from orchbridge.sinks.needs import Quarantine, encode


class StdoutSink:
    """One structured event a line, in the order of the batches.

    It has no memory: `recall` yields nothing, so every start begins where the configuration
    says, and what a crash cuts off or repeats nobody can tell.
    """

    def __init__(self, codec: Codec, out: BinaryIO, *, quarantine: Quarantine) -> None:
        self._codec = codec
        self._out: BinaryIO = getattr(out, "raw", out)  # a buffer's lock, held by a stuck writer, would break the exit
        self._quarantine = quarantine
        self._turn = threading.Lock()
        self._broken = False

    async def open(self, streams: Sequence[StreamId]) -> None:
        """Nothing has to exist beforehand."""

    def join(self, streams: Sequence[StreamId], worker: str) -> AbstractAsyncContextManager[Group]:  # noqa: ARG002
        """Everything is ours: nobody else can write here."""
        return alone(streams)

    @contextlib.asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[StdoutLane]:
        """Hand out a lane; there is nobody to fence."""
        lane = StdoutLane(self, stream)
        try:
            yield lane
        finally:
            lane.closed = True

    async def close(self) -> None:
        """The stream belongs to whoever gave it."""

    async def check(self, streams: Sequence[StreamId]) -> Iterable[Finding]:  # noqa: ARG002 - the port's signature
        """Say what a user may not expect."""
        hint = "use the kafka or jsonl sink where nothing may be lost or repeated"
        return (Finding("stdout", "warning", "this sink remembers nothing from run to run", hint),)

    async def kept(self) -> Sequence[Kept]:
        """Return nothing: what was written is gone."""
        return ()

    async def owner(self, stream: StreamId) -> str | None:  # noqa: ARG002 - the port's signature
        """Return None: nobody can own what keeps nothing."""
        return None

    async def write(self, batch: Batch) -> None:
        """Write the batch's records; raise Refused where nobody reads any more."""
        values = (encode(record, self._codec, self._quarantine).value for record in batch.records)
        data = b"".join(value + b"\n" for value in values if value is not None)
        if data:
            await _in_thread(lambda: self._put(data))

    def _put(self, data: bytes) -> OrchbridgeError | None:
        with self._turn:
            if self._broken:
                return Refused("an earlier line was cut off", hint="start orchbridge again with a reader that stays")
            rest = memoryview(data)
            try:
                while rest:
                    written = self._out.write(rest)
                    if written is None:  # not ready, where somebody made it non-blocking
                        time.sleep(0.01)
                    rest = rest[written or 0 :]
                self._out.flush()
            except (OSError, ValueError) as error:
                self._broken = True
                return Refused(f"cannot write to standard output: {error}", hint="start orchbridge with a reader")
        return None


class StdoutLane:
    """A stream's way to the output."""

    def __init__(self, sink: StdoutSink, stream: StreamId) -> None:
        self._sink = sink
        self._stream = stream
        self.closed = False

    async def recall(self, channels: tuple[str, ...] = ()) -> AsyncIterator[Recalled]:  # noqa: ARG002 - the port's signature
        """Yield nothing: what was written is gone."""
        return
        yield

    async def commit(self, batch: Batch) -> None:
        """Write the records; the documents are forgotten."""
        if self.closed:
            raise SinkLost(f"the lane of {self._stream.name} is closed", hint="claim the stream again")
        await self._sink.write(batch)


async def _in_thread(work: Callable[[], OrchbridgeError | None]) -> None:
    """Do work that may block for ever in a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[OrchbridgeError | None] = loop.create_future()

    def settle(error: OrchbridgeError | None) -> None:
        if not done.done():
            done.set_result(error)

    def run() -> None:
        error: OrchbridgeError | None = SinkLost("the write to standard output broke off")
        try:
            error = work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="orchbridge-stdout", daemon=True).start()
    error = await done
    if error is not None:
        raise error
