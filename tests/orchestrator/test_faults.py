"""Faults of the wire, over real sockets: each becomes the right Trouble, soon, and leaves nothing open."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from asyncio import StreamReader, StreamWriter
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.questions import InventoryOf, JobEvents, JobsPage, Page, Trouble
from orchbridge.orchestrator import Access, Asked, Client
from tests.orchestrator.servers import answering, http, request_head, reset, served, tcp

BODY = b'{"items":[{"id":"1","type":"node_running"}]}'
QUICK = Access("pe", "", connect_s=1.0, read_s=0.2, write_s=1.0, total_s=5.0)


@pytest.fixture(autouse=True)
def _short(short_pauses: None) -> None:
    """Let retries come at once."""


async def asked(access: Access, heard: list[Asked] | None = None) -> Trouble:
    async with Client(access, heard.append if heard is not None else lambda _: None) as client:
        answer = await client.answer(JobEvents(7))
    assert isinstance(answer, Trouble), answer
    return answer


async def test_an_idle_connection_the_server_closed_costs_nothing() -> None:
    async def one_answer_each(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        writer.write(http(BODY))
        await request_head(reader)
        reset(writer)  # the keep-alive race: the next request was already on its way

    heard: list[Asked] = []
    async with tcp(one_answer_each) as url, Client(replace(QUICK, url=url), heard.append) as client:
        for _ in range(3):
            assert isinstance(await client.answer(JobEvents(7)), Page)
    assert [asked.code for asked in heard] == ["200", "unreachable", "200", "unreachable", "200"]


@pytest.mark.parametrize("how", ["reset", "closed"])
async def test_a_server_that_never_answers_is_tried_three_times(how: str) -> None:
    tries = 0

    async def rude(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        nonlocal tries
        tries += 1
        await request_head(reader)
        if how == "reset":
            reset(writer)

    async with tcp(rude) as url:
        trouble = await asked(replace(QUICK, url=url))
    assert trouble.kind == "unreachable"
    assert tries == 3


async def test_asking_about_nodes_is_a_read_and_may_be_repeated() -> None:
    async def second_time(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        if number == 0:
            return reset(writer)
        writer.write(http(b'{"items":[]}'))
        return None

    async with tcp(second_time) as url, Client(replace(QUICK, url=url)) as client:
        assert await client.answer(InventoryOf(("a.test",))) == Page((), paged=False)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    heard: list[Asked] = []
    trouble = await asked(replace(QUICK, url=f"http://127.0.0.1:{port}"), heard)
    assert trouble.kind == "unreachable"
    assert f"127.0.0.1:{port}" in trouble.explanation
    assert {each.code for each in heard} == {"unreachable"}


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # tests ask no name server
    trouble = await asked(replace(QUICK, url="https://pe.invalid:8143"))
    assert trouble.kind == "unreachable"
    assert "pe.invalid:8143 cannot be reached: Name or service not known" in trouble.explanation


async def test_a_connection_reset_in_the_middle_of_a_body_is_not_repeated() -> None:
    tries = 0

    async def cut(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        nonlocal tries
        tries += 1
        await request_head(reader)
        writer.write(http(BODY, length=5000))
        await writer.drain()
        reset(writer)

    async with tcp(cut) as url:
        trouble = await asked(replace(QUICK, url=url))
    assert trouble.kind == "unreachable"
    assert tries == 1


async def test_a_body_that_ends_too_early_is_not_taken_for_whole() -> None:
    async def short(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        writer.write(http(BODY, length=len(BODY) + 1))

    async with tcp(short) as url:
        trouble = await asked(replace(QUICK, url=url))
    assert trouble.kind == "unreachable"
    assert "in the middle of an answer" in trouble.explanation


async def test_a_torn_answer_in_a_whole_body_is_malformed() -> None:
    async def torn(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        writer.write(http(BODY[:-3]))

    heard: list[Asked] = []
    async with tcp(torn) as url:
        trouble = await asked(replace(QUICK, url=url), heard)
    assert trouble.kind == "malformed"
    assert [each.code for each in heard] == ["200"]


@pytest.mark.parametrize("stall", ["before the answer", "in the head", "in the body"])
async def test_a_server_that_stalls_is_left(stall: str) -> None:
    async def stalling(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        if stall == "in the head":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-")
        if stall == "in the body":
            writer.write(http(BODY, length=5000))
        await asyncio.sleep(60)

    async with tcp(stalling) as url:
        trouble = await asked(replace(QUICK, url=url))
    assert trouble.kind == "timeout"
    assert "sent nothing for 0.2 s" in trouble.explanation


async def test_a_body_that_drips_is_left_after_the_total_limit() -> None:
    async def dripping(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        writer.write(http(b"", length=5000))
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    heard: list[Asked] = []
    async with tcp(dripping) as url:
        trouble = await asked(replace(QUICK, url=url, total_s=0.3), heard)
    assert trouble.kind == "timeout"
    assert "did not finish its answer within 0.3 s" in trouble.explanation
    assert [each.code for each in heard] == ["200"]


async def test_garbage_instead_of_http_is_trouble() -> None:
    async def garbage(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        writer.write(b"\x00\x01\x02 220 smtp ready\r\n\r\n")

    async with tcp(garbage) as url:
        assert (await asked(replace(QUICK, url=url))).kind == "unreachable"


async def test_html_with_200_is_malformed_and_shows_its_beginning() -> None:
    page = b"<!doctype html>\n<title>Sign in</title>" + b"." * 500
    async with served(lambda _: Response(page, 200, media_type="text/html")) as door:
        trouble = await asked(replace(QUICK, url=door.url))
    assert trouble.kind == "malformed"
    assert "<!doctype html> <title>Sign in</title>" in trouble.explanation
    assert len(trouble.explanation) < 250


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    def away(request: Request) -> Response:
        return Response(b"", status, {"location": f"http://{request.url.netloc}/elsewhere?t=1"})

    async with served(away) as door:
        trouble = await asked(replace(QUICK, url=door.url, token="0secret"))
        assert [request.url.path for request in door.heard] == ["/orchestrator/v1/jobs/7/events"]
    assert trouble.kind == "malformed"
    assert "localhost" in trouble.explanation
    assert "elsewhere" not in trouble.explanation


async def test_the_wish_for_a_pause_is_passed_on() -> None:
    def busy(_: Request) -> Response:
        return answering({"kind": "x", "msg": "slow down"}, 429, retry_after="17")

    async with served(busy) as door, Client(replace(QUICK, url=door.url)) as client:
        trouble = await client.answer(JobsPage(5))
        assert isinstance(trouble, Trouble)
        assert (trouble.kind, trouble.retry_after_s, trouble.status) == ("throttled", 17.0, 429)
        assert len(door.heard) == 1, "pauses are the caller's business"


async def test_a_compressed_answer_is_read() -> None:
    def packed(request: Request) -> Response:
        assert request.headers["accept-encoding"] == "gzip"
        return answering(gzip.compress(BODY), content_encoding="gzip")

    heard: list[Asked] = []
    async with served(packed) as door, Client(replace(QUICK, url=door.url), heard.append) as client:
        assert isinstance(await client.answer(JobEvents(7)), Page)
    assert heard[0].bytes == len(BODY)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(BODY)[:-9], "gzip"),
        (BODY, "gzip"),
        (gzip.compress(BODY) + b"more", "gzip"),
        (b"", "gzip"),
        (BODY, "br"),
    ],
    ids=["torn", "not packed", "trailing", "empty", "unknown"],
)
async def test_a_compression_that_is_broken_or_unknown_is_malformed(body: bytes, encoding: str) -> None:
    async with served(lambda _: answering(body, content_encoding=encoding)) as door:
        assert (await asked(replace(QUICK, url=door.url))).kind == "malformed"


async def test_cancelling_an_answer_leaves_the_client_usable() -> None:
    async def slow_first(reader: StreamReader, writer: StreamWriter, number: int) -> None:
        await request_head(reader)
        if number == 0:
            await asyncio.sleep(60)
        writer.write(http(BODY))
        await writer.drain()

    access = Access("pe", "", concurrency=1)
    async with tcp(slow_first) as url, Client(replace(access, url=url)) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.answer(JobEvents(7))
        assert isinstance(await client.answer(JobEvents(7)), Page)
