"""`orchbridge check` of a simulated orchestrator over TLS: what it learns, and that nonsense does it no harm."""

from __future__ import annotations

import json
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.core.ports import Finding
from orchbridge.orchestrator import Access
from orchbridge.orchestrator.doctor import Reading, pace, probe, releases
from orchbridge.orchestrator.doctor import chain as chain_words
from orchbridge.orchestrator.doctor import tls as tls_words
from orchbridge.orchestrator.doctor.chain import Certificate
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served as playing
from orchbridge.sim.tls import TlsFiles, make_tls
from orchbridge.sim.world import World
from tests.authority import Authority
from tests.orchestrator.servers import answering, served

SECRET = "0first1token2secret"


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls(tmp_path_factory.mktemp("doctor-tls"))


@asynccontextmanager
async def simulated(
    tls: TlsFiles, token_file: Path, scenario: str = "quiet", **knobs: str
) -> AsyncIterator[tuple[Access, World]]:
    world = World(scenario, knobs=Knobs(**knobs), start=time.time())
    async with playing(world, token=SECRET, tls=tls) as url:
        yield Access("pe", url, ca_file=tls.ca, token_file=token_file, rbac_url=url), world


async def examined(access: Access, reading: Reading | None = None) -> dict[str, Finding]:
    findings = await probe(access, reading)
    assert all(finding.hint for finding in findings if finding.level != "ok")
    assert SECRET not in repr(findings)
    return {finding.subject.removeprefix("pe: "): finding for finding in findings}


def troubled(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: finding.level for subject, finding in findings.items() if finding.level != "ok"}


async def test_a_healthy_orchestrator(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file) as (access, world):
        findings = await examined(access)
        asked = dict(world.requests)
    assert troubled(findings) == {}
    said = {subject: finding.message for subject, finding in findings.items()}
    assert "localhost, issued by orchbridge simulator CA, for localhost, " in said["certificate"]
    assert "valid for 397 more days" in said["certificate"]
    assert "of bridge ends on" in said["token life"]
    assert "in 365.0 days" in said["token life"]
    assert said["job events"].startswith("of job ")
    assert said["task metadata"].endswith("may be read")
    assert "probably PE 2025.1.0" in said["version"]
    assert "the newest 6 jobs came in" in said["job list"]
    assert sum(asked.values()) <= 14, "kind enough to be asked at any time"
    assert not any(name.startswith("POST") for name in asked if "inventory" not in name and "authenticate" not in name)


async def test_a_token_that_is_renewed_is_no_worry_before_its_end(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file, token_life="days:0.0625") as (access, _):
        short = await examined(access)
        renewed = await examined(access, Reading(renewed=True))
    assert (short["token life"].level, renewed["token life"].level) == ("warning", "ok")
    assert "in 1.5 hours" in short["token life"].message
    assert renewed["token life"].message.endswith("in 1.5 hours; it is renewed before")
    async with simulated(tls, token_file, token_life="days:0") as (access, _):
        ended = await examined(access, Reading(renewed=True))
    assert ended["token life"].level == "failed"


async def test_streams_that_are_not_read_are_not_looked_at(tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file, inventory="500", shape_version="2016.4") as (access, _):
        findings = await examined(access, Reading(("jobs",)))
    assert not {"plan jobs", "plan events", "inventory"} & findings.keys()


@pytest.mark.parametrize(
    ("knobs", "subject", "level", "words"),
    [
        ({"token_life": "days:9"}, "token life", "warning", "in 9.0 days"),
        ({"token_life": "days:0"}, "token life", "failed", "puppet-access login"),
        ({"token_life": "untold"}, "token life", "warning", "does not tell"),
        ({"token_life": "endless"}, "token life", "ok", "no end"),
        ({"token_life": "absent"}, "token life", "warning", "nobody tells"),
        ({"token_life": "superuser:300"}, "token rights", "warning", "orchestrator:view:*"),
        ({"auth_fault": "expired"}, "token accepted", "failed", "fresh token"),
        ({"auth_fault": "revoked"}, "token accepted", "failed", "revoked"),
        ({"inventory": "500"}, "inventory", "warning", "PCP broker"),
        ({"broker_status": "error"}, "services", "warning", "broker-service is error"),
        ({"latency": "seconds:0.3,on=jobs"}, "job list", "warning", "raise poll_interval_s"),
        ({"shape_version": "2018.1"}, "release", "warning", "what we observe"),
        ({"shape_version": "2021.6"}, "release", "warning", "deletes thousands at once"),
        ({"shape_version": "2016.4"}, "plan jobs", "warning", "leave 'plans' out"),
        ({"shape_version": "2016.4", "unknown_query_params": "400"}, "jobs", "ok", "may be read"),
        ({"faults": "502,on=plan_jobs"}, "plan jobs", "failed", "orchestration-services"),
        ({"faults": "html-200,on=jobs"}, "jobs", "failed", "is this its address"),
        ({"forbidden": "job:5+job:6"}, "job events", "warning", "view every job"),
        ({"error_body": "empty", "faults": "503,on=inventory"}, "inventory", "warning", "PCP broker"),
    ],
)
async def test_what_is_not_well_is_found(
    tls: TlsFiles, token_file: Path, knobs: dict[str, str], subject: str, level: str, words: str
) -> None:
    reading = Reading(poll_s=0.25 if "latency" in knobs else 20.0)
    async with simulated(tls, token_file, **knobs) as (access, _):
        findings = await examined(access, reading)
    assert findings[subject].level == level, findings[subject]
    assert words in f"{findings[subject].message} {findings[subject].hint}"


