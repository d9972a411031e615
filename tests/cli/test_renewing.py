"""Tokens that really end are renewed in time, once, whatever dies; what cannot be renewed is said and left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchbridge.cli import renewing
from orchbridge.cli.check import renewal
from orchbridge.cli.renewing import Renewable, Renewing
from orchbridge.config import Source
from orchbridge.core.errors import Denied
from orchbridge.core.questions import JobsPage, Page
from orchbridge.ops.catalogue import RENEWALS
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator import Access, Client, errors, token_file
from orchbridge.orchestrator.token_file import SUFFIX, replacing
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.cli.birds import until

RENEW = "POST tokens"
LOOK = "POST auth/token/authenticate"
OLD = "0the0first0token"
LIFE_S = 3600.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "FIRST_S", 0.0)
    monkeypatch.setattr(renewing, "LOOK_S", 0.02)
    monkeypatch.setattr(renewing, "AGAIN_S", 0.3)
    monkeypatch.setattr(renewing, "ASK_S", 0.05)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@dataclass
class Desk:
    world: World
    url: str
    file: Path
    clients: list[Client]
    metrics: list[Metrics]
    workers: list[Renewing]
    lines: list[Any] = field(default_factory=list)

    def age(self, share: float, text: str = OLD) -> None:
        """Make a token older by this share of its life: it is due at two thirds, and has long to live all the same."""
        token = self.world.people.known(text)
        assert token is not None
        by = share * (token.expires - token.created)
        token.created -= by
        token.expires -= by

    async def looked(self, times: int = 3) -> None:
        """Wait until somebody looked at the token so often."""
        enough = self.world.requests[LOOK] + times
        await until("a look", lambda: self.world.requests[LOOK] >= enough)

    @property
    def token(self) -> str:
        return self.file.read_text().strip()

    @property
    def issued(self) -> list[Any]:
        """Tokens that were made by renewal."""
        return [token for token in self.world.people.tokens.values() if token.label == "orchbridge"]

    def counted(self, worker: int = 0) -> dict[str, float]:
        values = {
            name: self.metrics[worker].value("orchbridge_token_renewals_total", "prod", name) for name in RENEWALS
        }
        return {name: value for name, value in values.items() if value}


@asynccontextmanager
async def desk(
    folder: Path, life_s: float, *, lags: Sequence[float] = (0.0,), suffix: str = "", **knobs: str
) -> AsyncIterator[Desk]:
    """Simulator and workers, one for each of the lags, that look after one token file."""
    world = World("empty:nodes=2", knobs=Knobs(**knobs), start=time.time())
    file = folder / "token"
    file.write_text(f"{OLD}{suffix}\n")
    file.chmod(0o640)
    async with served(world, token="not this one") as url:
        world.people.issue(world.people.users["ops"], life_s, world.advance(0.01), OLD)
        clients = [Client(Access("prod", url, token_file=file, rbac_url=url)) for _ in lags]
        metrics = [Metrics() for _ in lags]
        crew = [
            Renewing([Renewable("prod", file)], {"prod": client}, counts, partial(float, lag))
            for client, counts, lag in zip(clients, metrics, lags, strict=True)
        ]
        found = Desk(world, url, file, clients, metrics, crew)
        with capture_logs() as lines:
            found.lines = lines
            async with contextlib.AsyncExitStack() as stack:
                for client, worker in zip(clients, crew, strict=True):
                    await stack.enter_async_context(client)
                    await stack.enter_async_context(worker.working())
                yield found
        assert OLD not in repr(lines)
        assert not any(token.text in repr(lines) for token in found.issued)


@asynccontextmanager
async def caring(found: Desk, file: Path) -> AsyncIterator[Client]:
    """One more worker, that reads this file."""
    async with Client(Access("prod", found.url, token_file=file, rbac_url=found.url)) as client:
        async with Renewing([Renewable("prod", file)], {"prod": client}, Metrics(), partial(float, 0)).working():
            yield client


async def test_it_outlives_its_first_token_and_the_next_ones(folder: Path) -> None:
    async with desk(folder, LIFE_S) as found:
        for number in range(3):
            before = found.token
            await found.looked()
            found.age(0.65, before)
            await found.looked()
            assert len(found.issued) == number, "not before two thirds"
            assert isinstance(await found.clients[0].answer(JobsPage(1)), Page)
            found.age(0.02, before)
            await renewals(found, number + 1)
            assert found.token == found.issued[number].text
            found.age(1.0, before)  # it has ended
            assert isinstance(await found.clients[0].answer(JobsPage(1)), Page)
        assert [token.expires - token.created for token in found.issued] == pytest.approx([LIFE_S] * 3)
        assert {token.user.login for token in found.issued} == {"ops"}
        assert "POST auth/token" not in found.world.requests, "never a login"
        old = found.world.people.known(OLD)
        assert old is not None
        assert not old.revoked
        assert stat.S_IMODE(found.file.stat().st_mode) == 0o640
        assert names(folder) == ["token"]


async def renewals(found: Desk, number: int, worker: int = 0) -> None:
    """Wait for so many renewals of one worker, and nothing else that it counts."""
    await until("the renewal", lambda: found.counted(worker) == {"renewed": number})


async def test_of_two_workers_with_one_file_one_renews_and_both_use_it(folder: Path) -> None:
    async with desk(folder, LIFE_S, lags=(0.0, 1.0)) as found:
        found.age(0.67)
        await renewals(found, 1)
        assert found.token == found.issued[0].text
        await found.looked(4)
        assert found.counted(1) == {}, "whoever is later finds a fresh one"
        for worker in found.workers:
            due = worker.due("prod")
            assert due is not None
            assert due - time.time() == pytest.approx(LIFE_S * 2 / 3, abs=LIFE_S * renewing.SPREAD + 30)
        found.age(1.0)
        for client in found.clients:
            assert isinstance(await client.answer(JobsPage(1)), Page)
        assert len(found.issued) == 1


async def test_also_at_the_same_moment_one_token_comes_of_it(folder: Path) -> None:
    async with desk(folder, LIFE_S, lags=(0.0, 0.0, 0.0)) as found:
        found.age(0.7)
        await until("the end of it", lambda: any(found.counted(number).get("renewed") for number in range(3)))
        await found.looked(9)
        (left,) = [token for token in found.issued if not token.revoked]
        assert found.token == left.text
        outcomes = [outcome for number in range(3) for outcome in found.counted(number)]
        assert sorted(outcomes) == ["renewed", *["superseded"] * (len(found.issued) - 1)]


OTHER = "0the0other0token"


async def test_each_worker_keeps_a_file_of_its_own_alive(folder: Path) -> None:
    """Also one that stands by: it needs its token on the day it takes over."""
    file = folder / "other"
    file.write_text(f"{OTHER}\n")
    async with desk(folder, LIFE_S) as found:
        people = found.world.people
        people.issue(people.users["ada"], LIFE_S, found.world.course.now, OTHER)
        async with caring(found, file):
            found.age(0.7)
            found.age(0.7, OTHER)
            await renewals(found, 1)
            await until("the other's", lambda: file.read_text().strip() != OTHER)
        assert {found.token, file.read_text().strip()} == {token.text for token in found.issued}
        assert {token.user.login for token in found.issued} == {"ops", "ada"}


async def test_a_right_that_is_missing_keeps_no_token_from_being_renewed(folder: Path) -> None:
    """A stream that is parked for it waits for a person, and the others need the token."""
    async with desk(folder, LIFE_S) as found:
        token = found.world.people.known(OLD)
        assert token is not None
        token.user = found.world.people.users["nobody"]
        with pytest.raises(Denied):
            await found.clients[0].answer(JobsPage(1))
        assert not found.clients[0].changed()
        found.age(0.7)
        await renewals(found, 1)


@pytest.mark.parametrize("how", ["revoked", "locked", "ended"])
async def test_where_the_token_is_refused_nothing_is_asked_until_a_person_has_changed_it(
    folder: Path, how: str
) -> None:
    async with desk(folder, LIFE_S) as found:
        await until("a look", lambda: found.workers[0].due("prod"))
        token = found.world.people.known(OLD)
        assert token is not None
        if how == "ended":
            found.age(1.1)
        elif how == "revoked":
            token.revoked = True
        else:
            token.user.about["is_revoked"] = True
        await until("the end of the plan", lambda: found.workers[0].due("prod") is None)
        with pytest.raises(Denied):
            await found.clients[0].answer(JobsPage(1))
        await asyncio.sleep(0.1)
        before = found.world.requests.total()
        await asyncio.sleep(0.3)
        assert found.world.requests.total() == before
        assert RENEW not in found.world.requests
        assert "POST auth/token" not in found.world.requests, "never a login"
        assert found.counted() == {}


async def test_a_look_without_an_answer_is_followed_by_another_one_soon(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "ASK_S", 3600.0)
    async with desk(folder, LIFE_S, faults="503") as found:
        await until("two looks", lambda: found.counted().get("unreachable", 0) >= 2)
        found.age(0.7)
        found.world.knobs = found.world.knobs.turned({"faults": "none"})
        await until("the renewal", lambda: found.counted().get("renewed") == 1)
        told = [line["outcome"] for line in found.lines if line["event"] == "token.not_renewed"]
        assert told == ["unreachable"], "once for all of them"


async def test_a_look_that_is_refused_is_told_for_nobody_else_would_learn_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise errors.NotFound("no such place", status=404, hint="ask an older version less")

    async with desk(folder, LIFE_S) as found:
        await until("a look", lambda: found.workers[0].due("prod"))
        monkeypatch.setattr(found.clients[0].tokens, "inspect", refused)
        await until("two looks", lambda: found.counted().get("refused", 0) >= 2)
        (line,) = [line for line in found.lines if line["event"] == "token.not_renewed"]
        assert (line["outcome"], line["hint"]) == ("refused", "ask an older version less")
        assert found.workers[0].due("prod"), "what was known of it stays"


def test_looks_become_rarer_but_for_a_token_that_lives_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "AGAIN_S", 10.0)
    monkeypatch.setattr(renewing, "ASK_S", 3600.0)
    post = Renewing([Renewable("prod", Path("token"))], {}, Metrics())._posts["prod"]
    assert [post.again_s() for _ in range(20)][-1] == 3600.0
    post.span_s = 1200.0
    assert post.again_s() == 100.0


async def test_a_worker_that_carries_nothing_learns_soon_of_a_token_that_somebody_put_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "ASK_S", 3600.0)
    async with desk(folder, LIFE_S) as found:
        await until("a look", lambda: found.workers[0].due("prod"))
        before = found.workers[0].due("prod")
        found.world.people.issue(found.world.people.users["ops"], 9 * LIFE_S, found.world.course.now, BY_HAND)
        found.file.write_text(f"{BY_HAND}\n")
        await until("the other's time", lambda: found.workers[0].due("prod") != before)
        assert found.workers[0].due("prod") == pytest.approx(time.time() + 6 * LIFE_S, abs=60)


async def test_a_bug_of_ours_is_counted_and_told_by_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(OLD)

    async with desk(folder, LIFE_S) as found:
        monkeypatch.setattr(renewing, "ASK_S", 3600.0)
        found.age(0.7)
        monkeypatch.setattr(found.clients[0].tokens, "renew", broken)
        await until("the end of it", found.counted)
        assert found.counted() == {"internal": 1}
        (line,) = [line for line in found.lines if line["event"] == "token.not_renewed"]
        assert line["at"].startswith("cli/renewing.py:")
        assert line["error"] == "RuntimeError"


async def test_what_keeps_it_from_being_kept_alive_stays(folder: Path) -> None:
    async with desk(folder, LIFE_S, suffix="|no_keepalive") as found:
        found.age(0.7)
        await renewals(found, 1)
        assert found.token == f"{found.issued[0].text}|no_keepalive"


@pytest.mark.parametrize("life", ["long", "untold"])
async def test_what_need_not_or_cannot_be_renewed_is_not(
    folder: Path, life: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "ASK_S", 3600.0)
    async with desk(folder, 3600.0) as found:
        if life == "untold":
            found.file.write_text("not this one")
            found.world.knobs = found.world.knobs.turned({"token_life": "untold"})
        await asyncio.sleep(0.5)
        assert found.issued == []
        assert found.world.requests["POST auth/token/authenticate"] <= 2


async def test_a_refusal_is_said_and_tried_again_a_few_times_at_most(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def refused(*_: object, **__: object) -> None:
        asked.append(time.monotonic())
        raise errors.NotPermitted("no", status=403)

    async with desk(folder, 24.0) as found:
        found.age(0.7)
        monkeypatch.setattr(found.clients[0].tokens, "renew", refused)
        await until("a second try", lambda: found.counted() == {"refused": 2})
        assert asked[1] - asked[0] >= 2.0, "a twelfth of the life lies between"
        assert found.token == OLD
        assert names(folder) == ["token"], "nothing is left behind"
        (line, *_) = [line for line in found.lines if line["event"] == "token.not_renewed"]
        assert line["outcome"] == "refused"


async def test_after_its_end_nothing_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "FIRST_S", 0.5)
    async with desk(folder, 0.2) as found:
        await asyncio.sleep(1.0)
        assert found.issued == []
        assert RENEW not in found.world.requests
        assert found.counted() == {}
        assert "POST auth/token" not in found.world.requests


async def test_a_folder_that_cannot_be_written_to_is_said_once_and_nothing_is_issued(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "AGAIN_S", 0.1)
    monkeypatch.setattr(renewing, "AGAIN_MAX_S", 0.1)
    async with desk(folder, LIFE_S) as found:
        found.age(0.7)
        found.file.chmod(0o644)
        folder.chmod(0o555)  # noqa: ASYNC240
        with other_user():
            await until("a few tries", lambda: found.counted().get("unwritable", 0) >= 2)
        assert found.issued == [], "a token that could not be kept is not asked for"
        (line,) = [line for line in found.lines if line["event"] == "token.not_renewed"]
        assert "renew_token = false" in line["hint"]
        assert found.token == OLD
        folder.chmod(0o755)  # noqa: ASYNC240


async def test_one_that_came_when_another_was_put_there_is_revoked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(folder, LIFE_S) as found:
        found.age(0.7)
        by_hand(found, monkeypatch)
        await until("the end of it", found.counted)
        assert found.counted() == {"superseded": 1}
        assert found.token == BY_HAND
        assert [token.revoked for token in found.issued] == [True]
        assert [line["event"] for line in found.lines if "token." in line["event"]] == ["token.superseded"]
        assert isinstance(await found.clients[0].answer(JobsPage(1)), Page)


@pytest.mark.parametrize("revocable", [True, False])
async def test_one_that_cannot_be_kept_is_revoked_or_accounted_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, revocable: bool
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise errors.NotPermitted("not yours", status=403)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with desk(folder, LIFE_S) as found:
        found.age(0.7)
        monkeypatch.setattr(token_file.os, "replace", full)
        if not revocable:
            monkeypatch.setattr(found.clients[0].tokens, "revoke", refused)
        await until("the end of it", found.counted)
        outcome = "unwritable" if revocable else "left_behind"
        assert found.counted() == {outcome: 1}
        assert found.token == OLD
        assert [token.revoked for token in found.issued] == [revocable]
        (line,) = [line for line in found.lines if line["event"] == "token.not_renewed"]
        assert line["outcome"] == outcome
        assert "No space left" in line["error"]
        assert ("not yours" in line["error"], "label orchbridge" in line["hint"]) == (not revocable, not revocable)
        assert names(folder) == ["token"]


async def test_one_that_is_in_the_file_is_not_revoked_for_a_disk_that_fails_afterwards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(token_file, "_settle", failing)
    async with desk(folder, LIFE_S) as found:
        found.age(0.7)
        await renewals(found, 1)
        assert found.token == found.issued[0].text
        assert not found.issued[0].revoked


BY_HAND = "0by0hand"


def by_hand(found: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a person put another token into the file while one is made."""
    tokens, world = found.clients[0].tokens, found.world
    renew = tokens.renew

    async def meanwhile(**given: Any) -> Any:
        issued = await renew(**given)
        world.people.issue(world.people.users["ops"], LIFE_S, world.course.now, BY_HAND)
        found.file.write_text(f"{BY_HAND}\n")
        return issued

    monkeypatch.setattr(tokens, "renew", meanwhile)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class other_user:  # noqa: N801 - reads like the block it is
    """Be somebody else where we are root, whom no mode keeps out."""

    def __enter__(self) -> None:
        if os.getuid() == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from orchbridge.cli import renewing
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator import Access, Client
renewing.FIRST_S, renewing.LOOK_S = 0.0, 0.02
url, file = sys.argv[1], Path(sys.argv[2])
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
async def main():
    async with Client(Access("prod", url, token_file=file, rbac_url=url)) as client:
        worker = renewing.Renewing([renewing.Renewable("prod", file)], {"prod": client}, Metrics(), lambda: 0.0)
        async with worker.working():
            await asyncio.sleep(20)
