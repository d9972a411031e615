"""Several `orchbridge run` processes of one configuration: they share, take over, wake up, hand over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from orchbridge.ops.status import PATIENCE_S
from tests.broker import Broker
from tests.e2e.programs import Program, consumed, get, running, simulator, wait_until
from tests.e2e.test_run_kafka import config
from tests.oracle import Verdict, facts, judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SESSION_S, TRANSACTION_S = 6.0, 15.0
BUSY_S = 4.0  # docs/reliability.md has what it takes; here three workers, a broker and the tests share the cores
STREAMS = {"jobs", "plans", "inventory"}  # what reads history beside them is done after seconds


class Worker:
    """One process: what it said, and what its endpoints say."""

    def __init__(self, name: str, program: Program) -> None:
        self.name, self.program = name, program

    @property
    def address(self) -> str:
        return self.program.wait_for(r'"http": "(http://[^"]+?)/"')[1]

    def streams(self) -> dict[str, dict[str, Any]]:
        return {row["kind"]: row for row in get(self.address, "/status.json").json()["sources"][0]["streams"]}

    def owned(self) -> set[str]:
        return {kind for kind, row in self.streams().items() if row["role"] == "owner"} & STREAMS

    def live(self) -> set[str]:
        return {kind for kind, row in self.streams().items() if row["state"] == "live"} & STREAMS

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.program.text.splitlines() if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def claimed_after(self, moment: float) -> dict[str, float]:
        """Return when each stream was claimed first after a moment (Unix seconds)."""
        found: dict[str, float] = {}
        for line in self.lines("stream.claimed"):
            at = datetime.fromisoformat(line["timestamp"]).timestamp()
            if at > moment:
                found.setdefault(line["stream"].partition("/")[2], at)
        return found


@contextlib.contextmanager
def crew(folder: Path, path: Path, *names: str) -> Iterator[list[Worker]]:
    with contextlib.ExitStack() as stack:
        yield [
            Worker(name, stack.enter_context(running(folder / f"{name}.out", "run", "-c", str(path)))) for name in names
        ]


def shared(*workers: Worker) -> bool:
    """Whether each stream is live on exactly one of them, and nobody idles where there is one for everybody."""
    live = [worker.live() for worker in workers]
    return sorted(kind for some in live for kind in some) == sorted(STREAMS) and all(live[: len(STREAMS)])


def taken_over(orphans: set[str], since: float, *heirs: Worker) -> dict[str, float]:
    """Return how many seconds after `since` each orphan was claimed by an heir, once all were."""

    def claims() -> dict[str, float]:
        found: dict[str, float] = {}
        for heir in heirs:
            for kind, at in heir.claimed_after(since).items():
                found[kind] = min(at - since, found.get(kind, at - since))
        return {kind: at for kind, at in found.items() if kind in orphans}

    wait_until("the takeover", lambda: claims().keys() == orphans, 40)
    return claims()


def verdict(folder: Path, bootstrap: str, prefix: str, until: float) -> Verdict:
    seen = asyncio.run(consumed(bootstrap, f"{prefix}.prod"))
    return judge(facts(folder / "truth.log"), seen, until=until)


def delivered(folder: Path, bootstrap: str, prefix: str) -> None:
    """Fail unless everything that happened until now arrives, once and in order."""
    log = folder / "truth.log"
    wait_until("enough to judge", lambda: verdict(folder, bootstrap, prefix, facts(log)[-1]["at"]).events > 50, 60)
    until = facts(log)[-1]["at"] - 1.0
    wait_until("everything", lambda: verdict(folder, bootstrap, prefix, until), 60)
    found = verdict(folder, bootstrap, prefix, until)
    assert found.well, str(found)


def test_one_is_killed_and_the_others_take_over(kafka: str, prefix: str, tmp_path: Path) -> None:
    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url, kafka, prefix)
        with crew(tmp_path, path, "a", "b") as (a, b):
            wait_until("two share", lambda: shared(a, b))
            with crew(tmp_path, path, "c") as (c,):
                wait_until("three share", lambda: shared(a, b, c))
                assert [get(worker.address, "/readyz").status_code for worker in (a, b, c)] == [200] * 3
                owners = {row["owner"] for worker in (a, b, c) for row in worker.streams().values()}
                assert len(owners) == 3, "each tells the same three names"
                for victim, heirs in ((a, (b, c)), (b, (c,))):
                    orphans, killed = victim.owned(), time.time()
                    victim.program.kill()
                    took = taken_over(orphans, killed, *heirs)
                    print(f"takeover after SIGKILL of {victim.name}: {max(took.values()):.2f} s {took}")
                    assert max(took.values()) < SESSION_S + 2.0 + BUSY_S
                    wait_until("the rest share", lambda heirs=heirs: shared(*heirs))  # type: ignore[misc]
                delivered(tmp_path, kafka, prefix)


def test_one_is_frozen_and_lets_go_when_it_wakes_up(kafka: str, prefix: str, tmp_path: Path) -> None:
    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url, kafka, prefix)
        with crew(tmp_path, path, "a", "b") as (a, b):
            wait_until("two share", lambda: shared(a, b))
            orphans, frozen = a.owned(), time.time()
            a.program.process.send_signal(signal.SIGSTOP)
            took = taken_over(orphans, frozen, b)
            print(f"takeover after SIGSTOP: {max(took.values()):.2f} s")
            time.sleep(max(0.0, frozen + TRANSACTION_S + 2.0 - time.time()))  # what is tested is that it sleeps on
            assert b.live() == STREAMS
            a.program.process.send_signal(signal.SIGCONT)
            woken = time.time()
            wait_until("it takes its share again", lambda: shared(a, b) and a.claimed_after(woken), 40)
            print(f"share again after SIGCONT: {time.time() - woken:.2f} s")
            assert not a.lines("stream.parked") + b.lines("stream.parked"), "nobody fights"
            delivered(tmp_path, kafka, prefix)
            assert [a.program.end(), b.program.end()] == [0, 0]


def test_one_that_is_asked_to_stop_hands_over_at_once(kafka: str, prefix: str, tmp_path: Path) -> None:
    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url, kafka, prefix)
        with crew(tmp_path, path, "a", "b") as (a, b):
            wait_until("two share", lambda: shared(a, b))
            orphans, asked = a.owned(), time.time()
            assert a.program.end() == 0
            took = taken_over(orphans, asked, b)
            print(f"takeover after SIGTERM: {max(took.values()):.2f} s")
            assert max(took.values()) < SESSION_S - 0.5, "it left, so nobody waits for its session to end"
            delivered(tmp_path, kafka, prefix)
            assert b.program.end() == 0


def test_workers_that_were_there_before_kafka_share_as_if_it_had_been_there(
    run_broker: Callable[..., AbstractContextManager[Broker]], tmp_path: Path
) -> None:
    """Each of them waited in the name of every stream; what it is not given in the end it does not worry about."""
    with run_broker() as broker, simulator(tmp_path, "demo") as (url, _):
        broker.stop()
        path = config(tmp_path, url, broker.bootstrap, "late")
        with crew(tmp_path, path, "a", "b") as workers:
            for worker in workers:
                wait_until("it waits", lambda worker=worker: worker.lines("stream.stumbled"))  # type: ignore[misc]
            broker.start()
            wait_until("two share", lambda: shared(*workers), 60)
            for worker in workers:
                told = {kind: row for kind, row in worker.streams().items() if kind in STREAMS}
                idle = {kind: row["state"] for kind, row in told.items() if kind not in worker.live()}
                assert set(idle.values()) <= {"standby"}, idle
                lags = re.findall(
                    r'orchbridge_lag_seconds\{source="prod",stream="(\w+)"\}', get(worker.address, "/metrics").text
                )
                assert set(lags) & STREAMS == worker.live()
            time.sleep(PATIENCE_S + 2.0)  # what nobody laps is told of only then
            assert [get(worker.address, "/readyz").status_code for worker in workers] == [200, 200]
