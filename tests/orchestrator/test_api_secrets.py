"""Parameters, passwords, keys and tokens show nowhere, whatever a server echoes and however a call fails."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.orchestrator import Access, Asked, Client, errors
from orchbridge.orchestrator.api import starting
from orchbridge.orchestrator.api.inputs import PlanInput, TaskInput
from orchbridge.orchestrator.hidden import Hidden
from orchbridge.orchestrator.models import Issued, Scope, Target
from tests.orchestrator.servers import answering, request_head, reset, served, tcp

TOKEN = "0VeryLongAndVerySecretTokenOfOrchbridge"
SECRETS = {
    "word": "hunter2-and-more",
    "quoted": 'two "ganz" geheime "Wörter"',
    "lines": "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----",
    "short": "p7x",
    "number": 48151623,
    "deep": {"inner": ["zweiundvierzig", {"x": "SchwertfischSchwertfisch"}]},
}
TELLING = (
    "hunter2-and-more", "geheime", "rter", "MIIEvQIBADANBgkq", "hkiG9w0BAQEFAASC", "p7x", "48151623", "zweiundvierzig",
    "SchwertfischSchwertfisch", "sesame-open", "sudo-sesame", TOKEN, TOKEN[:12], "0another1token2",
    "0another1", "hunter2",
)  # fmt: skip
TARGET = Target(
    hostnames=["x"], user="root", transport="ssh", password="sesame-open", sudo_password="sudo-sesame",
    private_key_content=SECRETS["lines"],
)  # fmt: skip
NODES = Scope(nodes=["a.test"])
SOON = datetime(2030, 1, 1, tzinfo=UTC)

CALLS: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "task": lambda client: client.commands.task("a::b", SECRETS, NODES, targets=[TARGET]),
    "schedule_task": lambda client: client.commands.schedule_task("a::b", SECRETS, NODES, SOON, targets=[TARGET]),
    "plan_run": lambda client: client.commands.plan_run("a::b", SECRETS),
    "environment_plan_run": lambda client: client.commands.environment_plan_run(
        "a::b", {name: {"value": value} for name, value in SECRETS.items()}
    ),
    "schedule_plan": lambda client: client.commands.schedule_plan("a::b", SECRETS, SOON),
    "create": lambda client: client.schedules.create(TaskInput("a::b", SECRETS, NODES, [TARGET]), SOON),
    "update": lambda client: client.schedules.update(7, what=PlanInput("a::b", SECRETS)),
    "login": lambda client: client.tokens.login("ops", "hunter2-and-more"),
    "renew": lambda client: client.tokens.renew(),
    "inspect": lambda client: client.tokens.inspect("0another1token2"),
    "revoke": lambda client: client.tokens.revoke(tokens=["0another1token2"]),
    "revoke_one": lambda client: client.tokens.revoke_one("0another1token2"),
    "jobs": lambda client: client.jobs.get(7),
}


def _kinds(said: str) -> dict[str, Response]:
    details = {"submitted": said, "again": [said, json.loads(said) if said.startswith("{") else said], said: 1}
    error = {"kind": "puppetlabs.orchestrator/validation-error", "msg": said, "details": details}
    return {
        "refused": answering(error, 400),
        "refused with a kind of its own": answering({**error, "kind": f"x/{said}"}, 400),
        "refused token": answering({**error, "kind": "puppetlabs.rbac/token-expired"}, 401),
        "not permitted": answering(error, 403),
        "broken": answering(error, 500),
        "text": Response(said, 500),
        "html": Response(f"<html>{said}", 400),
        "html 200": Response(f"<html>{said}", 200),
        "html cut in a word": Response("<html>" + "-" * 64 + " hunter2-and-more", 400),
        "html 200 cut in a word": Response("<html>" + "-" * 64 + " hunter2-and-more", 200),
        "html cut": Response("<html>" + "-" * 40 + said[-40:], 502),
        "html 200 cut": Response("<html>" + "-" * 40 + said[-40:], 200),
        "kind cut": answering({"kind": "a/" + "y" * 70 + said[-40:], "msg": "z" * 170 + said[-40:]}, 400),
        "another thing": answering({"said": said}),
        "sent away": Response(b"", 302, {"location": "https://elsewhere.test/?x=" + TOKEN}),
    }


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.0))
    monkeypatch.setattr(starting, "LOOKS_S", (0.0,))


def assert_hidden(text: str) -> None:
    for telling in TELLING:
        assert telling not in text, f"{telling} in {text}"


def everything(error: BaseException) -> str:
    """What a person or a program that reports errors gets to see, with the locals of every frame of ours."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = [error, error.args, vars(error), *getattr(error, "__notes__", [])]
    if isinstance(error, errors.ApiError):
        shown += [error.hint, error.details, error.message, error.kind, error.line()]
    return " ".join(f"{each!r} {each}" for each in shown) + "".join(told.format())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("echo", _kinds("x"))
