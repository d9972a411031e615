"""What the public client shares with the bridge's questions: token, denials, places, budget, observer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.errors import Denied, OrchbridgeError
from orchbridge.core.questions import JobsPage, Page
from orchbridge.orchestrator import Access, Asked, Client, errors
from orchbridge.orchestrator.models import Scope
from tests.orchestrator.servers import answering, served

EXPIRED = {"kind": "puppetlabs.rbac/token-expired", "msg": "The provided token has expired."}


def guarded(token: str, body: object) -> object:
    def answer(request: Request) -> Response:
        good = request.headers.get("x-authentication") == token
        return answering(body if good else EXPIRED, 200 if good else 401)

    return answer


async def test_a_new_token_in_the_file_is_used_at_once_also_by_a_command(token_file: Path) -> None:
    """A refused token means that nothing was done, so the command may go again."""
    body = {"items": [{"name": "6", "userdata": {}}], "pagination": {}, "job": {"name": "7"}}
    async with (
        served(guarded("0second", body)) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        with pytest.raises(errors.TokenRefused) as refused:
            await client.jobs.get(7)
        assert "puppet-access login" in refused.value.hint
        with pytest.raises(Denied):
            await client.answer(JobsPage(1))
        assert len(door.heard) == 1
        token_file.write_text("0second\n")  # noqa: ASYNC240 - a test may wait for its own disk
        assert (await client.commands.deploy("production", Scope(nodes=["a"]))).id == 7
        assert isinstance(await client.answer(JobsPage(1)), Page)


async def test_a_token_replaced_while_a_command_is_under_way(token_file: Path) -> None:
    posts = 0

    def rotating(request: Request) -> Response:
        nonlocal posts
        if request.method == "GET":
            return answering({"items": [{"name": "6", "userdata": {}}]})
        posts += 1
        if posts == 1:
            token_file.write_text("0second\n")
            return answering(EXPIRED, 401)
        assert request.headers["x-authentication"] == "0second"
        return answering({"job": {"name": "7"}}, 202)

    async with served(rotating) as door, Client(Access("pe", door.url, token_file=token_file)) as client:
        assert (await client.commands.deploy("production", Scope(nodes=["a"]))).id == 7
    assert posts == 2


async def test_what_the_bridge_was_denied_the_public_client_does_not_ask() -> None:
    async with served(lambda _: answering(EXPIRED, 401)) as door, Client(Access("pe", door.url, token="0x")) as client:
        with pytest.raises(Denied):
            await client.answer(JobsPage(1))
        with pytest.raises(errors.TokenRefused) as refused:
            await client.jobs.get(7)
        assert refused.value.kind == EXPIRED["kind"]
        assert len(door.heard) == 1


async def test_a_missing_right_stops_nothing_else() -> None:
    def forbidding(request: Request) -> Response:
        return answering({"kind": "puppetlabs.orchestrator/not-permitted", "msg": "no"}, 403)

    async with served(forbidding) as door, Client(Access("pe", door.url, token="0x")) as client:
        for _ in range(2):
            with pytest.raises(errors.NotPermitted):
                await client.jobs.get(7)
        with pytest.raises(Denied):
            await client.answer(JobsPage(1))
        with pytest.raises(errors.NotPermitted):
            await anext(aiter(client.jobs.list()))
        assert len(door.heard) == 4


async def test_places_budget_and_observer_are_shared() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return answering({"name": "7", "items": [], "state": "new"})

    heard: list[Asked] = []
    async with (
        served(slow) as door,
        Client(Access("pe", door.url, concurrency=2, requests_per_s=5.0), heard.append) as client,
    ):
        left = client.budget_left()
        await asyncio.gather(*(client.jobs.get(7) for _ in range(5)), client.answer(JobsPage(1)))
        assert door.most == 2
        assert client.budget_left() < left
    assert sorted(each.endpoint for each in heard) == ["/jobs", *["/jobs/:id"] * 5]


async def test_reads_are_repeated_where_that_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.0))
    for status, tries in ((503, 3), (429, 3), (500, 1), (404, 1), (400, 1)):
        async with (
            served(lambda _, status=status: answering({}, status)) as door,
            Client(Access("", door.url)) as client,
        ):
            with pytest.raises(errors.ApiError) as failed:
                await client.jobs.get(7)
        assert len(door.heard) == tries, status
        assert failed.value.status == status


async def test_a_body_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchbridge.orchestrator.caller.BODY_BYTES_MAX", 1000)
    body = answering({"name": "7", "filler": "x" * 5000})
    async with served(lambda _: body) as door, Client(Access("pe", door.url)) as client:
        with pytest.raises(errors.Malformed, match="larger than 1000 bytes"):
            await client.jobs.get(7)


def test_the_tree_that_is_drawn_is_the_tree_there_is() -> None:
    drawn = re.findall(r"^([│ ]*[├└]── )?(\w+)", (errors.__doc__ or "").partition("\n\n")[2], re.MULTILINE)
    above: list[str] = []
    seen = {}
    for branch, name in drawn:
        found = getattr(errors, name, None)
        if not isinstance(found, type):
            continue
        depth = len(branch) // 4
        above[depth:] = [name]
        seen[name] = above[depth - 1] if depth else "OrchbridgeError"
    classes = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    real = {name: each.__base__.__name__ for name, each in classes.items() if issubclass(each, errors.ApiError)}
    assert seen == real
    assert issubclass(errors.ApiError, OrchbridgeError)
