"""TLS over real sockets: verified always, and every failure says which file to look at."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from orchbridge.core.errors import ConfigError
from orchbridge.core.questions import JobsPage, Page, Trouble
from orchbridge.orchestrator import Access, Client
from orchbridge.orchestrator.access import ssl_context
from tests.authority import Authority
from tests.orchestrator.servers import answering, served

EMPTY = {"items": []}


async def asked(access: Access) -> Page | Trouble:
    async with Client(access) as client:
        answer = await client.answer(JobsPage(5))
    assert isinstance(answer, Page | Trouble)
    return answer


async def test_a_server_of_the_named_ca_is_believed(authority: Authority) -> None:
    async with served(lambda _: answering(EMPTY), **authority.sign().uvicorn()) as door:
        assert door.url.startswith("https://")
        assert isinstance(await asked(Access("pe", door.url, ca_file=authority.file)), Page)


@pytest.mark.parametrize("how", ["another CA", "the system's CAs"])
async def test_a_server_of_another_ca_is_not(authority: Authority, stranger: Authority, how: str) -> None:
    ca_file = stranger.file if how == "another CA" else None
    async with served(lambda _: answering(EMPTY), **authority.sign().uvicorn()) as door:
        answer = await asked(Access("pe", door.url, ca_file=ca_file, token="0secret"))
        assert not door.heard, "nothing was said to it"
    assert isinstance(answer, Trouble)
    assert answer.kind == "tls"
    assert (str(ca_file) if ca_file else "system's certificate store") in answer.explanation
    assert "issuer" in answer.explanation or "self-signed" in answer.explanation


async def test_a_certificate_for_another_name_is_not_accepted(authority: Authority) -> None:
    async with served(lambda _: answering(EMPTY), **authority.sign("pe.example.com").uvicorn()) as door:
        answer = await asked(Access("pe", door.url, ca_file=authority.file))
    assert isinstance(answer, Trouble)
    assert answer.kind == "tls"
    assert "localhost" in answer.explanation


async def test_an_expired_certificate_is_not_accepted(authority: Authority) -> None:
    async with served(lambda _: answering(EMPTY), **authority.sign(days=-1).uvicorn()) as door:
        answer = await asked(Access("pe", door.url, ca_file=authority.file))
    assert isinstance(answer, Trouble)
    assert answer.kind == "tls"
    assert "expired" in answer.explanation


async def test_a_client_certificate_is_shown_where_configured(authority: Authority) -> None:
    mutual = {"ssl_ca_certs": str(authority.file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    ours = authority.sign("orchbridge.test")
    async with served(lambda _: answering(EMPTY), **authority.sign().uvicorn(), **mutual) as door:
        with_one = Access("pe", door.url, ca_file=authority.file, client_cert_file=ours.cert, client_key_file=ours.key)
        assert isinstance(await asked(with_one), Page)
        without = await asked(Access("pe", door.url, ca_file=authority.file))
    assert isinstance(without, Trouble)
    assert without.kind in {"tls", "unreachable"}, "some servers say why, others only hang up"


async def test_a_server_without_tls_is_not_talked_to() -> None:
    async with served(lambda _: answering(EMPTY)) as door:
        answer = await asked(Access("pe", door.url.replace("http:", "https:"), token="0secret"))
        assert not door.heard
    assert isinstance(answer, Trouble)
    assert answer.kind == "tls"


def test_old_protocols_are_refused(authority: Authority) -> None:
    context = ssl_context(Access("pe", "https://localhost:1", ca_file=authority.file))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_new_ca_file_is_used_without_a_restart(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copy(stranger.file, ca_file)
    async with (
        served(lambda _: answering(EMPTY), **authority.sign().uvicorn()) as door,
        Client(Access("pe", door.url, ca_file=ca_file)) as client,
    ):
        assert isinstance(await client.answer(JobsPage(5)), Trouble)
        ca_file.write_text("half a file")
        assert isinstance(await client.answer(JobsPage(5)), Trouble)
        shutil.copy(authority.file, ca_file)
        assert isinstance(await client.answer(JobsPage(5)), Page)
        ca_file.write_text("half a file")
        assert isinstance(await client.answer(JobsPage(5)), Page), "what is loaded serves until a whole file comes"


@pytest.mark.parametrize("content", [None, "", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_a_ca_file_that_cannot_be_used_stops_the_start(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        async with Client(Access("pe", "https://localhost:1", ca_file=ca_file)):
            pass
    assert str(ca_file) in str(refused.value)
    assert "ca.pem" in refused.value.hint


async def test_a_client_certificate_with_another_key_stops_the_start(authority: Authority) -> None:
    one, other = authority.sign("a.test"), authority.sign("b.test")
    access = Access("pe", "https://localhost:1", client_cert_file=one.cert, client_key_file=other.key)
    with pytest.raises(ConfigError, match="client certificate"):
        async with Client(access):
            pass
