"""The client over real sockets: questions become the right requests, answers the right facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request

from orchbridge.core.facts import Job
from orchbridge.core.questions import (
    BrokerStatus,
    Inventory,
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
)
from orchbridge.orchestrator import Access, Client
from tests.orchestrator.servers import answering, served

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


def asked_target(request: Request) -> str:
    query = request.scope["query_string"].decode()
    return request.scope["raw_path"].decode() + (f"?{query}" if query else "")


@pytest.mark.parametrize(("question", "target"), QUESTIONS)
async def test_each_question_is_one_request_built_from_our_own_base(question: Question, target: str) -> None:
    async with served(lambda _: answering({"items": []})) as door, Client(Access("pe", door.url)) as client:
        await client.answer(question)
    assert [(asked.method, asked_target(asked)) for asked in door.heard] == [("GET", target)]


async def test_jobs_arrive_as_facts_and_the_request_says_who_asks(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0TOKEN0secret\n")
    page = {
        "items": [{"name": "412", "id": "https://elsewhere:1/jobs/412", "state": "running"}],
        "pagination": {"total": 1},
    }
    async with (
        served(lambda _: answering(page)) as door,
        Client(Access("pe", door.url, token_file=tmp_path / "token")) as client,
    ):
        answer = await client.answer(JobsPage(50))
    assert isinstance(answer, Page)
    assert answer.total == 1
    assert answer.paged
    assert isinstance(answer.items[0], Job)
    assert answer.items[0].id == 412
    headers = door.heard[0].headers
    assert headers["x-authentication"] == "0TOKEN0secret"
    assert headers["user-agent"].startswith("orchbridge/")