def chained(authority: Authority, folder: Path) -> dict[str, str]:
    """Return a server's files whose chain goes up to the authority."""
    signed = authority.sign()
    whole = folder / "chain.pem"
    whole.write_bytes(signed.cert.read_bytes() + authority.file.read_bytes())
    return {"ssl_certfile": str(whole), "ssl_keyfile": str(signed.key)}


async def test_the_chain_is_told_as_presented(authority: Authority, token_file: Path, tmp_path: Path) -> None:
    async with served(lambda _: answering({"items": []}), **chained(authority, tmp_path)) as door:
        findings = await examined(Access("pe", door.url, ca_file=authority.file, token_file=token_file))
    assert findings["certificate chain"].level == "ok"
    assert "issued by Test CA" in findings["certificate chain"].message


@pytest.mark.parametrize(
    ("host", "days", "said", "hint"),
    [
        ("localhost", -3, "until", "ended 3 days ago"),
        ("primary.pe.test", 90, "for primary.pe.test", "in url the name the certificate was made for"),
        ("localhost", 90, "issued by Test CA", "does not hold"),
    ],
)
async def test_a_certificate_that_is_refused_is_still_described(
    authority: Authority, stranger: Authority, token_file: Path, host: str, days: float, said: str, hint: str
) -> None:
    trusted = stranger if hint == "does not hold" else authority
    async with served(lambda _: answering({}), **authority.sign(host, days).uvicorn()) as door:
        findings = await examined(Access("pe", door.url, ca_file=trusted.file, token_file=token_file))
        heard = [dict(request.headers) for request in door.heard]
    assert findings["certificate"].level == "failed"
    assert said in findings["certificate"].message
    assert hint in findings["certificate"].hint
    assert heard, "it was looked at without trust"
    assert not any("x-authentication" in headers for headers in heard), "and without the token"


async def test_a_port_without_tls_is_called_that(token_file: Path) -> None:
    async with served(lambda _: answering({})) as door:
        url = door.url.replace("http://", "https://")
        findings = await examined(Access("pe", url, token_file=token_file))
        heard = list(door.heard)
    assert findings["certificate"].level == "failed"
    assert "the port does not speak TLS" in findings["certificate"].hint
    assert "ca.pem" not in findings["certificate"].hint
    assert not heard


def bundle(authority: Authority, stranger: Authority, folder: Path) -> Path:
    """Return a store of many authorities, some of which have ended, none of which is ours."""
    file = folder / "ca-certificates.crt"
    old = [authority.sign(f"Old Root {number}", days=-5).cert.read_bytes() for number in range(12)]
    file.write_bytes(b"".join([*old, stranger.file.read_bytes()]))
    return file


async def test_what_ended_in_a_systems_store_is_not_the_reason_and_the_store_is_left_alone(
    authority: Authority, stranger: Authority, token_file: Path, tmp_path: Path
) -> None:
    store = bundle(authority, stranger, tmp_path)
    async with served(lambda _: answering({}), **authority.sign().uvicorn()) as door:
        findings = await examined(Access("pe", door.url, ca_file=store, token_file=token_file))
    hint = findings["certificate"].hint
    assert findings["certificate"].level == "failed"
    assert "has itself ended" not in hint
    assert f"a file of its own with the primary's {tls_words.PE_CA}; leave {store} as it is" in hint
    assert "trusted authority" not in findings


def issued(subject: str, issuer: str, days: float) -> Certificate:
    now = time.time()
    return Certificate(subject, issuer, (subject,), now - 90 * 86_400, now + days * 86_400)


def test_an_authority_has_ended_where_nothing_of_its_name_lasts(authority: Authority) -> None:
    access = Access("pe", "https://primary.test:8143", ca_file=authority.file)
    (root,) = chain_words.in_file(authority.file)
    own, old, other = issued("primary.test", root.subject, 300), issued(root.subject, root.subject, -1), "Other CA"
    assert "itself ended" not in tls_words.refused(access, (own, old), "no").hint, "a newer one is trusted"
    chain = (issued("primary.test", other, 300), issued(other, other, -1))
    assert f"{other!r} has itself ended" in tls_words.refused(access, chain, "no").hint


