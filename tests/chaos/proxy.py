"""A TCP proxy that can misbehave: cut, stall, slow down, half-close, swallow answers, tear, refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from tests.chaos.frames import END_TXN, Frames

PIECE = 65_536
SLOW_PIECE = 512
CLOSE_S = 5.0


class Connection:
    """One client's connection and ours to the server behind it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.deaf = False  # what the server answers is thrown away from here on

    def abort(self) -> None:
        """End both sides with a reset."""
        for writer in (self.client, self.server):
            _reset_when_closed(writer)
            writer.transport.abort()


class Proxy:
    """Forwards a port of its own to `target` (host, port), as well as it is told to.

    The weather applies to every connection there is and every one that comes while it lasts. It keeps
    its port from open() to close(), so that whoever was told the address finds it again.
    """

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        self.port = 0
        self.connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._target = target
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_s: float | None = None
        self._deaf = False
        self._tear = False
        self._commit: Callable[[Connection], None] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen, the first time on a free port, later on the same one again."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, cut what there is, and be done with it."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.calm()
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving, timeout=CLOSE_S)

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        found = list(self.connections)
        for connection in found:
            connection.abort()
        return len(found)

    def half_close(self, *, client: bool) -> int:
        """Say goodbye to one side of every connection without the other's knowing; return how many there were."""
        found = list(self.connections)
        for connection in found:
            with contextlib.suppress(OSError, RuntimeError):
                (connection.client if client else connection.server).write_eof()
        return len(found)

    def stall(self) -> None:
        """Let nothing through, in no direction; connections stay."""
        self._flowing.clear()

    def slow(self, bytes_per_s: float) -> None:
        """Let each direction of each connection have so many bytes a second."""
        self._bytes_per_s = bytes_per_s

    def swallow(self) -> None:
        """Let requests through and throw answers away."""
        self._deaf = True

    def tear(self) -> None:
        """Cut the next connection that is answered, in the middle of the answer."""
        self._tear = True

    def at_next_commit(self, act: Callable[[Connection], None] | None) -> None:
        """Call `act` when the next end of a Kafka transaction passes, before it is forwarded; None for no longer."""
        self._commit = act

    def calm(self) -> None:
        """Behave again. What was swallowed is gone: those connections are cut."""
        self._bytes_per_s, self._deaf, self._tear, self._commit = None, False, False, None
        for connection in list(self.connections):
            if connection.deaf:
                connection.abort()
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            behind, forward = await asyncio.open_connection(*self._target())
        except OSError:
            _reset_when_closed(writer)
            writer.transport.abort()
            return
        connection = Connection(writer, forward)
        self.connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up(reader, connection))
                group.create_task(self._down(behind, connection))
        except* (OSError, RuntimeError):  # one side is gone, or was half-closed by us: so is the other
            pass
        finally:
            self.connections.discard(connection)
            connection.abort()

    async def _up(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        frames = Frames()
        while piece := await self._piece(reader):
            if END_TXN in list(frames.keys(piece)) and self._commit is not None:
                act, self._commit = self._commit, None
                act(connection)
            connection.server.write(piece)
            await connection.server.drain()
        connection.server.write_eof()

    async def _down(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        while piece := await self._piece(reader):
            if self._tear:
                self._tear = False
                connection.client.write(piece[: len(piece) // 2])
                await asyncio.sleep(0)
                raise ConnectionResetError
            if self._deaf or connection.deaf:
                connection.deaf = True
                continue
            connection.client.write(piece)
            await connection.client.drain()
        connection.client.write_eof()

    async def _piece(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next piece once it may pass, empty at the end."""
        piece = await reader.read(PIECE if self._bytes_per_s is None else SLOW_PIECE)
        if self._bytes_per_s is not None:
            await asyncio.sleep(len(piece) / self._bytes_per_s)
        await self._flowing.wait()
        return piece


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
