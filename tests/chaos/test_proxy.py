"""The proxy does to connections what its faults are called after."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.frames import END_TXN, Frames
from tests.chaos.proxy import Connection, Proxy


class Server:
    """Notes what it gets and answers each piece with the same in capitals."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.eof = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            self.heard.append(piece)
            writer.write(piece.upper())
        self.eof.set()
        writer.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Proxy, Server, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    proxy = Proxy(lambda: (host, port))
    await proxy.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    yield proxy, server, reader, writer
    await proxy.close()
    writer.close()
    listening.close()


async def told(reader: asyncio.StreamReader, limit_s: float = 0.3) -> bytes | None:
    """Return what comes, None where nothing does."""
    try:
        return await asyncio.wait_for(reader.read(100), limit_s)
    except TimeoutError:
        return None


async def test_a_cut_is_a_reset_on_both_sides() -> None:
    async with connected() as (proxy, _, reader, _w):
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_stalled_nothing_passes_and_later_everything_does() -> None:
    async with connected() as (proxy, server, reader, writer):
        proxy.stall()
        writer.write(b"wait")
        assert await told(reader) is None
        assert server.heard == [b"hello"]
        proxy.calm()
        assert await told(reader) == b"WAIT"


async def test_swallowed_answers_were_heard_by_the_server_and_never_come() -> None:
    async with connected() as (proxy, server, reader, writer):
        proxy.swallow()
        writer.write(b"done")
        assert await told(reader) is None
        assert server.heard == [b"hello", b"done"]
        proxy.calm()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_half_closed_only_one_side_knows() -> None:
    async with connected() as (proxy, server, reader, writer):
        proxy.half_close(client=True)
        assert await told(reader) == b""
        assert not server.eof.is_set()
        writer.write(b"still here")
        await asyncio.sleep(0.1)
        assert server.heard[-1] == b"still here"


async def test_torn_in_the_middle_of_an_answer() -> None:
    async with connected() as (proxy, _, reader, writer):
        proxy.tear()
        writer.write(b"abcdef")
        found = b""
        with pytest.raises(ConnectionResetError):
            while piece := await reader.read(100):
                found += piece
        assert found in {b"", b"ABC"}, "a reset may overtake what was sent before it"


async def test_slowed_it_takes_its_time() -> None:
    async with connected() as (proxy, _, reader, writer):
        proxy.slow(2_000)
        writer.write(b"x")  # the piece that is being waited for is still as large as it likes
        assert await told(reader, 2.0) == b"X"
        begun = time.monotonic()
        writer.write(b"y" * 1_000)
        await reader.readexactly(1_000)
        assert time.monotonic() - begun > 0.5


async def test_refused_and_found_again_on_the_same_port() -> None:
    async with connected() as (proxy, _, _r, _w):
        await proxy.close()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"again")
        assert await told(reader) == b"AGAIN"
        writer.close()


def request(key: int, body: bytes) -> bytes:
    return struct.pack(">ihh", 4 + len(body), key, 1) + body


def test_requests_are_told_apart_in_whatever_pieces_they_come() -> None:
    sent = [(0, b"x" * 300), (END_TXN, b"commit"), (3, b""), (END_TXN, b"\x00\x00\x00\x06\x00\x1a")]
    stream = b"".join(request(key, body) for key, body in sent)
    for size in (1, 2, 3, 7, 64, 5_000):
        frames = Frames()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [key for piece in pieces for key in frames.keys(piece)] == [key for key, _ in sent], size


async def test_the_next_commit_is_seen_before_it_is_forwarded() -> None:
    async with connected() as (proxy, server, _r, _w):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        passed: list[int] = []

        def lose(connection: Connection) -> None:
            passed.append(len(server.heard))
            connection.deaf = True

        proxy.at_next_commit(lose)
        writer.write(request(0, b"records"))
        assert await told(reader) is not None
        writer.write(request(END_TXN, b"commit"))
        assert await told(reader) is None, "its answer is lost"
        assert passed == [2]
        assert len(server.heard) == 3, "the server heard it"
        writer.close()
