"""The runbooks as pages: those that exist and nothing else, without markup of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchbridge.ops.app import application
from orchbridge.ops.catalogue import CATALOGUE
from orchbridge.ops.runbooks import Runbooks, runbooks
from tests.ops.stage import Stage
from tests.ops.test_app import Reader

BOOKS = Runbooks(
    {
        "README": "# Runbooks\n\n- [One](One.md)\n",
        "One": "# One\n\n<script>alert(1)</script>\n\n## What to do, now\n\n| a | b |\n|--:|---|\n| 1 | `2` |\n\n"
        "[back](README.md) [two](Two.md#what) [metrics](../metrics.md) "
        "[page](../status.md) [page](../) [web](https://example.com/x) "
        "[bad](javascript:alert(1)) [worse](One.md/../../etc/passwd) ![spy](https://example.com/spy.png)\n",
        "Two": "# Two\n",
    }
)
DOCS = Path(__file__).parent.parent.parent / "docs" / "runbooks"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    stage = Stage()
    app = application(stage.watch.status, stage.metrics, books=BOOKS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bridge") as client:
        yield client


async def test_a_runbook_is_a_page_with_working_links(client: httpx.AsyncClient) -> None:
    answer = await client.get("/runbooks/One")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    seen = Reader(answer.text)
    inner = [value for name, value in seen.attributes if name == "href" and value and not value.startswith("../")]
    assert inner == ["#main", "./", "Two#what", "https://example.com/x", "https://example.com/spy.png"]
    assert seen.attributes.count(("href", "../")) == 3  # the name of the program leads there too
    assert seen.attributes.count(("href", "../docs/metrics")) == 2  # so does what is above every page
    assert ("id", "what-to-do-now") in seen.attributes
    assert "table" in seen.tags
    assert (await client.get("/runbooks/Two.md")).status_code == 200


async def test_what_the_metrics_mean_is_a_page_that_the_status_page_leads_to(client: httpx.AsyncClient) -> None:
    assert ("href", "docs/metrics") in Reader((await client.get("/")).text).attributes
    answer = await client.get("/docs/metrics")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    seen = Reader(answer.text)
    assert ("href", "../metrics") in seen.attributes
    assert [
        metric.name
        for metric in CATALOGUE
        if metric.name not in seen.text or metric.help.replace("`", "") not in seen.text
    ] == []


async def test_markup_in_a_runbook_is_text_and_nothing_is_fetched(client: httpx.AsyncClient) -> None:
    seen = Reader((await client.get("/runbooks/One")).text)
    assert not {"script", "img"} & set(seen.tags)
    assert "<script>alert(1)</script>" in seen.text
    assert not [name for name, _ in seen.attributes if name in {"style", "src"} or name.startswith("on")]
    assert not [value for _, value in seen.attributes if value and "javascript" in value]


async def test_the_index_lists_them_and_is_found_without_its_slash(client: httpx.AsyncClient) -> None:
    answer = await client.get("/runbooks", follow_redirects=True)
    assert answer.status_code == 200
    assert ("href", "One") in Reader(answer.text).attributes
    listed = Runbooks({"A": "# A"}).page("")
    assert listed is not None
    assert ("href", "A") in Reader(listed).attributes


@pytest.mark.parametrize(
    "path",
    [
        "Three",
        "one",
        "..%2F..%2Fpyproject.toml",
        "../../pyproject.toml",
        "%2Fetc%2Fpasswd",
        "One%00",
        "One/",
        "One.md.md",
    ],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/runbooks/{path}", follow_redirects=True)
    assert answer.status_code == 404 or path == "One/"
    assert "setuptools" not in answer.text
    assert "root:" not in answer.text


def test_all_that_are_written_come_with_the_package() -> None:
    written = {file.stem for file in DOCS.glob("*.md")}
    assert set(runbooks().texts) == written
    for name in ["", *written]:
        assert runbooks().page(name) is not None
