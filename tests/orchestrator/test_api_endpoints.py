"""The table of endpoints, the client's methods and the requests they send are the same list."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from orchbridge.orchestrator import Access, Asked, Client
from orchbridge.orchestrator.api.inputs import DeployInput
from orchbridge.orchestrator.endpoints import COMPOSED, ENDPOINTS
from orchbridge.orchestrator.models import Scope
from tests.orchestrator.servers import answering, served

AT = datetime(2030, 1, 1, tzinfo=UTC)
NODES = Scope(nodes=["a.test"])
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "status.service": (("broker-service",), {}),
    "commands.deploy": (("production", NODES), {}),
    "commands.stop": ((7,), {}),
    "commands.task": (("facts", {}, NODES), {}),
    "commands.plan_run": (("a::b", {}), {}),
    "commands.environment_plan_run": (("a::b", {}), {}),
    "commands.stop_plan": ((7,), {}),
    "commands.task_target": (("some",), {}),
    "commands.schedule_task": (("facts", {}, NODES, AT), {}),
    "commands.schedule_deploy": (("production", NODES, AT), {}),
    "commands.schedule_plan": (("a::b", {}, AT), {}),
    "plan_jobs.event": ((7, 8), {}),
    "tasks.get": (("dbx::dump",), {}),
    "plans.get": (("dbx::dump",), {}),
    "inventory.one": (("a.test",), {}),
    "inventory.of": ((["a.test"],), {}),
    "schedules.create": ((DeployInput(NODES), AT), {}),
    "schedules.update": ((7,), {"description": "x"}),
    "usage.days": ((date(2024, 1, 1), date(2024, 1, 2)), {}),
    "tokens.login": (("ops", "a password"), {}),
    "tokens.revoke": ((), {"labels": ["x"]}),
    "tokens.revoke_one": (("0tok",), {}),
    "activity.events_v1": (("rbac",), {}),
    "/status/v1/simple/:name": (("broker-service",), {}),
}
TAKES_AN_ID = re.compile(r":id$|:id/(nodes|report|events)$")


def method(client: Client, call: str) -> Any:
    found: Any = client
    for name in call.split("."):
        found = getattr(found, name)
    return found


def public(client: Client) -> set[str]:
    """The methods of the namespaces, by name."""
    namespaces = {name: value for name, value in vars(client).items() if not name.startswith("_")}
    return {
        f"{name}.{each}"
        for name, value in namespaces.items()
        for each, _ in inspect.getmembers(value, callable)
        if not each.startswith("_")
    }


def test_the_table_and_the_client_name_the_same_methods() -> None:
    client = Client(Access("pe", "https://pe.test:8143"))
    assert public(client) | {"root"} == {endpoint.call for endpoint in ENDPOINTS} | set(COMPOSED)
    for endpoint in ENDPOINTS:
        found = method(client, endpoint.call)
        assert inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found)
        assert found.__doc__


def test_each_endpoint_is_there_once() -> None:
    places = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
    assert len(set(places)) == len(places) == 47


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
async def test_the_method_of_each_endpoint_asks_it(endpoint: Any) -> None:
    """And is metered under the path that the table has."""
    heard: list[Asked] = []

    def anything(request: Request) -> Response:
        if "/simple" in request.url.path:
            return PlainTextResponse("running")
        if request.method == "DELETE":
            return Response(status_code=204)
        told = {"name": "7", "state": "running", "connected": True, "token": "0made", "items": [], "commits": []}
        return answering({**told, "pagination": {"total": 0}})

    arguments, named = CALLS.get(endpoint.path) or CALLS.get(endpoint.call) or ((), {})
    if TAKES_AN_ID.search(endpoint.path) and not arguments:
        arguments = (7,)
    async with served(anything) as door, Client(Access("pe", door.url, token="0mine"), heard.append) as client:
        asked = method(client, endpoint.call)(*arguments, **named)
        if isinstance(asked, Awaitable):
            await asked
        else:
            assert [item async for item in asked] == []
        last = door.heard[-1]
        sent = last.scope["raw_path"].decode()
    root = "" if endpoint.path.split("/")[1].endswith(("-api", "status")) else "/orchestrator/v1"
    template = (root + endpoint.path).rstrip("/")
    pattern = re.sub(r":\w+", "[^/]+", template)
    assert last.method == endpoint.method
    assert re.fullmatch(pattern, sent), sent
    assert heard[-1].endpoint == endpoint.path
    assert ("x-authentication" in last.headers) == (
        not endpoint.path.startswith(("/status", "/rbac-api/v1/auth", "/rbac-api/v2/auth"))
    )
