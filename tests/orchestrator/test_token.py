"""The token: from a file, again when it changes, and nothing asked while it is refused."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.errors import ConfigError, Denied
from orchbridge.core.questions import Inventory, JobDetail, JobEvents, JobsPage, Page, PlansPage, Trouble
from orchbridge.orchestrator import Access, Client
from tests.orchestrator.servers import answering, served

EMPTY = {"items": []}


class Gate:
    """Lets one token in and refuses the others with a kind."""

    def __init__(self, good: str, kind: str = "puppetlabs.rbac/token-expired") -> None:
        self.good = good
        self.kind = kind

    def __call__(self, request: Request) -> Response:
        if request.headers.get("x-authentication") == self.good:
            return answering(EMPTY)
        return answering({"kind": self.kind, "msg": "The provided token has expired."}, 401)


def replace(path: Path, text: str | None) -> None:
    """Change a file the way careful programs do; None takes it away."""
    if text is None:
        path.unlink()
        return
    draft = path.with_name("draft")
    draft.write_text(text)
    draft.replace(path)


async def test_a_changed_file_is_read_without_being_told(token_file: Path) -> None:
    async with (
        served(lambda _: answering(EMPTY)) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        await client.answer(JobsPage(5))
        replace(token_file, "0second\n")
        await client.answer(JobsPage(5))
        replace(token_file, "")
        await client.answer(JobsPage(5))
        replace(token_file, None)
        await client.answer(JobsPage(5))
    sent = [asked.headers["x-authentication"] for asked in door.heard]
    assert sent == ["0first1token2secret", "0second", "0second", "0second"], "an empty moment changes nothing"


async def test_a_refused_token_is_asked_no_more_until_the_file_changes(token_file: Path) -> None:
    gate = Gate(good="0good")
    async with served(gate) as door, Client(Access("pe", door.url, token_file=token_file)) as client:
        for question in (JobsPage(5), JobEvents(7), JobsPage(5)):
            with pytest.raises(Denied) as refused:
                await client.answer(question)
            assert refused.value.kind == gate.kind
            assert str(token_file) in refused.value.hint
        assert len(door.heard) == 1
        assert not client.changed()
        replace(token_file, "0good\n")
        assert client.changed()
        assert client.changed(), "every stream of the source may ask"
        assert isinstance(await client.answer(JobsPage(5)), Page)


async def test_a_changed_file_is_noticed_by_asking_too(token_file: Path) -> None:
    async with (
        served(Gate(good="0good")) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        with pytest.raises(Denied):
            await client.answer(JobsPage(5))
        replace(token_file, "0good")
        assert isinstance(await client.answer(JobsPage(5)), Page)


async def test_a_token_replaced_while_its_request_is_on_its_way_is_tried_at_once(token_file: Path) -> None:
    gate = Gate(good="0good")

    def slow_to_refuse(request: Request) -> Response:
        token_file.write_text("0good\n")
        return gate(request)

    async with served(slow_to_refuse) as door, Client(Access("pe", door.url, token_file=token_file)) as client:
        assert isinstance(await client.answer(JobsPage(5)), Page)
        assert len(door.heard) == 2


async def test_requests_under_way_with_the_old_token_profit_from_the_new_one(token_file: Path) -> None:
    gate, both = Gate(good="0good"), asyncio.Barrier(4)

    async def together(request: Request) -> Response:
        if request.headers["x-authentication"] != "0good":
            await both.wait()
            replace(token_file, "0good")
        return gate(request)

    async with served(together) as door, Client(Access("pe", door.url, token_file=token_file)) as client:
        answers = await asyncio.gather(*(client.answer(JobEvents(job)) for job in range(4)))
    assert all(isinstance(answer, Page) for answer in answers)
    assert len(door.heard) == 8


async def test_touching_the_file_is_enough_when_a_right_was_given(token_file: Path) -> None:
    permitted = False

    def inventory_only_later(request: Request) -> Response:
        if request.url.path.endswith("/inventory") and not permitted:
            return answering({"kind": "puppetlabs.orchestrator/not-permitted", "msg": "no"}, 403)
        return answering(EMPTY)

    async with (
        served(inventory_only_later) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        with pytest.raises(Denied, match="not-permitted"):
            await client.answer(Inventory())
        assert isinstance(await client.answer(JobsPage(5)), Page), "other streams go on"
        with pytest.raises(Denied):
            await client.answer(Inventory())
        assert len(door.heard) == 2
        permitted = True
        assert not client.changed()
        os.utime(token_file)
        assert client.changed()
        assert isinstance(await client.answer(Inventory()), Page)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("two words", "not a token"),
        ("broken\nin two", "not a token"),
        ("ümlaut", "not a token"),
    ],
)
async def test_a_file_without_a_token_is_a_refusal_before_any_request(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    async with served(lambda _: answering(EMPTY)) as door, Client(Access("pe", door.url, token_file=path)) as client:
        with pytest.raises(Denied, match=words) as refused:
            await client.answer(JobsPage(5))
        assert str(path) in refused.value.hint
        assert "words" not in refused.value.line()
        assert not door.heard
        assert not client.changed()
        path.write_text("0good\n")
        assert client.changed()
        assert isinstance(await client.answer(JobsPage(5)), Page)


async def test_rights_given_to_the_file_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch()
    async with served(lambda _: answering(EMPTY)) as door, Client(Access("pe", door.url, token_file=path)) as client:
        with pytest.raises(Denied):
            await client.answer(JobsPage(5))
        path.chmod(0o640)
        assert client.changed()


async def test_a_refusal_that_passes_by_is_trouble_and_asked_again(token_file: Path) -> None:
    async with (
        served(Gate("0good", "puppetlabs.rbac/server-error")) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        for _ in range(2):
            answer = await client.answer(PlansPage(5))
            assert isinstance(answer, Trouble)
            assert answer.kind == "server"
        assert len(door.heard) == 2
        assert client.changed()


async def test_one_forbidden_job_denies_nothing(token_file: Path) -> None:
    async with (
        served(lambda _: answering({"kind": "x/not-permitted", "msg": ""}, 403)) as door,
        Client(Access("pe", door.url, token_file=token_file)) as client,
    ):
        answers = [await client.answer(JobDetail(7)) for _ in range(2)]
    assert [answer.kind for answer in answers if isinstance(answer, Trouble)] == ["forbidden", "forbidden"]
    assert len(door.heard) == 2


async def test_a_setting_that_is_no_token_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as refused:
        Client(Access("pe", "https://pe.test", token="hunter2\nX-Evil: 1"))
    assert "hunter2" not in refused.value.line()
