"""The activity service and scheduled jobs as servers of all ages tell them: small applications, no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchbridge.core.errors import Denied
from orchbridge.core.facts import Commit, LastRun, Odd, Schedule
from orchbridge.core.questions import Activity, JobsPage, Page, Schedules, Trouble
from orchbridge.orchestrator import Access, Client, pool
from orchbridge.orchestrator.doctor.reads import Reading
from orchbridge.orchestrator.doctor.source import probe
from tests.orchestrator.servers import answering, served

ENTRY = {
    "objects": [{"id": "412", "name": "412", "type": "job"}, {"id": "a.test", "name": "a.test", "type": "node"}],
    "subject": {"id": "0b5d", "name": "ops"},
    "timestamp": "2024-03-09T10:15:43Z",
    "ip_address": "10.0.0.9, 127.0.0.1",
    "events": [{"message": "Request a task", "type": "run_task", "what": "node", "description": "request_task"}],
}
OLD_ENTRY = {
    "object": {"id": 412, "name": "412"},
    "subject": {"id": "0b5d", "name": "ops"},
    "timestamp": "2024-03-09T10:15:43Z",
    "events": [{"message": "Request a task"}],
}
PLAN = {
    "id": "https://pe.test:8143/orchestrator/v1/scheduled_jobs/environment_jobs/31", "name": "31",
    "environment": "production", "owner": {"id": "0b5d", "login": "ops"}, "description": "weekly", "type": "plan",
    "input": {"name": "rollout::web", "parameters": {"batch": 5}, "sensitive_parameters": ["token"]},
    "schedule": {"start_time": "2024-03-02T11:00:00Z", "interval": {"units": "seconds", "value": 604800}},
    "next_run": {"time": "2024-03-16T11:00:00Z"}, "userdata": {},
    "last_run": {"time": "2024-03-09T11:00:00Z", "job": {"id": "https://pe.test/o/v1/plan_jobs/82", "name": 82}},
}  # fmt: skip
FAILED = {"submission_error": {"kind": "puppetlabs.orchestrator/unknown-environment", "msg": "gone"}, "name": 33}
OLD_TASK = {
    "id": "https://pe.test/orchestrator/v1/scheduled_jobs/7", "name": "7", "type": "task", "task": "site::sync",
    "scope": {"nodes": ["a.test"]}, "enviroment": "production", "owner": {"id": "1", "login": "ops"},
    "description": "", "scheduled_time": "2024-03-16T11:00:00Z",
}  # fmt: skip
JOBS = "/orchestrator/v1/scheduled_jobs"
Handler = Callable[[Request], Response]


class Served:
    """A client whose requests two small applications answer: the orchestrator, and the console's services."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, console: Handler, orchestrator: Handler | None = None) -> None:
        self.heard: list[tuple[str, str, str]] = []
        apps = {"console.test": console, "127.0.0.1": orchestrator or (lambda _: answering({"items": []}))}

        async def answered(request: Request) -> Response:
            query = request.scope["query_string"].decode()
            self.heard.append((request.method, request.url.hostname or "", f"{request.url.path}?{query}"))
            return apps[request.url.hostname or ""](request)

        app = Starlette(routes=[Route("/{path:path}", answered, methods=["GET", "POST"])])
        monkeypatch.setattr(pool, "connection", lambda *_: httpx.ASGITransport(app))
        self.access = Access("prod", "http://127.0.0.1:8143", token="t0ken", rbac_url="https://console.test:4433")


async def ask(served: Served, question: Any) -> Any:
    async with Client(served.access) as client:
        return await client.answer(question)


async def test_the_second_version_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"commits": [ENTRY], "pagination": {"total": "23", "limit": 4, "offset": "19"}}
    served = Served(monkeypatch, lambda _: answering(told))
    page = await ask(served, Activity("rbac", 1000, 19))
    assert served.heard == [
        ("GET", "console.test", "/activity-api/v2/events?service_id=rbac&limit=1000&offset=19&order=asc")
    ]
    assert isinstance(page, Page)
    assert page.total == 23
    (commit,) = page.items
    assert isinstance(commit, Commit)
    assert [(each.id, each.type) for each in commit.objects] == [("412", "job"), ("a.test", "node")]
    assert (commit.subject.name, commit.deeds[0].what, commit.ip) == ("ops", "node", "10.0.0.9, 127.0.0.1")


