"""The client over real sockets: the right requests, the right facts, within bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.errors import ConfigError, Denied
from orchbridge.core.facts import Connection, Job
from orchbridge.core.questions import (
    BrokerStatus,
    Health,
    Inventory,
    InventoryOf,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import Access, Asked, Client
from orchbridge.orchestrator.budget import Budget
from tests.orchestrator.servers import answering, http, request_head, served, tcp

QUESTIONS: list[tuple[Question, str]] = [
    (JobsPage(50), "/orchestrator/v1/jobs?limit=50&offset=0&order=desc&order_by=name"),
    (JobsPage(50, 100), "/orchestrator/v1/jobs?limit=50&offset=100&order=desc&order_by=name"),
    (JobDetail(7), "/orchestrator/v1/jobs/7"),
    (JobEvents(7), "/orchestrator/v1/jobs/7/events"),
    (JobEvents(7, 31), "/orchestrator/v1/jobs/7/events?start=31"),
    (JobNodes(7, 500), "/orchestrator/v1/jobs/7/nodes?limit=500&offset=0"),
    (PlansPage(20), "/orchestrator/v1/plan_jobs?limit=20&offset=0&order=desc&order_by=name&results=exclude"),
    (PlanDetail(82), "/orchestrator/v1/plan_jobs/82"),
    (PlanEvents(82, 501), "/orchestrator/v1/plan_jobs/82/events?start=501"),
    (PlanEventWhole(82, 501), "/orchestrator/v1/plan_jobs/82/event/501"),
    (Inventory(), "/orchestrator/v1/inventory"),
    (BrokerStatus(), "/status/v1/services/broker-service"),
    (TaskMetadata("dbx::dump", "production"), "/orchestrator/v1/tasks/dbx/dump?environment=production"),
    (TaskMetadata("facts", "production"), "/orchestrator/v1/tasks/facts/init?environment=production"),
    (TaskMetadata("a::b::c", "x/y &z"), "/orchestrator/v1/tasks/a/b%3A%3Ac?environment=x%2Fy+%26z"),
    (TaskMetadata("..::../x", "e"), "/orchestrator/v1/tasks/%2E%2E/..%2Fx?environment=e"),
]
JOBS = {"items": [{"name": "412", "state": "running"}], "pagination": {"total": 1}}


def target(request: Request) -> str:
    query = request.scope["query_string"].decode()
    return request.scope["raw_path"].decode() + (f"?{query}" if query else "")


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
async def test_each_question_is_one_request_built_from_our_own_base(question: Question, expected: str) -> None:
    async with served(lambda _: answering({"items": []})) as door, Client(Access("pe", door.url)) as client:
        await client.answer(question)
    assert [(asked.method, target(asked)) for asked in door.heard] == [("GET", expected)]


async def test_a_base_with_a_path_or_the_api_version_in_it_works() -> None:
    async with served(lambda _: answering(JOBS)) as door:
        for path in ("/", "/orchestrator/v1", "/orchestrator/v1/", "/via/proxy/"):
            async with Client(Access("pe", door.url + path)) as client:
                await client.answer(JobDetail(7))
    paths = [asked.url.path for asked in door.heard]
    assert paths == ["/orchestrator/v1/jobs/7"] * 3 + ["/via/proxy/orchestrator/v1/jobs/7"]


async def test_a_page_arrives_as_facts_and_the_request_says_who_asks(token_file: Path) -> None:
    heard: list[Asked] = []
    async with (
        served(lambda _: answering(JOBS)) as door,
        Client(Access("pe", door.url, token_file=token_file), heard.append) as client,
    ):
        answer = await client.answer(JobsPage(50))
    assert isinstance(answer, Page)
    assert (answer.total, answer.paged, answer.cut) == (1, True, False)
    assert isinstance(answer.items[0], Job)
    assert answer.items[0].id == 412
    headers = door.heard[0].headers
    assert headers["x-authentication"] == "0first1token2secret"
    assert headers["user-agent"].startswith("orchbridge/")
    (asked,) = heard
    assert (asked.source, asked.endpoint, asked.code) == ("pe", "/jobs", "200")
    assert asked.bytes > 50
    assert 0 < asked.seconds < 5


async def test_a_broker_that_is_not_well_says_so_with_503() -> None:
    said = {"broker-service": {"state": "error", "service_version": "1"}}
    async with served(lambda _: answering(said, 503)) as door, Client(Access("pe", door.url)) as client:
        assert await client.answer(BrokerStatus()) == Health("error")


async def test_many_certnames_are_asked_about_in_several_requests() -> None:
    async def posted(request: Request) -> Response:
        nodes = (await request.json())["nodes"]
        assert request.headers["content-type"] == "application/json"
        return answering({"items": [{"name": name, "connected": False} for name in nodes]})

    names = tuple(f"n{number}.test" for number in range(2_500))
    async with served(posted) as door, Client(Access("pe", door.url)) as client:
        answer = await client.answer(InventoryOf(names))
        assert await client.answer(InventoryOf(())) == Page((), paged=False)
    assert isinstance(answer, Page)
    assert answer.items == tuple(Connection(name, connected=False) for name in names)
    assert [asked.method for asked in door.heard] == ["POST"] * 3


async def test_connections_are_kept_and_never_more_than_allowed() -> None:
    async def slow(_: Request) -> Response:
        await asyncio.sleep(0.01)
        return answering(JOBS)

    async with served(slow) as door, Client(Access("pe", door.url, concurrency=3)) as client:
        async with asyncio.TaskGroup() as group:
            for job in range(30):
                group.create_task(client.answer(JobEvents(job)))
        assert door.most == 3
        assert len(door.peers) == 3


async def test_waiting_for_ones_turn_does_not_count_against_the_time_limit() -> None:
    async def slow(_: Request) -> Response:
        await asyncio.sleep(0.15)
        return answering(JOBS)

    async with served(slow) as door, Client(Access("pe", door.url, concurrency=1, total_s=0.4)) as client:
        answers = await asyncio.gather(*(client.answer(JobEvents(job)) for job in range(4)))
    assert all(isinstance(answer, Page) for answer in answers)


async def test_a_proxy_is_used_where_configured_and_never_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        lines.append((await request_head(reader)).split(b"\r\n")[0])
        writer.write(http(b'{"items":[]}'))

    async with tcp(proxy) as proxy_url, served(lambda _: answering(JOBS)) as door:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy_url)
        async with Client(Access("pe", door.url)) as client:
            await client.answer(JobDetail(7))
        assert (len(lines), len(door.heard)) == (0, 1)
        async with Client(Access("pe", door.url, proxy=proxy_url)) as client:
            assert isinstance(await client.answer(JobEvents(7)), Page)
        assert lines == [f"GET {door.url}/orchestrator/v1/jobs/7/events HTTP/1.1".encode()]


async def test_the_request_budget_is_kept() -> None:
    loop = asyncio.get_running_loop()
    budget = Budget(per_s=50)
    assert budget.left() == 100
    started = loop.time()
    for _ in range(110):
        await budget.take()
    assert loop.time() - started >= 10 / 50 - 0.01, "a hundred at once, ten more at fifty a second"
    assert budget.left() < 1.5


async def test_every_request_counts_against_the_budget() -> None:
    async with served(lambda _: answering(JOBS)) as door, Client(Access("pe", door.url, requests_per_s=0.01)) as client:
        assert client.budget_left() == 1
        await client.answer(JobDetail(1))
        assert client.budget_left() < 0.1


async def test_a_server_that_refuses_parameters_it_does_not_know_is_asked_more_plainly() -> None:
    def old(request: Request) -> Response:
        if set(request.query_params) - {"limit"}:
            return answering({"kind": "puppetlabs.orchestrator/validation-error", "msg": "unknown parameter"}, 400)
        return answering({"items": []})

    async with served(old) as door, Client(Access("pe", door.url)) as client:
        first = await client.answer(JobsPage(20))
        asked = len(door.heard)
        again = await client.answer(JobsPage(20))
        further = await client.answer(JobsPage(20, offset=20))
    assert first == again == Page((), paged=False)
    assert asked == 3
    assert len(door.heard) == asked + 2, "what is known to be refused is not tried again"
    assert isinstance(further, Trouble)
    assert further.kind == "invalid"


@pytest.mark.parametrize(
    "url",
    [
        "http://pe.example.com:8143",
        "http://10.0.0.1",
        "https://user:pw@pe.example.com",
        "https://pe.example.com:99999",
        "https://pe.example.com/?token=1",
        "https://pe..example.com",
        f"https://{'x' * 64}.example.com",
        "https://pe example.com",
        "https://[::1",
        "ftp://pe.example.com",
        "pe.example.com:8143",
        "",
    ],
)
async def test_an_address_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with Client(Access("pe", url)):
            pass
    assert refused.value.hint
    assert "pw" not in str(refused.value)


async def test_a_new_token_lifts_what_was_denied_to_the_old_one_whoever_reads_it_first(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    async with served(lambda _: answering({"kind": "x/not-permitted", "msg": "no"}, 403)) as door:
        async with Client(Access("pe", door.url, token_file=file)) as client:
            with pytest.raises(Denied):
                await client.answer(JobsPage(1))
            assert not client.changed()
            assert not client.token_refused(), "one right is missing"
            file.write_text("newer")
            client._token.read()
            assert client.changed()
