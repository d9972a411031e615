"""A proxy on loopback that carries requests to a server and loses answers on the way back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.orchestrator.servers import http, request_head, reset, tcp


@dataclass
class Lossy:
    """What happens to requests whose first line contains `on`, so many `times`; `heard` are all first lines.

    reset, closed   the server carries it out, then the connection goes
    never arrives   the connection goes before the server hears of it
    stalls          the server carries it out, and nobody answers
    torn            half of the answer, then the connection goes
    garbled         a whole answer that is not what was promised
    502, 503, 504   a proxy's page instead of the answer
    refused 500     the orchestrator's own error, though it was carried out

    With " before" behind it the same happens, but the server never hears of it.
    """

    url: str = ""
    how: str = ""
    on: str = "POST /orchestrator/v1/command"
    times: int = 1_000
    heard: list[str] = field(default_factory=list)
    hit: int = 0


@contextlib.asynccontextmanager
async def losing(server: str, how: str, **more: object) -> AsyncIterator[Lossy]:
    """Run the proxy in front of this server for the time of the block."""
    lossy = Lossy(how=how, **more)  # type: ignore[arg-type]

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            head = await request_head(reader)
            request = head + await reader.readexactly(_length(head))
            line = head.split(b"\r\n", 1)[0].decode()
            lossy.heard.append(line)
            hit = lossy.on in line and lossy.hit < lossy.times
            lossy.hit += hit
            if not await _carried(request, writer, server, lossy.how if hit else ""):
                return

    async with tcp(one) as url:
        lossy.url = url
        yield lossy


async def _carried(request: bytes, writer: asyncio.StreamWriter, server: str, how: str) -> bool:
    if how == "never arrives":
        reset(writer)
        return False
    word = how.removesuffix(" before")
    answer = await _asked(server, request) if word == how else b""
    match word:
        case "":
            writer.write(answer)
            await writer.drain()
            return True
        case "reset":
            reset(writer)
        case "stalls":
            await asyncio.sleep(60)
        case "torn":
            writer.write(answer[:-10])
            await writer.drain()
        case "garbled":
            writer.write(http(b'{"fine":true}', status="202 Accepted"))
        case "502" | "503" | "504":
            writer.write(http(b"<html>gateway", status=f"{word} Gateway"))
        case "refused 500":
            body = b'{"kind":"puppetlabs.orchestrator/unknown-error","msg":"java.lang.NullPointerException"}'
            writer.write(http(body, status="500 Oops"))
    return False


async def _asked(server: str, request: bytes) -> bytes:
    parts = urlsplit(server)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(_length(head))
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
