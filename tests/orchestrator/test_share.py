"""Shares of a client's budget over real sockets: bounded, and nobody starves on either side."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.errors import Denied
from orchbridge.core.ports import Api
from orchbridge.core.questions import JobDetail, JobEvents, JobsPage, Page
from orchbridge.orchestrator import Access, Client
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served as simulated
from orchbridge.sim.world import World
from tests.orchestrator.servers import answering, served

LATENCY_S = 0.1
SHARED = 1_000  # job ids from here on are asked for by a share


class Busy:
    """A server that takes its time, and how much of either side it had at once."""

    def __init__(self, latency_s: float = LATENCY_S) -> None:
        self.latency_s = latency_s
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    async def __call__(self, request: Request) -> Response:
        job = int(request.url.path.split("/")[4])
        side = "share" if job >= SHARED else "live"
        self.asked[side] += 1
        self.now[side] += 1
        self.most[side] = max(self.most[side], self.now[side])
        await asyncio.sleep(self.latency_s)
        self.now[side] -= 1
        return answering({"items": []})


@asynccontextmanager
async def busy(latency_s: float = LATENCY_S, **access: float) -> AsyncIterator[tuple[Client, Busy]]:
    server = Busy(latency_s)
    async with served(server) as door, Client(Access("pe", door.url, **access)) as client:  # type: ignore[arg-type]
        yield client, server


async def asking(api: Api, first: int, count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(api.answer(JobEvents(first + number)))


@pytest.mark.parametrize(("concurrency", "fraction", "most"), [(8, 0.25, 2), (8, 0.5, 4), (3, 0.1, 1), (1, 0.25, 1)])
async def test_a_share_asks_no_more_at_once_than_its_part(concurrency: int, fraction: float, most: int) -> None:
    async with busy(0.02, concurrency=concurrency, requests_per_s=1e6) as (client, server):
        await asking(client.share(fraction), SHARED, 20)
    assert server.most["share"] == most
    assert server.asked["share"] == 20


async def test_a_share_keeps_to_its_part_of_the_budget_and_leaves_the_burst_to_the_others() -> None:
    async with busy(0.0, concurrency=8, requests_per_s=80.0) as (client, _):
        share = client.share(0.25)
        started = time.monotonic()
        await asking(share, SHARED, 21)
        took = time.monotonic() - started
        assert 20 / 20 - 0.15 < took < 20 / 20 + 4.0, "two of them pass at once, the others at 20 a second"
        assert client.budget_left() > 150, "the whole budget of 160 had been filled up meanwhile"


async def test_repeated_requests_of_a_share_are_paid_from_the_share(token_file: Path) -> None:
    """A refused token is looked at again and the question sent anew: two requests, and the next one waits for both."""

    def changing(request: Request) -> Response:
        if request.headers["X-Authentication"] == "0first1token2secret":
            token_file.write_text("0second1token\n")
            return answering({"kind": "puppetlabs.rbac/token-expired", "msg": "expired"}, 401)
        return answering({"items": []})

    async with served(changing) as door:
        access = Access("pe", door.url, token_file=token_file, requests_per_s=40.0)
        async with Client(access) as client:
            share = client.share(0.1)
            assert isinstance(await share.answer(JobEvents(1)), Page)
            assert len(door.heard) == 2
            started = time.monotonic()
            await share.answer(JobEvents(2))
            assert time.monotonic() - started > 1.5 / 4


@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_the_live_stream_waits_for_one_request_of_the_shares_at_most(concurrency: int) -> None:
    async with busy(concurrency=concurrency, requests_per_s=1e6) as (client, server):
        shares = [asyncio.create_task(asking(client.share(0.5), SHARED + 100 * n, 40)) for n in range(3)]
        await asyncio.sleep(LATENCY_S)
        took = []
        for job in range(9):
            started = time.monotonic()
            await client.answer(JobEvents(job))
            took.append(time.monotonic() - started)
            await asyncio.sleep(0.03)
        for task in shares:
            task.cancel()
        await asyncio.gather(*shares, return_exceptions=True)
    allowed = 2 if concurrency == 1 else 1  # its own, and where there is one place only, one of theirs before it
    assert sorted(took)[4] < (allowed + 0.6) * LATENCY_S, "of nine the fifth: the machine has other things to do, too"
    assert server.most["share"] <= max(1, concurrency - 1)


async def test_a_share_moves_on_while_the_live_streams_use_everything() -> None:
    async with busy(0.05, concurrency=2, requests_per_s=1e6) as (client, server):
        ending = asyncio.Event()

        async def live(number: int) -> None:
            while not ending.is_set():
                await client.answer(JobEvents(number))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(live(number))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                await asking(client.share(0.25), SHARED, 8)
            ending.set()
    assert server.asked["share"] == 8
    assert server.asked["live"] > 8


async def test_who_gives_up_waiting_leaves_nothing_taken() -> None:
    async with busy(0.05, concurrency=2, requests_per_s=1e6) as (client, server):
        share = client.share(0.5)
        for _ in range(5):
            waiting = [asyncio.create_task(share.answer(JobEvents(SHARED))) for _ in range(4)]
            await asyncio.sleep(0.01)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(2):
            await asking(share, SHARED, 2)
            await asking(client, 1, 4)
        assert server.most["live"] == 2


async def test_connections_and_denials_are_the_same_against_the_simulator() -> None:
    world = World("quiet", knobs=Knobs(auth_fault="revoked"))
    heard = []
    async with simulated(world, token="right") as url, Client(Access("pe", url, token="right"), heard.append) as client:
        share = client.share(0.25)
        with pytest.raises(Denied):
            await client.answer(JobsPage(10))
        asked = len(heard)
        with pytest.raises(Denied):
            await share.answer(JobDetail(1))
        assert len(heard) == asked, "nobody asks again before a person has changed something"
        assert not share.changed()


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
async def test_what_is_no_share(fraction: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Client(Access("pe", "http://localhost:1")).share(fraction)
