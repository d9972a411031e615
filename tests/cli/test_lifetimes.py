"""A running bridge knows when token and certificate end, tells it, and learns of a new token soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from orchbridge.cli import lifetimes
from orchbridge.cli.lifetimes import Lifetimes
from orchbridge.core.questions import JobsPage
from orchbridge.orchestrator import Access, Client
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.tls import make_tls
from orchbridge.sim.world import World

ASKED = "POST auth/token/authenticate"
DAY_S = 86_400.0


async def lines_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, due: float | None, **knobs: str) -> list[Any]:
    """Return what is said of a token that is renewed at this moment, over some looks."""
    monkeypatch.setattr(lifetimes, "FIRST_S", 0.0)
    monkeypatch.setattr(lifetimes, "LOOK_S", 0.01)
    monkeypatch.setattr(lifetimes, "ASK_S", 0.0)
    (tmp_path / "token").write_text("old")
    world = World("quiet", knobs=Knobs(**knobs), start=time.time())
    async with served(world, token=None) as url:
        async with Client(Access("prod", url, token_file=tmp_path / "token", rbac_url=url)) as client:
            known = Lifetimes({"prod": client}, lambda _: due)
            with structlog.testing.capture_logs() as lines:
                async with known.following():
                    await until("some looks", lambda: world.requests[ASKED] >= 4)
    return list(lines)


async def test_a_token_that_is_renewed_is_told_of_where_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await lines_of(tmp_path, monkeypatch, time.time() + 9.0, token_life="days:2") == []
    (line,) = await lines_of(tmp_path, monkeypatch, time.time() - 900.0, token_life="days:2")
    assert line["event"] == "token.ends_soon"
    assert "token.not_renewed" in line["hint"]


async def test_a_refused_token_is_a_line_also_where_no_stream_is_parked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = await lines_of(tmp_path, monkeypatch, None, auth_fault="revoked")
    assert (line["event"], line["log_level"]) == ("token.refused", "warning")
    assert "old" not in line["error"]
    assert line["hint"]


async def test_the_end_of_a_token_is_told_also_once_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert must not end with the token: one that stands by is told of by nothing else."""
    monkeypatch.setattr(lifetimes, "FIRST_S", 0.0)
    monkeypatch.setattr(lifetimes, "LOOK_S", 0.01)
    monkeypatch.setattr(lifetimes, "ASK_S", 0.0)
    token = tmp_path / "token"
    token.write_text("old")
    world = World("quiet", knobs=Knobs(token_life="days:2"), start=time.time())
    async with served(world, token=None) as url:
        async with Client(Access("prod", url, token_file=token, rbac_url=url)) as client:
            known = Lifetimes({"prod": client})
            async with known.following():
                await until("its end", lambda: known.token_ends("prod"))
                ends = known.token_ends("prod")
                world.knobs = world.knobs.turned({"auth_fault": "expired"})
                looks = world.requests[ASKED]
                await until("some looks", lambda: world.requests[ASKED] >= looks + 3)
                assert known.token_ends("prod") == ends
                token.write_text("new")
                await until("a look at another one", lambda: known.token_ends("prod") is None)


async def until(what: str, true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.01)


async def test_it_is_asked_once_and_again_for_a_new_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "FIRST_S", 0.0)
    monkeypatch.setattr(lifetimes, "LOOK_S", 0.01)
    token = tmp_path / "token"
    token.write_text("old")
    world = World("quiet", knobs=Knobs(token_life="days:9.5"), start=time.time())
    tls = make_tls(tmp_path)
    async with served(world, token=None, tls=tls) as url:
        access = Access("prod", url, ca_file=tls.ca, token_file=token, rbac_url=url)
        async with Client(access) as client:
            known = Lifetimes({"prod": client})
            assert (known.token_ends("prod"), known.certificate_ends("prod")) == (None, None)
            await client.answer(JobsPage(1))
            with structlog.testing.capture_logs() as lines:
                async with known.following():
                    await until("the end of the token", lambda: known.token_ends("prod"))
                    assert known.token_ends("prod") == pytest.approx(time.time() + 9.5 * DAY_S, abs=60)
                    assert known.certificate_ends("prod") == pytest.approx(time.time() + 397 * DAY_S, abs=600)
                    await asyncio.sleep(0.1)
                    assert world.requests[ASKED] == 1, "once an hour"
                    world.knobs = world.knobs.turned({"token_life": "days:365"})
                    token.write_text("new")
                    await client.answer(JobsPage(1))
                    await until("the new one's", lambda: (known.token_ends("prod") or 0) > time.time() + 300 * DAY_S)
                    world.knobs = world.knobs.turned({"token_life": "absent"})
                    token.write_text("third")
                    await client.answer(JobsPage(1))
                    await until("nothing", lambda: known.token_ends("prod") is None)
                    assert world.requests[ASKED] == 3
                    monkeypatch.setattr(lifetimes, "ASK_S", 0.0)
                    await until("the next hour's question", lambda: world.requests[ASKED] > 3)
    told = [line for line in lines if line["event"] == "token.ends_soon"]
    assert [(line["source"], line["days"]) for line in told] == [("prod", 9.5)]
    assert not [line for line in lines if line["event"] == "certificate.ends_soon"]


async def test_nothing_is_asked_while_a_person_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "FIRST_S", 0.0)
    monkeypatch.setattr(lifetimes, "LOOK_S", 0.01)
    token = tmp_path / "token"
    token.write_text("old")
    world = World("quiet", knobs=Knobs(auth_fault="revoked"), start=time.time())
    async with served(world, token=None) as url, Client(Access("prod", url, token_file=token)) as client:
        with pytest.raises(Exception, match="revoked"):
            await client.answer(JobsPage(1))
        async with Lifetimes({"prod": client}).following():
            await asyncio.sleep(0.1)
        assert ASKED not in world.requests
