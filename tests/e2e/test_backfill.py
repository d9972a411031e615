"""A backfill of some thousand events into Kafka, killed again and again, while live jobs go on beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

import httpx
import pytest

from tests.chaos.reading import Follower
from tests.e2e.programs import consumed, get, running, simulator, wait_until
from tests.e2e.test_run_kafka import CONFIG
from tests.oracle import facts, judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

JOBS, EVENTS = 240, 20
POLL_S = 0.5


@contextlib.contextmanager
def deploying(url: str, every_s: float) -> Iterator[list[str]]:
    """Start a small job every so often while the block runs; yields their numbers."""
    ending, started = threading.Event(), list[str]()
    headers = {"X-Authentication": "letmein"}

    def deploy() -> None:
        with httpx.Client(base_url=f"{url}/orchestrator/v1", headers=headers, trust_env=False) as client:
            nodes = [item["name"] for item in client.get("/inventory").json()["items"]][:2]
            while not ending.wait(every_s):
                body = {"environment": "production", "scope": {"nodes": nodes}}
                started.append(client.post("/command/deploy", json=body).json()["job"]["name"])

    thread = threading.Thread(target=deploy)
    thread.start()
    try:
        yield started
    finally:
        ending.set()
        thread.join()


def backfill(address: str) -> tuple[str, int]:
    """Return the backfill's state, and how many jobs are done."""
    streams = get(address, "/status.json").json()["sources"][0]["streams"]
    row = next(stream for stream in streams if stream["kind"] == "jobs-backfill")
    return row["state"], (row["view"]["progress"] or {}).get("done", 0)


def waits(follower: Follower, truth: Path, first: float, last: float) -> list[float]:
    """Return how long live events took from becoming visible to a read-committed consumer, between two moments."""
    lines = [json.loads(line) for line in truth.read_text().splitlines(keepends=True) if line.endswith("\n")]
    start = datetime.fromisoformat(lines[0]["start"]).timestamp()
    visible = {
        f"e1:job/{fact['job']}/event/{fact['id']}": start + fact["at"]
        for fact in lines[1:]
        if fact["fact"] == "job_event" and fact["at"] > 0
    }
    return [
        follower.arrivals[id_] - at for id_, at in visible.items() if first < at < last and id_ in follower.arrivals
    ]


def test_killed_during_a_backfill_nothing_is_lost_or_doubled_and_live_jobs_do_not_wait(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    truth = tmp_path / "truth.log"
    with simulator(tmp_path, f"backlog:jobs={JOBS},events={EVENTS}") as (url, _):
        path = tmp_path / "config.toml"
        text = CONFIG.format(url=url, folder=tmp_path, bootstrap=kafka, prefix=prefix)
        path.write_text(text.replace("[sink]", "requests_per_s = 80\n\n[sink]", 1))
        with deploying(url, 0.7) as started:
            for turn, part in enumerate((1, 20, 40, 60)):
                with running(tmp_path / f"run{turn}.out", "run", "-c", str(path)) as program:
                    address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
                    wait_until("a part of it", lambda address=address, part=part: backfill(address)[1] >= part)  # type: ignore[misc]
                    time.sleep(chance.uniform(0.0, 1.0))  # a random moment is what is tested
            with running(tmp_path / "last.out", "run", "-c", str(path)) as program:
                address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
                program.wait_for("stream.claimed.*prod/jobs-backfill", 60)
                before = backfill(address)
                took, ends = asyncio.run(_followed(kafka, prefix, address))
                begun = ends[0] + 2 * POLL_S + 1.0
                told = waits(took, truth, begun, ends[1])
                assert get(address, "/readyz").status_code == 200
        with running(tmp_path / "after.out", "run", "-c", str(path)) as program:
            program.wait_for("stream.done", 60)
            until = facts(truth)[-1]["at"] - 0.5
            wait_until(
                "everything", lambda: judge(facts(truth), asyncio.run(consumed(kafka, f"{prefix}.prod")), until=until)
            )
            assert program.end() == 0
    verdict = judge(facts(truth), asyncio.run(consumed(kafka, f"{prefix}.prod")), until=until)
    assert verdict.well, str(verdict)
    assert verdict.events > JOBS * EVENTS
    cuts = quantiles(told, n=20, method="inclusive")
    print(
        f"{JOBS} jobs of history, {before[1]} done at the last start, {ends[1] - ends[0]:.1f} s for the rest; "
        f"{len(started)} live jobs, {len(told)} live events meanwhile: median {median(told):.2f} s, "
        f"p95 {cuts[18]:.2f} s, worst {max(told):.2f} s at a poll interval of {POLL_S} s"
    )
    assert median(told) < 3 * POLL_S + 1.0


async def _followed(kafka: str, prefix: str, address: str) -> tuple[Follower, tuple[float, float]]:
    """Read along until the backfill is done; return what came, and from when to when that was."""
    follower = Follower(kafka, f"{prefix}.prod")
    following = asyncio.create_task(follower.follow())
    began = time.time()
    await asyncio.to_thread(wait_until, "its end", lambda: backfill(address)[0] == "done", 120)
    ended = time.time()
    await asyncio.sleep(2.0)
    following.cancel()
    await asyncio.wait([following])
    return follower, (began, ended)
