"""What is learnt of a token's life from RBAC as the simulator plays it, over TLS, and what is not."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orchbridge.core.questions import JobsPage
from orchbridge.orchestrator import Access, Client, errors
from orchbridge.orchestrator.console import rbac_address
from orchbridge.orchestrator.models import TokenInfo
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.tls import TlsFiles, make_tls
from orchbridge.sim.world import World
from tests.authority import Authority
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as serving

SECRET = "0first1token2secret"
DAY_S = 86_400.0


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls(tmp_path_factory.mktemp("sim-tls"))


@asynccontextmanager
async def simulated(tls: TlsFiles, token_file: Path, **knobs: str) -> AsyncIterator[tuple[Access, World]]:
    world = World("quiet", knobs=Knobs(**knobs), start=time.time())
    async with served(world, token=SECRET, tls=tls) as url:
        yield Access("pe", url, ca_file=tls.ca, token_file=token_file, rbac_url=url), world


async def inspected(access: Access) -> TokenInfo | errors.ApiError:
    async with Client(access) as client:
        try:
            return await client.tokens.inspect()
        except errors.ApiError as error:
            return error


async def test_when_it_ends_and_whose_it_is(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file, token_life="days:20") as (access, world):
        life = await inspected(access)
        assert world.requests == {"POST auth/token/authenticate": 1}, "one request, and no other"
    assert isinstance(life, TokenInfo)
    assert life.expires is not None
    assert life.expires.timestamp() == pytest.approx(time.time() + 20 * DAY_S, abs=60)
    assert (life.login, life.superuser, life.endless) == ("bridge", False, False)


@pytest.mark.parametrize(("value", "endless"), [("endless", True), ("untold", False)])
async def test_where_it_does_not_end_or_is_not_told(tls: TlsFiles, token_file: Path, value: str, endless: bool) -> None:
    async with simulated(tls, token_file, token_life=value) as (access, _):
        life = await inspected(access)
    assert isinstance(life, TokenInfo)
    assert (life.expires, life.endless, life.login) == (None, endless, "bridge")


@pytest.mark.parametrize("fault", ["expired", "revoked", "timed-out", "invalid"])
async def test_a_token_that_is_no_good(tls: TlsFiles, token_file: Path, fault: str) -> None:
    async with simulated(tls, token_file, auth_fault=fault) as (access, _):
        life = await inspected(access)
    assert isinstance(life, errors.TokenRefused)
    assert "puppet-access login" in life.hint
    assert SECRET not in life.line()


async def test_there_is_no_token_to_ask_about(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file) as (access, world):
        life = await inspected(Access("pe", access.url, ca_file=tls.ca))
        assert not world.requests
    assert isinstance(life, errors.TokenRefused)


async def test_the_suffix_for_polling_is_not_a_part_of_the_token(tls: TlsFiles, token_file: Path) -> None:
    token_file.write_text(f"{SECRET}|no_keepalive\n")  # noqa: ASYNC240
    async with simulated(tls, token_file) as (access, _):
        assert isinstance(await inspected(access), TokenInfo)


def test_where_it_is_asked() -> None:
    def address(url: str, **more: Any) -> str:
        return rbac_address(Access("pe", url, **more))

    assert address("https://pe.test:8143") == "https://pe.test:4433"
    assert address("https://[2001:db8::1]:8143") == "https://[2001:db8::1]:4433"
    assert address("http://127.0.0.1:9999") == "http://127.0.0.1:9999", "the simulator"
    assert address("https://pe.test:8143", rbac_url="https://rbac.test:443") == "https://rbac.test:443"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: answering(b"<html>Sign in"),
        lambda: answering([1]),
        lambda: answering(b"no such page", 404),
        lambda: answering({"kind": "puppetlabs.rbac/server-error", "msg": "down"}, 500),
        lambda: answering({"kind": "puppetlabs.rbac/permission-denied", "msg": SECRET}, 403),
        lambda: answering(b"", 302, location="https://elsewhere.test/"),
        lambda: answering({"expiration": "soon"}),
        lambda: answering({"expiration": 12, "login": ["x"], "is_superuser": "yes"}),
        lambda: answering({"msg": SECRET * 2, "kind": "x/y"}, 418),
        lambda: answering(b'{"expiration": "2027-01-01T00:00'),
    ],
)
async def test_answers_that_tell_nothing_do_no_harm(token_file: Path, answer: Callable[[], Any]) -> None:
    async with serving(lambda _: answer()) as door:
        access = Access("pe", door.url, token_file=token_file)
        life = await inspected(access)
        request, *_ = door.heard  # one that may pass is tried again
    assert isinstance(life, errors.ApiError) or (life.expires, life.login, life.superuser) == (None, "", False)
    assert SECRET not in repr(life)
    assert "x-authentication" not in request.headers


async def test_nobody_there_and_another_authority(tls: TlsFiles, token_file: Path, stranger: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    gone = Access("pe", "https://127.0.0.1:1", token_file=token_file, rbac_url=f"https://127.0.0.1:{port}")
    life = await inspected(gone)
    assert isinstance(life, errors.Unreachable)
    assert f"127.0.0.1:{port}" in str(life)
    async with simulated(tls, token_file) as (access, world):
        wrong = Access("pe", access.url, ca_file=stranger.file, token_file=token_file, rbac_url=access.url)
        life = await inspected(wrong)
        assert not world.requests, "the token is not shown to whom we do not trust"
    assert isinstance(life, errors.Unreachable)
    assert "certificate" in str(life)


async def test_the_client_sees_the_certificate_in_an_answer_that_came_anyway(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file) as (access, world):
        async with Client(access) as client:
            assert client.certificate_ends is None
            await client.answer(JobsPage(1))
            assert client.certificate_ends == pytest.approx(time.time() + 397 * DAY_S, abs=600)
        assert world.requests == {"GET jobs": 1}
