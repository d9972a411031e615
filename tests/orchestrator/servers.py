"""Small servers on loopback: one that answers over HTTP, one that misbehaves over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response] | Response]


def answering(body: Any, status: int = 200, **headers: str) -> Response:
    """Make a JSON answer; header names are written with underscores."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(content, status, {"content-type": "application/json", **named})


@dataclass
class Door:
    """A running server: what it answers is decided by `handler`, what it heard is in `heard`."""

    handler: Handler
    port: int = 0
    scheme: str = "http"
    heard: list[Request] = field(default_factory=list)
    peers: set[tuple[str, int]] = field(default_factory=set)
    now: int = 0
    most: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.heard.append(request)
        self.peers.add(scope["client"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            answer = self.handler(request)
            response = answer if isinstance(answer, Response) else await answer
            await response(scope, receive, send)
        finally:
            self.now -= 1


@contextlib.asynccontextmanager
async def served(handler: Handler, **tls: Any) -> AsyncIterator[Door]:
    """Run a uvicorn server on a free port for the time of the block."""
    # The protocol is named because asyncio turns Nagle's delay off only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.bind(("127.0.0.1", 0))
        door = Door(handler, port=sock.getsockname()[1], scheme="https" if tls else "http")
        config = uvicorn.Config(door, log_level="critical", lifespan="off", ws="none", date_header=False, **tls)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[sock])  # its own loop would look for the end ten times a second only
        try:
            yield door
        finally:
            # shutdown() would sleep, and politely wait for answers that are slow on purpose
            for listener in server.servers:
                listener.close()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            for task in list(server.server_state.tasks):
                task.cancel()
            await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


TcpHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@contextlib.asynccontextmanager
async def tcp(handler: TcpHandler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a TCP server; the handler gets the number of the connection, from 0."""
    number = 0
    busy: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        task = asyncio.current_task()
        assert task
        busy.add(task)
        mine, number = number, number + 1
        try:
            await handler(reader, writer, mine)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            busy.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield f"{'https' if context else 'http'}://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await server.wait_closed()


async def request_head(reader: asyncio.StreamReader) -> bytes:
    """Read one request's head."""
    return await reader.readuntil(b"\r\n\r\n")


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Write a whole answer by hand."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
