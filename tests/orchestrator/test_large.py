"""Large bodies, streamed over real sockets: nothing lost, and memory stays small."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orchbridge.core.facts import Job, JobEvent, NodeRow, Odd, Plan, PlanEvent
from orchbridge.core.questions import (
    Answer,
    Inventory,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanEvents,
    PlansPage,
    Question,
    Trouble,
)
from orchbridge.orchestrator import Access, Asked, Client
from orchbridge.orchestrator.large import AT_ONCE
from tests.orchestrator.servers import answering, served

MEGABYTE = 1_000_000


def streamed(items: Iterator[bytes], before: bytes = b"", after: bytes = b"", indent: bytes = b"") -> StreamingResponse:
    """Answer with a list that is written as it is sent."""

    def pieces() -> Iterator[bytes]:
        yield b"{" + before + b'"items" : [' + indent
        lot: list[bytes] = []
        first = True
        for item in items:
            lot.append(item if first else b"," + indent + item)
            first = False
            if len(lot) == 400:
                yield b"".join(lot)
                lot.clear()
        yield b"".join(lot) + b"]" + after + b"}"

    async def chunks() -> Any:
        for piece in pieces():
            yield piece

    return StreamingResponse(chunks(), media_type="application/json")


def event(number: int, padding: int = 500) -> bytes:
    details = {"node": f"n{number}.test", "detail": {"_output": '\\"]}}},{"' + "x" * padding}}
    return json.dumps({"id": str(number), "type": "node_finished", "details": details}).encode()


async def ask(url: str, question: Question, heard: list[Asked] | None = None, **limits: Any) -> Answer:
    async with Client(Access("pe", url, **limits), heard.append if heard is not None else lambda _: None) as client:
        return await client.answer(question)


@pytest.mark.parametrize("indent", [b"", b"\n    "], ids=["compact", "pretty"])
async def test_events_come_in_cut_pages_and_all_of_them_come(indent: bytes) -> None:
    def events(request: Request) -> Response:
        start = int(request.query_params.get("start", "0"))
        return streamed((event(number) for number in range(start, 40_000)), b'"next-events":{},', indent=indent)

    heard: list[Asked] = []
    got: list[int] = []
    cuts = 0
    async with served(events) as door, Client(Access("pe", door.url), heard.append) as client:
        start: int | None = None
        while True:
            page = await client.answer(JobEvents(7, start))
            assert isinstance(page, Page)
            got.extend(item.id for item in page.items if isinstance(item, JobEvent))
            if not page.cut:
                break
            cuts += 1
            start = got[-1] + 1
    assert got == list(range(40_000))
    assert cuts == 2
    assert max(asked.bytes for asked in heard) < AT_ONCE + 3 * MEGABYTE, "what is not needed is not read"
    assert len(door.peers) >= cuts + 1, "a connection with an unread rest is not used again"


async def test_an_event_larger_than_a_page_is_read_whole() -> None:
    body = streamed(iter([event(1, 20 * MEGABYTE), event(2), event(3, 40 * MEGABYTE)]))
    async with served(lambda _: body) as door:
        page = await ask(door.url, JobEvents(7))
    assert isinstance(page, Page)
    assert page.cut
    assert all(isinstance(item, JobEvent) for item in page.items)
    assert [len(item.raw) // MEGABYTE for item in page.items] == [20, 0]


async def test_odd_events_in_a_large_page_cost_only_themselves() -> None:
    def events() -> Iterator[bytes]:
        for number in range(12_000):
            yield (
                b'{"id":"5","load":NaN}' if number == 5 else b"[" * 3000 + b"]" * 3000 if number == 6 else event(number)
            )

    async with served(lambda _: streamed(events())) as door:
        page = await ask(door.url, JobEvents(7))
    assert isinstance(page, Page)
    assert [number for number, item in enumerate(page.items) if isinstance(item, Odd)] == [5, 6]


async def test_a_page_is_never_cut_where_nobody_could_go_on() -> None:
    odd = (b'{"id":"x","padding":"%s"}' % (b"x" * megabytes * MEGABYTE) for megabytes in (9, 12))
    async with served(lambda _: streamed(chain(odd, map(event, range(60_000))))) as door:
        page = await ask(door.url, JobEvents(7))
    assert isinstance(page, Page)
    assert page.cut
    assert isinstance(page.items[0], Odd)
    assert isinstance(page.items[-1], JobEvent)


async def test_plan_events_are_cut_the_same_way() -> None:
    details = json.dumps({"message": "x" * 1000})
    rows = (f'{{"id":"{number}","type":"out_message","details":{details}}}'.encode() for number in range(12_000))
    async with served(lambda _: streamed(rows)) as door:
        page = await ask(door.url, PlanEvents(7))
    assert isinstance(page, Page)
    assert page.cut
    assert all(isinstance(item, PlanEvent) for item in page.items)
    assert 7_000 < len(page.items) < 12_000


ASK_FOR_INVENTORY = """
import asyncio, resource, sys
from orchbridge.core.questions import Inventory
from orchbridge.orchestrator import Access, Client

def most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main() -> None:
    async with Client(Access("pe", sys.argv[1])) as client:
        await client.answer(Inventory())
        before = most()
        page = await client.answer(Inventory())
        print(len(page.items), page.cut, most() - before, page.items[-1].since)