def test_what_the_library_holds_against_a_certificate_is_not_told(authority: Authority, tmp_path: Path) -> None:
    """A system's store holds some with a serial number of 0."""
    der = x509.load_pem_x509_certificate(authority.sign(serial=1).cert.read_bytes()).public_bytes(Encoding.DER)
    odd = der.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
    file = tmp_path / "odd.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(odd))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        x509.load_der_x509_certificate(odd)
        assert told, "else nothing is tested"
        told.clear()
        assert len(chain_words.in_file(file)) == len(chain_words.read((odd,))) == 1
        assert [str(each.message) for each in told] == []


async def test_our_own_certificate_is_looked_at(authority: Authority, tls: TlsFiles, token_file: Path) -> None:
    async with simulated(tls, token_file) as (access, _):
        for days, level in ((-1, "failed"), (5, "warning"), (90, "ok")):
            ours = authority.sign("bridge.test", days)
            findings = await examined(replace(access, client_cert_file=ours.cert, client_key_file=ours.key))
            assert findings["client certificate"].level == level
            assert "bridge.test" in findings["client certificate"].message


ODD: list[Any] = [
    [], None, "x", 7, {"items": 7}, {"items": [None, 1, "x", []]}, {"items": [{"name": []}]},
    {"items": [{"name": "1", "options": 3, "node_count": "many"}]},
    {"items": [{"name": "2", "options": {"task": "../../etc::passwd"}, "environment": {"name": ["x"]}}]},
    {"items": [{"name": "3", "options": {"task": "x" * 10_000}, "node_count": -5}]},
    {"items": [{"name": "99999999999999999999"}, {"name": "0"}]}, {"items": [{"id": "https://elsewhere.test/5?x=y"}]},
]  # fmt: skip


@pytest.mark.parametrize("told", ODD, ids=range(len(ODD)))
async def test_odd_answers_break_nothing(token_file: Path, told: Any) -> None:
    def handler(request: Request) -> Response:
        assert request.url.path.startswith(("/orchestrator/v1", "/status/v1", "/rbac-api/v2"))
        return answering(json.dumps(told).encode())

    async with served(handler) as door:
        findings = await examined(Access("pe", door.url, token_file=token_file))
    assert {"jobs", "services", "clock"} <= findings.keys()


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\nb", "<script>", "x" * 5_000, "[bold]"])
async def test_hostile_texts_stay_on_one_short_line(token_file: Path, hostile: str) -> None:
    body = {"kind": hostile, "msg": hostile + SECRET}
    async with served(lambda _: answering(body, 403)) as door:
        findings = await examined(Access("pe", door.url, token_file=token_file))
    for finding in findings.values():
        assert len(finding.message) < 1_000
        assert finding.message.isprintable(), finding


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        ("2016.4.0.1", ["inventory", "pages of jobs", "plan jobs", "events of plans", "what we observe"]),
        ("2017.3.2", ["plan jobs", "events of plans", "what we observe"]),
        ("2018.1.0", ["events of plans", "what we observe"]),
        ("2019.8.4.7", ["what we observe"]),
        ("2019.8.5", []),
        ("2019.8.12", []),
        ("2021.0.0", []),
        ("2021.5.0", ["an update deletes"]),
        ("2021.7.0.9", ["an update deletes"]),
        ("2021.7.1", []),
        ("2025.1.0.14", []),
    ],
)
def test_what_a_release_lacks(version: str, lacking: list[str]) -> None:
    first, *others = releases.told(version, ("jobs", "plans", "inventory"))
    assert first.level == "ok"
    assert len(others) == len(lacking)
    for finding, words in zip(others, lacking, strict=True):
        assert finding.level == "warning"
        assert words in finding.message
        assert finding.hint


@pytest.mark.parametrize("version", [None, "", "DEV", "v2", "2021", "\x1b[0m"])
def test_a_version_that_is_none(version: str | None) -> None:
    assert len(releases.told(version, ("jobs",))) == bool(version)


def test_pace_is_judged_by_what_is_configured() -> None:
    assert pace.latency([0.1, 0.2, 9.0], 2.0).level == "ok", "the median: one slow answer is nothing"
    assert pace.latency([0.1, 3.0, 9.0], 2.0).level == "warning"
    assert pace.listing(50, 10_000, 0.2, 2.0, 30.0).level == "ok"
    assert "raise poll_interval_s above 2.5" in pace.listing(50, 10_000, 2.5, 2.0, 30.0).hint
    assert "raise timeout_s" in pace.listing(50, 10_000, 16.0, 20.0, 30.0).hint
    assert "long parameters" in pace.listing(50, 5_000_000, 0.2, 2.0, 30.0).hint


@pytest.mark.parametrize(
    ("names", "host", "fits"),
    [
        (("pe.test",), "PE.test", True),
        (("*.test",), "pe.test", True),
        (("*.test",), "a.pe.test", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("::1",), "0:0::1", True),
        (("*",), "pe", False),
        ((), "pe.test", False),
    ],
)
def test_names_of_certificates(names: tuple[str, ...], host: str, fits: bool) -> None:
    assert Certificate("x", "y", names, 0.0, 1.0).fits(host) is fits
