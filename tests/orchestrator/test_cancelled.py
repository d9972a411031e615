"""Questions given up at any moment, once or twice: the next one finds a connection all the same."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter

import pytest

from orchbridge.core.questions import JobEvents, Page
from orchbridge.orchestrator import Access, Client
from tests.orchestrator.servers import http, request_head, tcp

BODY = b'{"items":[{"id":"1","type":"node_running"}]}'


async def in_pieces(reader: StreamReader, writer: StreamWriter, number: int) -> None:
    """Answer every request, with a moment between head, half and end."""
    while True:
        await request_head(reader)
        answer = http(BODY)
        for part in (answer[:10], answer[10:60], answer[60:]):
            await asyncio.sleep(0)
            writer.write(part)
            await writer.drain()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_question_given_up_at_any_moment_costs_no_connection(times: int) -> None:
    """A time limit and the end of a claim can both cancel the same question, the second within the first's clean-up."""
    async with tcp(in_pieces) as url, Client(Access("pe", url, connect_s=2.0, concurrency=1)) as client:
        for moment in range(120):
            for gap in range(4):
                asking = asyncio.create_task(client.answer(JobEvents(7)))
                await turns(moment)
                for _ in range(times):
                    asking.cancel()
                    await turns(gap)
                with contextlib.suppress(asyncio.CancelledError):
                    await asking
                if moment % 10 == 0:
                    assert isinstance(await client.answer(JobEvents(7)), Page), f"after {moment} turns"
        assert isinstance(await client.answer(JobEvents(7)), Page)


async def test_a_handshake_given_up_leaves_no_connection_behind() -> None:
    """A server that takes connections and says nothing more: each one left open would be one less for good."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        while await reader.read(1024):
            begun.set()
        ended.set()

    async with tcp(silent) as url:
        async with Client(Access("pe", url.replace("http:", "https:"), concurrency=1)) as client:
            asking = asyncio.create_task(client.answer(JobEvents(7)))
            async with asyncio.timeout(5):
                await begun.wait()
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asking
                await ended.wait()
