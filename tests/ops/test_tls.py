"""The operations port over TLS: whom it lets in, how it is renewed, and that nonsense leaves no trace in the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from orchbridge.core.errors import ConfigError
from orchbridge.ops.app import application
from orchbridge.ops.serve import serving
from orchbridge.ops.tls import Certificates, Tls
from tests.authority import Authority, Signed
from tests.ops.stage import Stage


class Files:
    """The port's files, which are replaced as an operator's tools do it."""

    def __init__(self, folder: Path, signed: Signed, clients: Authority | None = None) -> None:
        self.cert, self.key, self.ca = folder / "http.pem", folder / "http.key", folder / "clients.pem"
        self.replace(signed)
        if clients:
            shutil.copy(clients.file, self.ca)
        self.tls = Tls(self.cert, self.key, self.ca if clients else None)

    def replace(self, signed: Signed) -> None:
        for new, path in ((signed.cert, self.cert), (signed.key, self.key)):
            draft = path.with_suffix(".new")
            shutil.copy(new, draft)
            draft.replace(path)


@contextlib.asynccontextmanager
async def served(files: Files) -> AsyncIterator[str]:
    stage = Stage()
    app = application(stage.watch.status, stage.metrics, certificate=files.tls.client_ca is not None)
    async with serving(app, "127.0.0.1", 0, Certificates(files.tls)) as port:
        yield f"https://localhost:{port}"


def trusting(authority: Authority, client: Signed | None = None, **more: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client:
        context.load_cert_chain(client.cert, client.key)
    for name, value in more.items():
        setattr(context, name, value)
    return context


async def ask(url: str, trust: ssl.SSLContext, path: str = "/metrics") -> tuple[int, str]:
    async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
        answer = await client.get(f"{url}{path}")
        return answer.status_code, answer.text


async def serial(url: str, trust: ssl.SSLContext) -> str:
    """Return the serial number of the certificate that is shown now."""
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
    shown = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return str(shown)


async def test_it_answers_over_tls_alone(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    async with served(Files(tmp_path, authority.sign())) as url:
        assert (await ask(url, trusting(authority)))[0] == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await ask(url, trusting(stranger))


async def test_versions_before_1_2_are_not_spoken(authority: Authority, tmp_path: Path) -> None:
    async with served(Files(tmp_path, authority.sign())) as url:
        assert (await ask(url, trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)))[0] == 200
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old = trusting(authority, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.raises(httpx.TransportError):
            await ask(url, old)
    files = Files(tmp_path, authority.sign())
    assert Certificates(files.tls).first.minimum_version == ssl.TLSVersion.TLSv1_2, "not only this OpenSSL's own wish"


async def test_a_client_certificate_is_demanded(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    async with served(Files(tmp_path, authority.sign(), stranger)) as url:
        with structlog.testing.capture_logs() as lines:
            assert await ask(url, trusting(authority)) == (403, "a client certificate is needed\n")
        assert [line["reason"] for line in lines] == ["no client certificate"]
        assert await ask(url, trusting(authority), "/healthz") == (200, "ok\n"), "probes show none"
        assert await ask(url, trusting(authority), "/readyz") == (200, "ready\n")
        assert (await ask(url, trusting(authority, stranger.sign("prometheus"))))[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("wrong", ["expired", "unknown"])
async def test_a_wrong_client_certificate_does_not_even_get_to_health(
    authority: Authority, stranger: Authority, tmp_path: Path, wrong: str, version: ssl.TLSVersion
) -> None:
    shown = stranger.sign("prometheus", days=-1) if wrong == "expired" else authority.sign("prometheus")
    async with served(Files(tmp_path, authority.sign(), stranger)) as url:
        for path in ("/metrics", "/healthz"):
            with pytest.raises(httpx.TransportError):
                await ask(url, trusting(authority, shown, maximum_version=version), path)


async def test_a_renewed_certificate_is_shown_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    first, second, third = (authority.sign() for _ in range(3))
    files, trust = Files(tmp_path, first), trusting(authority)
    async with served(files) as url, httpx.AsyncClient(verify=trust, trust_env=False) as kept:
        await kept.get(f"{url}/healthz")
        before = await serial(url, trust)
        files.replace(second)
        after = await serial(url, trust)
        assert after != before
        assert (await kept.get(f"{url}/healthz")).is_success, "an open connection goes on"
        with structlog.testing.capture_logs() as lines:
            shutil.copy(third.key, files.key)
            assert await serial(url, trust) == after, "half replaced: the old pair stays in use"
            files.cert.write_text("not a certificate")
            assert await serial(url, trust) == after
            shutil.copy(third.cert, files.cert)
            assert await serial(url, trust) not in {before, after}
    assert [line["event"] for line in lines] == ["http.certificate_kept", "http.certificate_loaded"]
    assert str(files.cert) in lines[0]["explanation"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_renewed_client_authority_counts_at_once(
    authority: Authority, stranger: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    files = Files(tmp_path, authority.sign(), stranger)
    old = trusting(authority, stranger.sign("prometheus"), maximum_version=version)
    new = trusting(authority, authority.sign("prometheus"), maximum_version=version)
    async with served(files) as url:
        assert (await ask(url, old))[0] == 200
        shutil.copy(authority.file, files.ca)
        assert (await ask(url, new))[0] == 200
        with pytest.raises(httpx.TransportError):
            await ask(url, old)  # the same context as before: no session is resumed either


@pytest.mark.parametrize("bad", ["no certificate", "other key", "encrypted key", "no authority", "missing"])
def test_files_that_cannot_be_used_are_refused_with_the_key(authority: Authority, tmp_path: Path, bad: str) -> None:
    files = Files(tmp_path, authority.sign(), authority)
    match bad:
        case "no certificate":
            files.cert.write_text("hello")
        case "other key":
            shutil.copy(authority.sign().key, files.key)
        case "encrypted key":
            encrypt(files.key)
        case "no authority":
            files.ca.write_text("hello")
        case "missing":
            files.key.unlink()
    with pytest.raises(ConfigError) as refusal:
        Certificates(files.tls)
    assert refusal.value.line().startswith("http.client_ca_file" if bad == "no authority" else "http.tls_cert_file")
    assert "\n" not in refusal.value.line()
    assert "hello" not in refusal.value.line()


def encrypt(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(path.read_bytes(), None)
    with_password = form.BestAvailableEncryption(b"hunter2")
    path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, with_password))


NONSENSE = [
    b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"\x00" * 64, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x80\x2e\x01\x00\x02", b"SSH-2.0-OpenSSH_9.2\r\n", b"\xff" * 70_000,
]  # fmt: skip


@pytest.mark.parametrize("said", NONSENSE, ids=range(len(NONSENSE)))
async def test_what_is_no_tls_fails_without_a_trace(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    said: bytes,
) -> None:
    caught: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context))
    async with served(Files(tmp_path, authority.sign())) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        with contextlib.suppress(OSError):
            writer.write(said)
            await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(5):
                while answer := await reader.read(65_536):
                    assert not answer.startswith(b"HTTP/"), "nothing is said in clear text"
        writer.close()
        assert (await ask(url, trusting(authority)))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert caught == []
    assert capfd.readouterr().err == ""


async def test_a_stalled_handshake_does_not_hold_up_the_end(authority: Authority, tmp_path: Path) -> None:
    async with asyncio.timeout(6):
        async with served(Files(tmp_path, authority.sign())) as url:
            silent = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
            assert (await ask(url, trusting(authority)))[0] == 200
    silent.close()