async def test_the_first_version_says_the_same_with_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(monkeypatch, lambda _: answering({"commits": [OLD_ENTRY, 7], "total-rows": 2}))
    page = await ask(served, Activity("rbac", 10, 0, version=1))
    assert served.heard[0][2].startswith("/activity-api/v1/events?service_id=rbac&limit=10&offset=0")
    commit, odd = page.items
    assert page.total == 2
    assert [(each.id, each.name) for each in commit.objects] == [("412", "412")]
    assert commit.deeds[0].message == "Request a task"
    assert isinstance(odd, Odd)


async def test_a_server_that_refuses_the_order_is_asked_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(request: Request) -> Response:
        if "order" in request.query_params:
            return answering({"kind": "schema-violation", "msg": "order"}, 400)
        return answering({"commits": [], "pagination": {"total": 0}})

    served = Served(monkeypatch, strict)
    assert await ask(served, Activity("rbac", 10)) == Page((), total=0)
    assert [query.partition("offset=0")[2] for _, _, query in served.heard] == ["&order=asc", ""]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"pagination": {"total": 0}}, Page((), total=0)),
        ({"commits": None, "total-rows": 0}, Page((), total=0)),
        ({"commits": [], "pagination": {}}, Page(())),
        ({"pagination": {"total": 3}}, "malformed"),
        ({"items": []}, "malformed"),
        ({"commits": "none"}, "malformed"),
        (b"<html>", "malformed"),
    ],
)
async def test_what_is_no_list_is_none(monkeypatch: pytest.MonkeyPatch, body: Any, answer: Any) -> None:
    got = await ask(Served(monkeypatch, lambda _: answering(body)), Activity("rbac", 10))
    assert got == answer if isinstance(answer, Page) else got.kind == answer


async def test_no_such_api_is_no_denial(monkeypatch: pytest.MonkeyPatch) -> None:
    got = await ask(Served(monkeypatch, lambda _: Response("not found", 404)), Activity("rbac", 10))
    assert isinstance(got, Trouble)
    assert got.kind == "absent"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "puppetlabs.rbac/user-unauthenticated"), (403, "permission-denied"), (403, "puppetlabs.rbac/token-revoked")],
)
async def test_a_refusal_here_stops_nothing_else(monkeypatch: pytest.MonkeyPatch, status: int, kind: str) -> None:
    served = Served(monkeypatch, lambda _: answering({"kind": kind, "msg": "no"}, status))
    async with Client(served.access) as client:
        for _ in range(2):
            with pytest.raises(Denied, match="no"):
                await client.answer(Activity("rbac", 10))
        assert isinstance(await client.answer(JobsPage(1)), Page)
        asked = len(served.heard)
        with pytest.raises(Denied):
            await client.answer(Activity("rbac", 10))
        assert len(served.heard) == asked, "nothing is asked before somebody has done something"
        with pytest.raises(Denied):
            await client.answer(Activity("classifier", 10))
        another = kind == "permission-denied"  # may be allowed; a token is no better for it
        assert len(served.heard) == asked + another


