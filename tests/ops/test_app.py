"""The endpoints: what they say, to whom, and that nothing from outside becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest
from prometheus_client import parser

from orchbridge.core.errors import Denied
from orchbridge.core.view import RecentJob, StreamView
from orchbridge.ops.app import application
from tests.ops.stage import JOBS_STREAM, NODES_STREAM, Asked, Stage

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&amp;"
SEEN = StreamView(
    cursor="job 412 of 415",
    position=412,
    jobs_by_state={"running": 2},
    recent=(
        RecentJob(415, "job", "package", "running", "production", "2026-05-05T19:49:00Z", nodes={"finished": 1234}),
        RecentJob(414, "plan", HOSTILE, HOSTILE, HOSTILE, HOSTILE, nodes={HOSTILE: 1}, complete=False, url=HOSTILE),
        RecentJob(413, "job", "x", "finished", complete=True, url="https://pe/#/run/jobs/413"),
        RecentJob(412, "job", "x", "finished", url="javascript:alert(1)"),
    ),
)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.carry(JOBS_STREAM, SEEN)
    stage.carry(NODES_STREAM, StreamView(nodes_connected=99_988, nodes_disconnected=12))
    stage.watch.observed(Asked())
    return stage


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(stage.watch.status, stage.metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        yield client


class Reader(HTMLParser):
    """Collects tags, attributes and text as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_tells_what_matters(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    seen = Reader(answer.text)
    for words in ("Ready", "prod", "pe.example.com:8143", "job 412 of 415", "99,988", "1,234 finished", "up"):
        assert words in seen.text
    assert ("http-equiv", "refresh") in seen.attributes
    assert ("name", "viewport") in seen.attributes
    assert "prefers-color-scheme:dark" in answer.text


async def test_the_page_escapes_what_comes_from_outside(client: httpx.AsyncClient) -> None:
    seen = Reader((await client.get("/")).text)
    assert "img" not in seen.tags
    assert seen.tags.count("script") == 1
    assert HOSTILE in seen.text
    assert [value for name, value in seen.attributes if name == "href" and value and ":" in value] == [
        "https://pe/#/run/jobs/413"
    ]
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in {"src", "style"}]


async def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    for kind in ("style", "script"):
        (inline,) = re.findall(rf"<{kind}>(.*?)</{kind}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"; {kind}-src 'sha256-{digest}'; " in policy
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src 'self'; " in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/status.json", "/docs/metrics", "/nothing"])
async def test_every_answer_is_guarded(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.status_code == (404 if path == "/nothing" else 200)
    assert (await client.head(path)).status_code == answer.status_code
    assert (await client.post(path)).status_code in {404, 405}


async def test_metrics_speak_both_formats(client: httpx.AsyncClient) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'orchbridge_stream_owned{source="prod",stream="jobs"} 1.0' in plain.text
    assert list(parser.text_string_to_metric_families(plain.text))
    new = await client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert new.headers["content-type"].startswith("application/openmetrics-text")
    assert new.text.endswith("# EOF\n")


async def test_readiness_follows_the_streams_and_health_does_not(stage: Stage, client: httpx.AsyncClient) -> None:
    assert (await client.get("/readyz")).text == "ready\n"
    stage.watch.parked(JOBS_STREAM, Denied("the token has expired", hint="write a new one"))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "prod/jobs is parked: the token has expired; write a new one\n")
    told = (await client.get("/readyz", headers={"accept": "application/json"})).json()
    assert told == {"ready": False, "reasons": [answer.text.strip()]}
    assert (await client.get("/healthz")).status_code == 200
    page = Reader((await client.get("/")).text).text
    assert "Not ready" in page
    assert "write a new one" in page


async def test_a_stuck_stream_is_not_ready(stage: Stage, client: httpx.AsyncClient) -> None:
    stage.clock.now += 31
    assert (await client.get("/readyz")).status_code == 503


async def test_status_json_holds_the_same_picture(client: httpx.AsyncClient) -> None:
    told = (await client.get("/status.json")).json()
    assert (told["ready"], told["version"]) == (True, "0.1.0")
    jobs = told["sources"][0]["streams"][0]
    assert (jobs["kind"], jobs["state"], jobs["view"]["cursor"]) == ("jobs", "live", "job 412 of 415")


async def test_no_stream_at_all_still_makes_a_page() -> None:
    stage = Stage()
    transport = httpx.ASGITransport(application(stage.watch.status, stage.metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        seen = Reader((await client.get("/")).text).text
    assert "standby" in seen
    assert "not asked" in seen
