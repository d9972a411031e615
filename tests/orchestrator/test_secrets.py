"""The token and other secrets show nowhere, whatever the server echoes and whatever fails."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.errors import ConfigError, Denied
from orchbridge.core.questions import JobEvents, JobsPage, Trouble
from orchbridge.orchestrator import Access, Asked, Client
from orchbridge.orchestrator.doctor import probe
from orchbridge.orchestrator.excerpt import excerpt
from tests.orchestrator.servers import request_head, reset, served, tcp

TOKEN = "0VeryLongAndVerySecretTokenOfOrchbridge"


def shown(*things: Any) -> str:
    return " ".join(f"{thing!r} {thing}" for thing in things)


def assert_hidden(text: str, secret: str = TOKEN) -> None:
    for size in (len(secret), 12):
        assert secret[:size] not in text


ECHOES = {
    "html": lambda token: Response(f"<html>no entry with {token}", 200),
    "html cut in the token": lambda token: Response(f"<p>{'x' * 55}{token}", 200),
    "refused with kind": lambda token: Response(json.dumps({"kind": "a/" + token, "msg": "bad " + token}), 401),
    "refused without": lambda token: Response(f"token {token} is bad", 401),
    "forbidden": lambda token: Response(json.dumps({"kind": "x", "msg": f"{token} may not"}), 403),
    "broken": lambda token: Response(f"X-Authentication: {token}", 500),
    "asked wrongly": lambda token: Response(json.dumps({"kind": "x", "msg": f"{'y' * 185}{token}"}), 400),
    "sent away": lambda token: Response(b"", 302, {"location": f"https://{token}.example.com/?token={token}"}),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
async def test_a_server_that_echoes_the_token(echo: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(TOKEN)

    def echoing(request: Request) -> Response:
        return echo(request.headers["x-authentication"])

    heard: list[Asked] = []
    said: list[str] = []
    async with (
        served(echoing) as door,
        Client(Access("pe", door.url, token_file=tmp_path / "token"), heard.append) as client,
    ):
        for question in (JobEvents(7), JobsPage(5), JobsPage(5)):
            try:
                answer = await client.answer(question)
                assert isinstance(answer, Trouble)
                said.append(shown(answer))
            except Denied as denied:
                told = traceback.TracebackException.from_exception(denied, capture_locals=True)
                said.append(shown(denied, denied.hint, denied.kind, denied.line()) + "".join(told.format()))
        said.append(shown(client, *heard, *vars(client).values()))
        said.append(shown(*await probe(Access("pe", door.url, token_file=tmp_path / "token"))))
        assert door.heard[0].headers["x-authentication"] == TOKEN
    assert_hidden(" ".join(said))
    assert_hidden(caplog.text)


async def test_failures_of_the_wire_show_no_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await request_head(reader)
        reset(writer)

    async with tcp(rude) as url, Client(Access("pe", url, token=TOKEN)) as client:
        answer = await client.answer(JobsPage(5))
    assert_hidden(shown(answer, client) + caplog.text)


def test_settings_show_no_secret() -> None:
    access = Access("pe", "https://admin:hunter2@pe.test:8143", token=TOKEN, proxy="http://me:hunter2@proxy.test:3128")
    assert_hidden(shown(access, Client(access)))
    assert "hunter2" not in shown(access, Client(access))
    assert "pe.test:8143" in repr(access)


@pytest.mark.parametrize("proxy", ["gopher://me:hunter2@proxy", "hunter2", "http://me:hunter2@[bad"])
async def test_a_proxy_that_is_none_is_not_repeated(proxy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with Client(Access("pe", "https://pe.test", proxy=proxy)):
            pass
    told = traceback.TracebackException.from_exception(refused.value)
    assert "hunter2" not in refused.value.line() + "".join(told.format())


def test_what_a_body_looks_like_never_shows_a_piece_of_torn_json_or_a_secret() -> None:
    assert "hunter2" not in excerpt(b'ord":"hunter2"}]}')
    assert "hunter2" not in excerpt(b'\xef\xbb\xbf{"password":"hunter2"')
    assert "hunter2" not in excerpt(b"<html>password=hunter2</html>")
    assert excerpt(b'<html lang="en">Bad gateway') == 'it begins with: <html lang="en">Bad gateway'