async def test_a_server_that_echoes_what_it_was_sent(call: str, echo: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def echoing(request: Request) -> Response:
        if request.method == "GET" and call != "jobs":
            return answering({"items": [{"name": "1", "userdata": {}}], "pagination": {"total": 1}})
        body = (await request.body()).decode()
        said = body or request.url.path + request.headers.get("x-authentication", "")
        return _kinds(said if echo != "html" else said + TOKEN)[echo]

    if "in a word" in echo and call in {"renew", "inspect", "revoke", "revoke_one", "jobs"}:
        return  # which sent no such word

    heard: list[Asked] = []
    async with (
        served(echoing) as door,
        Client(Access("pe", door.url, token=TOKEN, rbac_url=door.url), heard.append) as client,
    ):
        text = ""
        try:
            text = repr(await CALLS[call](client))
        except errors.ApiError as error:
            text = everything(error)
        text += " ".join(f"{each!r} {each}" for each in (*vars(client).values(), *heard))
    assert_hidden(text)
    assert_hidden(caplog.text)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("how", ["reset", "torn", "stall"])
async def test_failures_of_the_wire(call: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        head = await request_head(reader)
        if head.startswith(b"GET") and call != "jobs":
            body = b'{"items": [], "pagination": {"total": 0}}'
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        elif how == "torn":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        elif how == "reset":
            reset(writer)
        else:
            await asyncio.sleep(10)

    access = Access("pe", "", token=TOKEN, read_s=0.1)
    async with tcp(rude) as url:
        async with Client(replace(access, url=url)) as client:
            with pytest.raises(errors.ApiError) as failed:
                await CALLS[call](client)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    assert_hidden(everything(failed.value))
    assert_hidden(caplog.text)


async def test_a_body_that_json_cannot_hold_is_not_shown_either() -> None:
    async with served(lambda _: answering({"items": []})) as door, Client(Access("pe", door.url)) as client:
        with pytest.raises(TypeError) as refused:
            await client.commands.plan_run("a::b", {"word": SECRETS["word"], "odd": object()})
    assert_hidden(str(refused.value))
    told = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert "hunter2" not in "".join(told.format()).partition("starting.py")[2]  # the caller's own frame is its own
    assert refused.value.__context__ is None


ITEM = {"name": "7", "options": {"params": SECRETS}, "result": SECRETS, "input": SECRETS, "events": [SECRETS]}
LISTS: dict[str, Callable[[Client], Any]] = {
    "jobs": lambda client: client.jobs.list(limit=1),
    "nodes": lambda client: client.jobs.nodes(7),
    "plan_jobs": lambda client: client.plan_jobs.list(),
    "schedules": lambda client: client.schedules.list(),
    "activity": lambda client: client.activity.events(),
}


@pytest.mark.parametrize("what", LISTS)
async def test_an_error_on_a_later_page_shows_nothing_of_the_earlier_ones(what: str) -> None:
    def torn(request: Request) -> Response:
        if request.query_params.get("offset") != "0":
            return answering({"kind": "x", "msg": "no"}, 500)
        return answering({"items": [ITEM], "commits": [ITEM], "pagination": {"total": 5}})

    async with served(torn) as door, Client(Access("pe", door.url, rbac_url=door.url)) as client:
        with pytest.raises(errors.ServerFault) as failed:
            async for _ in LISTS[what](client):
                pass
    assert_hidden(everything(failed.value))


def test_a_short_value_is_hidden_as_a_word_and_not_in_the_midst_of_others() -> None:
    hidden = Hidden({"flag": "no", "size": 5, "blank": "  ", "off": False, "nothing": None})
    assert hidden.text("no such note: 5 of 55, False") == "[redacted] such note: [redacted] of 55, False"
    assert Hidden().text("password=hunter22") == "password=[redacted]"


def test_no_repr_shows_what_it_holds() -> None:
    task = TaskInput("a::b", SECRETS, NODES, [TARGET])
    assert_hidden(f"{TARGET} {task} {PlanInput('a::b', SECRETS)} {Issued('0another1token2')} {Hidden(SECRETS)}")


async def test_where_the_sensitive_ones_are_known_the_others_are_shown() -> None:
    """Then an error is worth more to the person who reads it."""

    async def typed(request: Request) -> Response:
        if request.method == "GET":
            return answering({"items": []})
        params = json.loads(await request.body())["params"]
        return answering({"kind": "puppetlabs.orchestrator/validation-error", "msg": f"{params} are wrong"}, 400)

    params = {"batch": "fifteen", "pin": "p7x"}
    async with served(typed) as door, Client(Access("pe", door.url)) as client:
        for sensitive, shown in ((None, False), (["pin"], True), ([], True)):
            with pytest.raises(errors.Invalid) as refused:
                await client.commands.plan_run("a::b", params, sensitive=sensitive)
            assert ("fifteen" in str(refused.value)) == shown
            assert ("p7x" in str(refused.value)) == (sensitive == [])


def test_a_known_kind_stays_though_a_parameter_is_spelled_like_a_part_of_it() -> None:
    """What an error is may not depend on what was sent."""
    from orchbridge.orchestrator.calls import send
    from orchbridge.orchestrator.refusals import refusal
    from orchbridge.orchestrator.tokens import Token

    call = send("/command/task", content=b"{}", hidden=Hidden({"name": "unknown", "other": "task"}))
    body = b'{"kind": "puppetlabs.orchestrator/unknown-task", "msg": "no task here"}'
    error = refusal(call, Access("pe", "https://x"), Token(None, None), 404, {}, body)
    assert type(error) is errors.UnknownTask
    assert error.kind == "puppetlabs.orchestrator/unknown-task"