asyncio.run(main())
"""


async def test_killed_between_the_answer_and_the_rename_the_old_one_goes_on(folder: Path) -> None:
    async with desk(folder, LIFE_S, lags=()) as found:
        found.age(0.7)
        arguments = [sys.executable, "-c", KILLED, found.url, str(found.file)]
        done = await asyncio.to_thread(subprocess.run, arguments, timeout=30, check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(found.issued) == 1
        assert found.token == OLD
        (left,) = folder.glob(f".token.*{SUFFIX}")  # noqa: ASYNC240
        assert stat.S_IMODE(left.stat().st_mode) & 0o007 == 0
        os.utime(left, (0, 0))
        async with caring(found, found.file) as client:
            assert isinstance(await client.answer(JobsPage(1)), Page)
            await until("the next one's renewal", lambda: found.token != OLD)
        assert found.token == found.issued[-1].text
        assert names(folder) == ["token"], "what was left is gone"


async def test_a_token_that_a_person_put_meanwhile_stays(folder: Path) -> None:
    file = folder / "token"
    file.write_text("old\n")
    with replacing(file) as put:
        file.write_text("by hand\n")
        assert put("renewed") is False
    assert file.read_text() == "by hand\n"
    assert names(folder) == ["token"]


async def test_a_link_stays_a_link(folder: Path) -> None:
    (folder / "real").write_text("old\n")
    (folder / "token").symlink_to(folder / "real")
    with replacing(folder / "token") as put:
        assert put("renewed")
    assert (folder / "token").is_symlink()
    assert (folder / "real").read_text() == "renewed\n"


async def test_every_outcome_is_there_before_anything_happens(folder: Path) -> None:
    async with desk(folder, 3600.0) as found:
        values = [found.metrics[0].value("orchbridge_token_renewals_total", "prod", name) for name in RENEWALS]
        assert values == [0.0] * len(RENEWALS)


def test_check_says_whether_it_could_be_renewed(folder: Path) -> None:
    (folder / "token").write_text("old\n")
    (folder / "token").chmod(0o644)
    table = {"name": "prod", "url": "https://127.0.0.1:1", "token_file": folder / "token"}
    assert renewal.inspect(Source.model_validate(table)) == []
    source = Source.model_validate({**table, "renew_token": True})
    assert [each.level for each in renewal.inspect(source)] == ["ok"]
    assert names(folder) == ["token"]
    folder.chmod(0o555)
    with other_user():
        (finding,) = renewal.inspect(source)
    assert finding.level == "failed"
    assert "renew_token = false" in finding.hint
    folder.chmod(0o755)