async def test_nothing_logs_in_to_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login is an entry of the very list that is read: a bridge that logged in would read about itself for ever."""
    served = Served(monkeypatch, lambda _: answering({"commits": [], "pagination": {"total": 0}}))
    async with Client(served.access) as client:
        for version in (2, 1):
            for service in ("rbac", "classifier", "pe-console", "code-manager"):
                await client.answer(Activity(service, 10, 0, version))
    assert {(method, "auth/token" in path) for method, _, path in served.heard} == {("GET", False)}


async def test_schedules_of_the_newer_api(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = {**PLAN, "id": "32", "name": PLAN["id"].replace("/31", "/32")}
    failed = {**PLAN, "name": "33", "enabled": False, "next_run": None, "last_run": {"time": "t", "job": FAILED}}
    told = {"items": [PLAN, swapped, failed, {"name": "x"}], "pagination": {"total": 4}}
    served = Served(monkeypatch, lambda _: answering({}), lambda _: answering(told))
    page = await ask(served, Schedules(200))
    assert served.heard[0][2] == (
        "/orchestrator/v1/scheduled_jobs/environment_jobs?limit=200&offset=0&order=asc&order_by=name"
    )
    first, second, third, odd = page.items
    assert isinstance(first, Schedule)
    assert (first.id, first.name, first.interval_s, first.planned) == (
        31,
        "rollout::web",
        604800.0,
        "2024-03-16T11:00:00Z",
    )
    assert (first.last, first.sensitive) == (LastRun("2024-03-09T11:00:00Z", "plan", 82), ("token",))
    assert (second.id, third.enabled, third.planned) == (32, False, None)
    assert third.last.error is not None
    assert b"unknown-environment" in third.last.error
    assert isinstance(odd, Odd)


async def test_schedules_of_the_older_api(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(monkeypatch, lambda _: answering({}), lambda _: answering({"items": [OLD_TASK]}))
    page = await ask(served, Schedules(200, old=True))
    assert served.heard[0][2] == "/orchestrator/v1/scheduled_jobs?limit=200&offset=0"
    (task,) = page.items
    assert (task.id, task.name, task.environment) == (7, "site::sync", "production")
    assert (task.planned, task.interval_s, task.enabled) == ("2024-03-16T11:00:00Z", None, True)
    assert "scheduled_time" not in task.parts, "it moves with every run, which is no change"
    assert not task.runs_told


@pytest.mark.parametrize(
    ("date", "at"), [("Sat, 16 Mar 2024 10:59:59 GMT", 1_710_586_799.0), ("soon", None), (None, None)]
)
async def test_schedules_come_with_the_time_it_is_there(
    monkeypatch: pytest.MonkeyPatch, date: str | None, at: float | None
) -> None:
    def list_(_: Request) -> Response:
        answer = answering({"items": [PLAN], "pagination": {"total": 1}})
        if date is not None:
            answer.headers["Date"] = date
        return answer

    page = await ask(Served(monkeypatch, lambda _: answering({}), list_), Schedules(200))
    assert page.at == at


async def test_the_order_of_keys_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = {name: PLAN[name] for name in reversed(PLAN)} | {"input": dict(reversed(PLAN["input"].items()))}
    told = {"items": [PLAN, turned], "pagination": {"total": 2}}
    page = await ask(Served(monkeypatch, lambda _: answering({}), lambda _: answering(told)), Schedules(200))
    assert page.items[0].parts == page.items[1].parts


@pytest.mark.parametrize(
    ("answers", "levels"),
    [
        ({f"{JOBS}/environment_jobs": {"items": []}, "/activity-api/v2/events": {"commits": []}},
         {"scheduled jobs": "ok", "activity-rbac": "ok"}),
        ({JOBS: {"items": []}, "/activity-api/v1/events": {"commits": []}},
         {"scheduled jobs": "ok", "activity-rbac": "ok"}),
        ({}, {"scheduled jobs": "warning", "activity-rbac": "warning"}),
        ({"/activity-api/v2/events": 403}, {"scheduled jobs": "warning", "activity-rbac": "failed"}),
    ],
)  # fmt: skip
async def test_the_check_reads_them_too(answers: dict[str, Any], levels: dict[str, str]) -> None:
    def told(request: Request) -> Response:
        found = answers.get(request.url.path, {} if request.url.path == "/orchestrator/v1" else 404)
        return Response("no", found) if isinstance(found, int) else answering(found)

    async with served(told) as door:
        findings = await probe(Access("prod", door.url, token="t"), Reading(("schedules", "activity")))
    seen = {each.subject.removeprefix("prod: "): each for each in findings}
    assert {name: seen[name].level for name in levels} == levels
    assert all(seen[name].hint for name, level in levels.items() if level != "ok")