asyncio.run(main())
"""


async def test_an_inventory_of_100000_nodes_fits_into_little_memory() -> None:
    count = 0

    def rows(_: Request) -> Response:
        nonlocal count
        numbers, count = range(count), 100_000  # one answer to warm up, then the one that is measured
        return streamed(
            b'{"name":"node%05d.dc%02d.example.com","connected":true,'
            b'"broker":"pcp://compiler%d.example.com/server","timestamp":"2024-03-09T08:00:12.118Z"}'
            % (number, number % 40, number % 4)
            for number in numbers
        )

    async with served(rows) as door:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASK_FOR_INVENTORY, door.url, stdout=asyncio.subprocess.PIPE
        )
        said = (await child.communicate())[0].split()
    assert said[:2] == [b"100000", b"False"]
    assert said[3] == b"2024-03-09T08:00:12.118Z"
    grown = int(said[2]) / MEGABYTE
    assert grown < 40, f"{grown:.0f} MB"


async def test_nodes_are_kept_without_their_results() -> None:
    rows = (
        json.dumps({"result": {"_output": "x" * 40_000}, "name": f"n{number}.test", "state": "finished"}).encode()
        for number in range(500)
    )
    async with served(lambda _: streamed(rows, b'"next-events":{"event":"1"},')) as door:
        page = await ask(door.url, JobNodes(7, 500))
    assert isinstance(page, Page)
    assert page.items == tuple(NodeRow(f"n{number}.test", "finished") for number in range(500))


@pytest.mark.parametrize("pagination", ["before", "after", "missing"])
async def test_a_large_list_of_jobs_keeps_its_pagination(pagination: str) -> None:
    def page_of(request: Request) -> Response:
        rows = (
            json.dumps({"name": str(number), "state": "finished", "userdata": {"text": "x" * 50_000}}).encode()
            for number in range(300, 100, -1)
        )
        paging = b'"pagination":{"limit":200,"total":"300"}'
        before = paging + b"," if pagination == "before" else b""
        return streamed(rows, before, b"," + paging if pagination == "after" else b"")

    for question, kind in ((JobsPage(200), Job), (PlansPage(200), Plan)):
        async with served(page_of) as door:
            page = await ask(door.url, question)
        assert isinstance(page, Page)
        assert [item.id for item in page.items if isinstance(item, kind)] == list(range(300, 100, -1))
        assert (page.total, page.paged) == ((None, False) if pagination == "missing" else (300, True))


async def test_one_large_job_is_read() -> None:
    told = {"name": "7", "state": "finished", "userdata": {"text": "x" * 9 * MEGABYTE}}
    async with served(lambda _: answering(told)) as door:
        job = await ask(door.url, JobDetail(7))
    assert isinstance(job, Job)
    assert len(job.raw) > 9 * MEGABYTE


@pytest.mark.parametrize("question", [JobEvents(7), Inventory(), JobDetail(7)])
@pytest.mark.parametrize("torn", [b'{"items":[{"id":"1","type":"', b'{"item":[', b"<html>", b""])
async def test_a_large_body_that_is_not_what_was_asked_for(question: Question, torn: bytes) -> None:
    body = torn + b"x" * (AT_ONCE + MEGABYTE)
    async with served(lambda _: answering(body)) as door:
        trouble = await ask(door.url, question)
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "malformed"
    assert len(trouble.explanation) < 250


async def test_a_large_list_without_its_end_is_malformed() -> None:
    async with served(lambda _: streamed((event(number) for number in range(17_000)), after=b',"x":[')) as door:
        trouble = await ask(door.url, Inventory())
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "malformed"


@pytest.mark.parametrize("question", [JobEvents(7), Inventory(), JobDetail(7)])
async def test_an_announced_size_above_the_limit_is_refused_unread(question: Question) -> None:
    heard: list[Asked] = []
    async with served(lambda _: answering(b"x" * 3 * MEGABYTE)) as door:
        trouble = await ask(door.url, question, heard, body_bytes_max=2 * MEGABYTE)
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "oversize"
    assert (heard[0].code, heard[0].bytes) == ("200", 0)


@pytest.mark.parametrize("question", [Inventory(), JobNodes(7, 5), JobDetail(7)])
@pytest.mark.parametrize("limit", [2 * MEGABYTE, 11 * MEGABYTE])
async def test_a_body_is_left_where_it_passes_the_limit(question: Question, limit: int) -> None:
    heard: list[Asked] = []
    rows = (b'{"name":"n","connected":true,"state":"new","x":"%s"}' % (b"x" * 900) for _ in range(40_000))
    async with served(lambda _: streamed(rows)) as door:
        trouble = await ask(door.url, question, heard, body_bytes_max=limit)
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "oversize"
    assert str(limit) in trouble.explanation
    assert limit < heard[0].bytes < limit + MEGABYTE


async def test_a_compressed_bomb_goes_off_in_small_steps() -> None:
    bomb = gzip.compress(b'{"items":[' + b" " * 150 * MEGABYTE, compresslevel=9)
    assert len(bomb) < MEGABYTE
    heard: list[Asked] = []
    async with served(lambda _: answering(bomb, content_encoding="gzip")) as door:
        tracemalloc.start()
        trouble = await ask(door.url, JobDetail(7), heard, body_bytes_max=4 * MEGABYTE)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(trouble, Trouble)
    assert trouble.kind == "oversize"
    assert heard[0].bytes < 5 * MEGABYTE
    assert peak < 12 * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"


async def test_large_bodies_wait_for_each_other_and_all_arrive() -> None:
    def inventory(_: Request) -> Response:
        rows = (b'{"name":"n%d","connected":true,"x":"%s"}' % (number, b"x" * 900) for number in range(12_000))
        return streamed(rows)

    async with served(inventory) as door, Client(Access("pe", door.url)) as client:
        pages = await asyncio.gather(*(client.answer(Inventory()) for _ in range(4)))
    assert [len(page.items) for page in pages if isinstance(page, Page)] == [12_000] * 4
