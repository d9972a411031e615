"""What the watchdogs said, where operators look: the log, a counter, `/healthz`."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx
import pytest
import structlog

from orchbridge.core.alarms import Alarm, Alarms
from orchbridge.ops.alarms import AlarmBook
from orchbridge.ops.app import application
from orchbridge.ops.catalogue import WATCHDOGS
from tests.ops.stage import Stage

STUCK = Alarm("commit", "prod/jobs", "prod/jobs: its commit does not return")
OTHER = Alarm("commit", "prod/plans", "prod/plans: its commit does not return")


class Book:
    def __init__(self) -> None:
        self.lines: list[MutableMapping[str, Any]] = []

        def keep(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            self.lines.append({**event, "level": level})
            raise structlog.DropEvent

        self.stage = Stage()
        self.stage.carry()
        self.alarms = AlarmBook(self.stage.metrics, structlog.wrap_logger(None, processors=[keep]))


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def client(book: Book) -> AsyncIterator[httpx.AsyncClient]:
    app = application(book.stage.watch.status, book.stage.metrics, book.alarms.standing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bridge") as client:
        yield client


def test_it_is_an_alarms(book: Book) -> None:
    alarms: Alarms = book.alarms
    assert alarms


def test_every_kind_is_counted_from_zero(book: Book) -> None:
    values = {kind: book.stage.metrics.value("orchbridge_watchdog_total", kind) for kind in WATCHDOGS}
    assert values == dict.fromkeys(("commit", "task", "question", "loop"), 0)
    book.alarms.raised(STUCK)
    assert book.stage.metrics.value("orchbridge_watchdog_total", "commit") == 1


async def test_health_fails_for_as_long_as_something_hangs(book: Book, client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    for alarm in (STUCK, OTHER):
        book.alarms.told(alarm, ("a.py:1 f: x",))
        book.alarms.raised(alarm)
    answer = await client.get("/healthz")
    assert answer.status_code == 503
    assert answer.text == f"{STUCK.reason}\n{OTHER.reason}\n"
    assert (await client.get("/status.json")).json()["alarms"] == [STUCK.reason, OTHER.reason]
    assert OTHER.reason in (await client.get("/")).text
    book.alarms.cleared(STUCK)
    assert (await client.get("/healthz")).text == f"{OTHER.reason}\n"
    book.alarms.cleared(OTHER)
    assert (await client.get("/healthz")).text == "ok\n"
    assert [line["event"] for line in book.lines] == ["watchdog.barked"] * 2 + ["watchdog.cleared"] * 2
    assert book.lines[0]["stack"] == ["a.py:1 f: x"]
    assert book.lines[0]["level"] == "error"


async def test_health_does_not_care_for_others(book: Book, client: httpx.AsyncClient) -> None:
    """A stream without a lap for an hour makes us not ready; only what hangs here makes us ill."""
    book.stage.clock.now += 3_600
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
