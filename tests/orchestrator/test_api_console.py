"""Tokens and activity through the public client, at an address of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.questions import JobsPage, Page
from orchbridge.orchestrator import Access, Asked, Client, errors
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.orchestrator.servers import Door, answering
from tests.orchestrator.servers import served as door_of

OWN = "0own1token2of3the4client"
GOOD, BAD, MADE = "a good password", "a bad password", "0made1by2rbac"


def refused(word: str, status: int, **details: Any) -> Response:
    return answering({"kind": f"puppetlabs.rbac/{word}", "msg": f"{word} it is", "details": details}, status)


async def rbac(request: Request) -> Response:
    body = json.loads(await request.body() or b"{}")
    match request.method, request.url.path:
        case "POST", "/rbac-api/v1/auth/token":
            if body["password"] == GOOD:
                return answering({"token": MADE})
            return refused("user-unauthenticated", 401, submitted=body)
        case "POST", "/rbac-api/v1/tokens":
            return answering({"token": MADE}) if "x-authentication" in request.headers else refused("x", 401)
        case "POST", "/rbac-api/v2/auth/token/authenticate":
            if body["token"] == OWN:
                return answering(
                    {
                        "login": "bridge",
                        "expiration": "2031-01-01T00:00:00Z",
                        "role_ids": [2],
                        "timeout": None,
                        "new": 1,
                    }
                )
            return refused("token-expired", 403) if body["token"] == "0old" else refused("invalid-token", 400)
        case "DELETE", "/rbac-api/v2/tokens":
            if "no such" in body.get("revoke_tokens_by_labels", ()):
                return refused("malformed-request", 400, labels=["no such"])
        case "DELETE", _:
            pass
    return Response(status_code=204)


async def opened(
    stack: AsyncExitStack, console: Callable[[Request], Any], heard: list[Asked] | None = None
) -> tuple[Client, Door, Door]:
    main = await stack.enter_async_context(door_of(lambda _: answering({"items": [], "pagination": {}})))
    there = await stack.enter_async_context(door_of(console))
    access = Access("pe", main.url, token=OWN, rbac_url=there.url)
    client = await stack.enter_async_context(Client(access, heard.append if heard is not None else lambda _: None))
    return client, main, there


async def test_tokens_are_made_renewed_looked_at_and_revoked() -> None:
    heard: list[Asked] = []
    async with AsyncExitStack() as stack:
        client, main, there = await opened(stack, rbac, heard)
        made = await client.tokens.login("ops", GOOD, lifetime="90d", label="pipeline")
        assert (await client.tokens.renew(lifetime="90d")).token == made.token == MADE
        info = await client.tokens.inspect()
        await client.tokens.revoke(tokens=[MADE], labels=["pipeline"])
        await client.tokens.revoke_one(MADE)
        for token, word in (("0old", "token-expired"), ("rubbish", "invalid-token")):
            with pytest.raises(errors.TokenRefused) as old:
                await client.tokens.inspect(token)
            assert old.value.word == word
            assert "another one" in old.value.hint
        with pytest.raises(errors.Invalid) as partial:
            await client.tokens.revoke(labels=["no such"])
        assert client.changed()  # nothing of this is a verdict on the client's own token
        assert isinstance(await client.answer(JobsPage(1)), Page)
    assert partial.value.details == {"labels": ["no such"]}
    assert (info.login, info.endless, info.role_ids) == ("bridge", False, (2,))
    assert info.expires is not None
    assert info.raw["new"] == 1
    assert len(main.heard) == 1
    signed = {request.url.path for request in there.heard if "x-authentication" in request.headers}
    assert signed == {"/rbac-api/v1/tokens", "/rbac-api/v2/tokens", f"/rbac-api/v2/tokens/{MADE}"}
    assert MADE not in repr(heard)


async def test_a_login_that_was_refused_is_not_tried_again_so_that_no_account_is_locked() -> None:
    async with AsyncExitStack() as stack:
        client, _, there = await opened(stack, rbac)
        for _ in range(5):
            with pytest.raises(errors.LoginRefused) as told:
                await client.tokens.login("ops", BAD)
        assert len(there.heard) == 1
        assert "revoke" in told.value.hint
        with pytest.raises(errors.LoginRefused):
            await client.tokens.login("ops", "another bad one")
        with pytest.raises(errors.LoginRefused):
            await client.tokens.login("ops", GOOD)  # the third: a person should look first
        assert len(there.heard) == 2
        assert (await client.tokens.login("ada", GOOD)).token == MADE


async def test_logins_at_the_same_time_are_counted_one_by_one() -> None:
    """Sixteen under way at once, and the account would be revoked before the first was counted."""
    async with AsyncExitStack() as stack:
        client, _, there = await opened(stack, rbac)
        outcomes = await asyncio.gather(
            *(client.tokens.login("ops", f"{BAD} {number % 4}") for number in range(16)), return_exceptions=True
        )
        assert all(isinstance(outcome, errors.LoginRefused) for outcome in outcomes)
        assert len(there.heard) == 2
        assert there.most == 1


async def test_a_login_without_an_answer_may_have_been_refused() -> None:
    statuses = iter([502, 200, 502, 502, 200])

    def unsure(_: Request) -> Response:
        status = next(statuses)
        return answering({"token": MADE}) if status == 200 else Response("<html>gateway", status)

    async with AsyncExitStack() as stack:
        client, _, there = await opened(stack, unsure)
        with pytest.raises(errors.Uncertain):
            await client.tokens.login("ops", GOOD)
        assert (await client.tokens.login("ops", GOOD)).token == MADE  # once more is no danger, and settles it
        for _ in range(2):
            with pytest.raises(errors.Uncertain):
                await client.tokens.login("ops", GOOD)
        with pytest.raises(errors.LoginRefused, match="got no answer before"):
            await client.tokens.login("ops", GOOD)
        assert len(there.heard) == 4


async def test_the_simulators_token_and_its_ends() -> None:
    for fault, kind in (("none", None), ("expired", errors.TokenRefused), ("server-error-401", errors.ServerFault)):
        world = World("quiet", knobs=Knobs(auth_fault=fault))
        async with served(world, token=OWN) as url, Client(Access("pe", url, token=OWN)) as client:
            if kind is None:
                assert (await client.tokens.inspect()).login == "bridge"
                continue
            with pytest.raises(kind):
                await client.tokens.inspect()


class Log:
    """An activity log of both versions; every answer of `clamp` commits at most."""

    def __init__(self, size: int, clamp: int) -> None:
        self.size, self.clamp = size, clamp

    def __call__(self, request: Request) -> Response:
        query = request.query_params
        offset, limit = int(query["offset"]), min(self.clamp, int(query["limit"]))
        assert query["order"] == "asc"
        numbers = range(offset, min(self.size, offset + limit))
        if "/v1/" in request.url.path:
            commits = [
                {"object": {"id": str(n)}, "subject": {"name": "ops"}, "events": [{"message": "x"}]} for n in numbers
            ]
            return answering({"commits": commits, "total-rows": self.size})
        commits = [{"objects": [{"id": str(n), "type": "job"}], "subject": {"name": "ops"}} for n in numbers]
        return answering({"commits": commits, "pagination": {"total": str(self.size), "limit": "4", "offset": "0"}})


@pytest.mark.parametrize("clamp", [2, 100])
async def test_activity_advances_by_what_it_received(clamp: int) -> None:
    async with AsyncExitStack() as stack:
        client, _, there = await opened(stack, Log(7, clamp))
        found = [commit.objects[0].id async for commit in client.activity.events("pe-console", limit=3)]
        later = [commit.objects[0].id async for commit in client.activity.events_v1("rbac", limit=3, offset=5)]
        query = [{"start": "2024-01-01", "end": "2024-02-01"}, {"ip_address": "10."}]
        assert [commit.subject.name async for commit in client.activity.events(query=query)] == ["ops"] * 7
    assert found == list("0123456")
    assert later == ["5", "6"]
    assert json.loads(there.heard[-1].query_params["query"]) == query


@pytest.mark.parametrize("came", [0, 1, 3])
async def test_entries_that_come_between_pages_repeat_none_of_those_that_were_there(came: int) -> None:
    """Newest first; every entry has a twin, which is one of its own."""
    there_are = [number // 2 for number in range(14)]

    def moving(request: Request) -> Response:
        query = request.query_params
        offset, limit = int(query["offset"]), int(query["limit"])
        shown, total = there_are[::-1][offset : offset + limit], len(there_are)
        there_are.extend(range(100 + total, 100 + total + came) if total < 30 else ())
        return answering({"commits": [{"objects": [{"id": str(n)}]} for n in shown], "pagination": {"total": total}})

    async with AsyncExitStack() as stack:
        client, _, _ = await opened(stack, moving)
        found = [commit.objects[0].id async for commit in client.activity.events(limit=4, order="desc")]
    assert found == [str(number // 2) for number in range(14)][::-1]


@pytest.mark.parametrize("version", ["2019.8", "2021.6"])
async def test_a_server_that_refuses_an_order_it_does_not_know_shows_its_own(version: str) -> None:
    world = World("demo", knobs=Knobs(shape_version=version, unknown_query_params="400"))
    async with served(world, token=OWN) as url, Client(Access("pe", url, token=OWN, rbac_url=url)) as client:
        times = [commit.at async for commit in client.activity.events(limit=1, order="desc") if commit.at]
    assert len(times) > 2
    assert times == sorted(times, reverse=True)


async def test_a_service_without_any_activity() -> None:
    for nothing in ({}, {"commits": []}, {"commits": [], "pagination": {"total": 0}}):
        async with AsyncExitStack() as stack:
            client, _, there = await opened(stack, lambda _, nothing=nothing: answering(nothing))
            assert [commit async for commit in client.activity.events()] == []
            assert len(there.heard) == 1


async def test_activity_needs_a_permission() -> None:
    async with AsyncExitStack() as stack:
        client, _, _ = await opened(stack, lambda _: refused("permission-denied", 403))
        with pytest.raises(errors.NotPermitted):
            assert [commit async for commit in client.activity.events()]


async def test_what_the_console_says_of_the_token_does_not_stop_the_orchestrators_streams() -> None:
    async with AsyncExitStack() as stack:
        client, _, _ = await opened(stack, lambda _: refused("user-unauthenticated", 401))
        for ask in (client.tokens.renew(), anext(aiter(client.activity.events()))):
            with pytest.raises(errors.TokenRefused):
                await ask
        assert client.changed()
        assert isinstance(await client.answer(JobsPage(1)), Page)


async def test_the_consoles_connections_are_opened_when_needed_and_closed() -> None:
    async with door_of(rbac) as door:
        client = Client(Access("pe", "http://localhost:1", token=OWN, rbac_url=door.url))
        async with client:
            assert client._console._pool is None
            await client.tokens.inspect()
            assert client._console._pool is not None
        assert client._console._pool is None
