"""`orchbridge check` of a source: everything found in one pass, each failure with its fix."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core import times
from orchbridge.core.ports import Finding
from orchbridge.orchestrator import Access
from orchbridge.orchestrator.doctor import probe
from tests.authority import Authority
from tests.orchestrator.servers import Door, answering, served

ALL = [
    "token", "settings", "reachable", "certificate", "certificate chain", "token accepted", "token life",
    "jobs", "job events", "job nodes", "task metadata", "job list", "plan jobs", "plan events", "inventory", "services",
]  # fmt: skip
SERVICES = {
    "orchestrator-service": {"state": "running", "service_version": "2021.7.1.12"},
    "broker-service": {"state": "running", "service_version": "1.0"},
}


class Orchestrator:
    """A healthy one; `but` replaces answers by the end of their path."""

    def __init__(self, ahead_s: float = 0.0, **but: Response) -> None:
        self.ahead_s = ahead_s
        self.but = but

    def __call__(self, request: Request) -> Response:
        last = request.url.path.rpartition("/")[2]
        life = {"expiration": times.text(time.time() + 300 * 86_400), "login": "bridge"}
        told = {"services": SERVICES, "authenticate": life}.get(last, {"items": []})
        answer = self.but.get(last) or answering(told)
        date = datetime.now(UTC) + timedelta(seconds=self.ahead_s)
        answer.headers["date"] = format_datetime(date, usegmt=True)
        return answer


async def found(access: Access) -> dict[str, Finding]:
    findings = await probe(access)
    assert all(finding.hint for finding in findings if finding.level != "ok")
    assert all(finding.subject.startswith("pe: ") for finding in findings)
    return {finding.subject.removeprefix("pe: "): finding for finding in findings}


def levels(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: finding.level for subject, finding in findings.items() if finding.level != "ok"}


def access(door: Door, authority: Authority, token_file: Path) -> Access:
    return Access("pe", door.url, ca_file=authority.file, token_file=token_file, rbac_url=door.url)


async def test_a_healthy_source(authority: Authority, token_file: Path) -> None:
    async with served(Orchestrator(), **authority.sign().uvicorn()) as door:
        findings = await found(access(door, authority, token_file))
        asked = [(request.method, request.url.path.removeprefix("/orchestrator/v1")) for request in door.heard]
    assert levels(findings) == {}
    assert list(findings) == [*ALL, "version", "clock", "latency"]
    assert "2021.7.1" in findings["version"].message
    assert " ms" in findings["reachable"].message
    assert "36" in findings["certificate"].message
    assert asked == [
        ("GET", ""), ("POST", "/rbac-api/v2/auth/token/authenticate"), ("GET", "/jobs"), ("GET", "/plan_jobs"),
        ("POST", "/inventory"), ("GET", "/status/v1/services"), ("GET", ""), ("GET", ""), ("GET", ""),
    ]  # fmt: skip


async def test_a_certificate_that_ends_soon(authority: Authority, token_file: Path) -> None:
    async with served(Orchestrator(), **authority.sign(days=9.5).uvicorn()) as door:
        findings = await found(access(door, authority, token_file))
    assert levels(findings) == {"certificate": "warning"}
    assert "9 more days" in findings["certificate"].message


async def test_a_certificate_of_another_ca(authority: Authority, stranger: Authority, token_file: Path) -> None:
    async with served(Orchestrator(), **authority.sign().uvicorn()) as door:
        findings = await found(Access("pe", door.url, ca_file=stranger.file, token_file=token_file))
    assert findings["reachable"].level == "ok"
    assert findings["certificate"].level == "failed"
    assert str(stranger.file) in findings["certificate"].hint
    for subject in ("token accepted", "jobs", "plan jobs", "inventory", "services", "clock"):
        assert findings[subject].message.startswith("not checked")


@pytest.mark.parametrize(("days", "host", "words"), [(-1, "localhost", "clock"), (9, "pe.test", "certname")])
async def test_certificates_that_do_not_fit(
    authority: Authority, token_file: Path, days: float, host: str, words: str
) -> None:
    async with served(Orchestrator(), **authority.sign(host, days).uvicorn()) as door:
        findings = await found(access(door, authority, token_file))
    assert findings["certificate"].level == "failed"
    assert words in findings["certificate"].hint


async def test_nobody_there(token_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    findings = await found(Access("pe", f"https://127.0.0.1:{port}", token_file=token_file))
    assert findings["token"].level == "ok"
    assert findings["reachable"].level == "failed"
    assert "8143" in findings["reachable"].hint
    assert sum(finding.message.startswith("not checked") for finding in findings.values()) == 7


async def test_settings_that_cannot_be_used(token_file: Path, tmp_path: Path) -> None:
    for access in (
        Access("pe", "http://pe.test", token_file=token_file),
        Access("pe", "https://localhost", token_file=token_file, ca_file=tmp_path / "none.pem"),
    ):
        findings = await found(access)
        assert findings["settings"].level == "failed"
        assert findings["token"].level == "ok"
        assert findings["jobs"].message.startswith("not checked")


async def test_a_token_that_is_refused() -> None:
    kind = {"kind": "puppetlabs.rbac/token-expired", "msg": "The provided token has expired."}
    async with served(Orchestrator(v1=answering(kind, 401))) as door:
        findings = await found(Access("pe", door.url, token="0secret"))
        assert len(door.heard) == 2, "the root and the services, which need no token"
    assert findings["token accepted"].level == "failed"
    assert "fresh token" in findings["token accepted"].hint
    assert findings["jobs"].message == "not checked: the token is not accepted"
    assert findings["services"].level == "ok"


async def test_a_right_that_is_missing() -> None:
    kind = {"kind": "puppetlabs.orchestrator/not-permitted", "msg": "no"}
    refused = {"plan_jobs": answering(kind, 403), "inventory": answering(kind, 403)}
    async with served(Orchestrator(**refused)) as door:
        findings = await found(Access("pe", door.url, token="0secret"))
    assert levels(findings) == {"plan jobs": "failed", "inventory": "failed"}
    assert "orchestrator:view:*" in findings["inventory"].hint


async def test_an_old_server_without_plans_and_a_broker_that_is_down() -> None:
    but = {
        "plan_jobs": answering(b"Not found", 404),
        "inventory": answering({"kind": "x/unknown-error", "msg": "no broker"}, 500),
        "services": answering({**SERVICES, "broker-service": {"state": "error"}}, 503),
    }
    async with served(Orchestrator(**but)) as door:
        findings = await found(Access("pe", door.url, token="0secret"))
    assert levels(findings) == {"plan jobs": "warning", "inventory": "warning", "services": "warning"}
    assert "plans" in findings["plan jobs"].hint
    assert "broker-service is error" in findings["services"].message


@pytest.mark.parametrize("ahead_s", [-45.0, 45.0])
async def test_clocks_that_differ(ahead_s: float) -> None:
    async with served(Orchestrator(ahead_s)) as door:
        findings = await found(Access("pe", door.url, token="0secret"))
    assert levels(findings) == {"clock": "warning"}
    assert ("ahead of" if ahead_s > 0 else "behind") in findings["clock"].message


@pytest.mark.parametrize(
    ("prepare", "level", "words"),
    [
        (lambda path: path.unlink(), "failed", "cannot be read"),
        (lambda path: path.write_text("\n"), "failed", "is empty"),
        (lambda path: path.chmod(0o644), "warning", "chmod 600"),
    ],
)
async def test_token_files(token_file: Path, prepare: Any, level: str, words: str) -> None:
    prepare(token_file)
    async with served(Orchestrator()) as door:
        findings = await found(Access("pe", door.url, token_file=token_file))
    assert findings["token"].level == level
    assert words in findings["token"].message + findings["token"].hint
    assert findings["reachable"].level == "ok", "one failure does not hide the others"


async def test_no_token_at_all(authority: Authority) -> None:
    ours = authority.sign("orchbridge.test")
    async with served(Orchestrator()) as door:
        nothing = await found(Access("pe", door.url))
        cert = await found(Access("pe", door.url, client_cert_file=ours.cert, client_key_file=ours.key))
        wrong = await found(Access("pe", door.url, token="two words"))
    assert nothing["token"].level == "failed"
    assert cert["token"].level == "warning"
    assert wrong["token"].level == "failed"


async def test_something_else_at_that_address() -> None:
    async with served(lambda _: Response("<html>Welcome to nginx!")) as door:
        findings = await found(Access("pe", door.url, token="0secret"))
    assert findings["token accepted"].level == "failed"
    assert "is this its address" in findings["token accepted"].message
    assert findings["clock"].level == "warning"
