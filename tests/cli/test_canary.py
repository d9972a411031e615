"""The canary: what arrives is measured, what does not is counted by its reason, and nothing it meets harms a stream."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.cli.canary import Errand, flight, keeper
from orchbridge.cli.canary.flight import Flown
from orchbridge.cli.canary.perch import Perch
from orchbridge.cli.run import bridge
from orchbridge.config import load
from orchbridge.core.batch import Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import Share, StreamId
from orchbridge.core.records import JOBS, Record
from orchbridge.ops import chores
from orchbridge.ops.catalogue import CANARY_REASONS
from orchbridge.orchestrator import Access, Client
from orchbridge.orchestrator.api import starting
from orchbridge.orchestrator.models import Scope
from orchbridge.runtime.stop import Stop
from orchbridge.sim.rows import Agent
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.cli.birds import QUICK, STREAM, nest, until
from tests.orchestrator.lossy import losing
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as door_of


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with nodes that succeed, and looks that come soon."""
    monkeypatch.setattr(keeper, "FIRST_S", 0.0)
    monkeypatch.setattr("orchbridge.sim.drafts.FAILING", 0.0)
    monkeypatch.setattr(starting, "LOOKS_S", (0.0, 0.05, 0.1))
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.01))


def errand(**more: Any) -> Errand:
    return replace(Errand("prod", "facts", ("node01.example.com",), interval_s=600.0, timeout_s=20.0), **more)


def nodes_of(scenario: str = QUICK) -> tuple[str, ...]:
    world = World(scenario)
    world.advance(0.0)
    return tuple(sorted(world.agents)[:2])


async def test_it_arrives_and_the_time_is_from_the_command_to_the_commit() -> None:
    began = time.time()
    async with nest(errand(nodes=nodes_of())) as found:
        await until("the canary", lambda: found.last_success)
        (job,) = found.jobs
        mine = [record for record in found.store.records if record.key == str(job)]
        assert "job.summary.v1" in [record.type for record in mine]
        assert sum(record.type == "job.node.finished.v1" for record in mine) == 2
        assert found.failures == {}
        assert found.flown == 1
        (line,) = found.told("canary.landed")
        assert line["job"] == job
        assert 0.1 < line["seconds"] < time.time() - began
        assert began < (found.last_success or 0) <= time.time()
        assert found.metrics.value("orchbridge_canary_interval_seconds", "prod") == 600.0


async def test_every_reason_is_there_before_anything_happens() -> None:
    async with nest(errand(), carried=False) as found:
        zeros = [found.metrics.value("orchbridge_canary_failures_total", "prod", each) for each in CANARY_REASONS]
        assert zeros == [0] * len(CANARY_REASONS)
        text = found.metrics.text("")[0].decode()
        assert 'orchbridge_canary_seconds_count{source="prod"} 0' in text
        assert found.last_success is None
        await asyncio.sleep(0.2)
        assert found.jobs == [], "whoever does not carry the stream sends none"


@pytest.mark.parametrize(
    ("reason", "more", "how"),
    [
        ("refused", {"task": "no::such"}, ""),
        ("refused", {"environment": "nowhere"}, ""),
        ("denied", {"task": "lockdown::wipe", "params": {"device": "hunter2"}}, ""),
        ("uncertain", {"timeout_s": 20.0}, "stalls before"),
        ("uncertain", {}, "never arrives"),
        ("unreachable", {}, "refused 500 before"),
        ("timeout", {"timeout_s": 1.0}, ""),
        ("failed", {"nodes": ("gone.example.com",)}, ""),
    ],
)
async def test_what_does_not_arrive_is_counted_by_its_reason(reason: str, more: dict[str, Any], how: str) -> None:
    asked = errand(**{"nodes": nodes_of(), **more})
    slow = "empty:nodes=4,shortest=30,longest=60"
    scenario = slow if reason == "timeout" else QUICK
    async with nest(asked, how=how, scenario=scenario, read_s=0.5 if "stalls" in how else 30.0) as found:
        if reason == "failed":
            found.world.agents["gone.example.com"] = Agent("gone.example.com", False, None, 0.0)
        await until("the failure", lambda: found.failures)
        assert found.failures == {reason: 1}
        (line,) = found.told("canary.failed")
        assert line["reason"] == reason
        assert line["error"]
        assert "hunter2" not in repr(found.lines)
        assert found.last_success is None
        assert found.flown == 0


async def test_what_is_committed_but_not_whole_has_not_arrived() -> None:
    flown = flight._judged(flight.Landed("success", complete=False), Flown(seconds=1.0, job=3))
    assert flown.reason == "incomplete"
    assert flight._judged(flight.Landed("success", complete=True), Flown(seconds=1.0, job=3)).reason == ""
    assert flight._judged(flight.Landed("stopped", complete=True), Flown(seconds=1.0, job=3)).reason == "failed"


async def test_a_sink_that_takes_nothing_fails_it_in_time() -> None:
    async with nest(errand(nodes=nodes_of(), timeout_s=1.5)) as found:
        held = asyncio.Event()

        async def hold(_: StreamId, batch: Batch) -> None:
            if any(record.type == "job.summary.v1" for record in batch.records):
                await held.wait()

        found.store.before = hold
        await until("the failure", lambda: found.failures)
        assert found.failures == {"timeout": 1}
        held.set()


async def test_a_commit_whose_answer_was_lost_is_an_arrival_once_the_sink_remembers_it() -> None:
    async with nest(errand(nodes=nodes_of(), timeout_s=8.0)) as found:
        lost: list[int] = []

        async def lose(_: StreamId, batch: Batch) -> None:
            if any(record.type == "job.summary.v1" for record in batch.records) and not lost:
                lost.append(1)
                raise SinkLost("no answer")

        found.store.after = lose
        await until("the canary", lambda: found.last_success)
        assert lost
        assert found.failures == {}


@pytest.mark.parametrize("how", ["reset", "stalls", "502"])
async def test_after_a_lost_answer_its_job_is_found_and_waited_for(how: str) -> None:
    async with nest(errand(nodes=nodes_of()), how=how, read_s=1.0) as found:
        await until("the canary", lambda: found.last_success)
        assert found.failures == {}
        assert len(found.jobs) == 1
        assert found.told("canary.landed")[0]["recovered"] is True


async def test_a_doubtful_one_is_not_sent_again_before_its_time() -> None:
    async with nest(errand(nodes=nodes_of()), how="stalls before", read_s=0.3) as found:
        await until("the failure", lambda: found.failures)
        found.lossy.how = ""
        await asyncio.sleep(0.5)
        assert found.failures == {"uncertain": 1}
        assert sum("/command/task" in line for line in found.lossy.heard) == 1


async def test_there_are_never_two_at_a_time() -> None:
    slow = "empty:nodes=4,shortest=30,longest=60"
    async with nest(errand(nodes=nodes_of(slow), timeout_s=0.7, interval_s=0.8), scenario=slow) as found:
        await until("the second", lambda: len(found.told("canary.failed")) > 2)
        assert [line["reason"] for line in found.told("canary.failed")][:3] == ["timeout", "busy", "busy"]
        assert len(found.jobs) == 1


async def test_one_that_nobody_here_sent_and_that_hangs_is_counted_when_it_is_seen_again() -> None:
    """Its command got no answer, so it looks like another worker's; those end within an interval."""
    slow = "empty:nodes=4,shortest=30,longest=60"
    async with nest(errand(nodes=nodes_of(slow), interval_s=0.5), scenario=slow, carried=False) as found:
        scope = Scope(nodes=nodes_of(slow))
        async with Client(Access("prod", found.lossy.url, token="letmein")) as somebody:
            job = (await somebody.commands.task("facts", {}, scope, description=flight.MARK)).id
        found.owning.claimed(STREAM, None)
        await until("the failure", lambda: found.failures)
        assert len(found.told("canary.skipped")) == 1
        (line,) = found.told("canary.failed")
        assert (line["reason"], line["job"]) == ("busy", job)
        assert found.jobs == [job]


async def test_one_that_flies_is_seen_behind_whatever_was_started_since() -> None:
    slow = "empty:nodes=4,shortest=30,longest=60"
    world = World(slow, start=time.time())
    asked = errand(nodes=nodes_of(slow))
    async with served(world, token="t") as url, Client(Access("prod", url, token="t", requests_per_s=1_000)) as client:

        async def sent(description: str) -> int:
            scope = Scope(nodes=asked.nodes)
            return (await client.commands.task("facts", {}, scope, description=description)).id

        ours = await sent(flight.MARK)
        for _ in range(101):
            await sent("somebody's")
        assert await flight._flying(client, asked, None) == ours, "a worker that has just started"
        assert await flight._flying(client, asked, ours) == ours
        assert await flight._flying(client, replace(asked, task="other"), None) is None
        assert await flight._flying(client, asked, 9_999) == ours, "a number that is not known says nothing"
        world.advance(time.time() + 90)
        await client.commands.stop(ours)
        assert (await client.jobs.get(ours)).over
        assert await flight._flying(client, asked, ours) is None
        assert await flight._flying(client, asked, None) is None
        theirs = await sent(flight.MARK)
        assert await flight._flying(client, asked, ours) == theirs, "another worker's, after ours"


async def test_without_one_that_is_known_the_list_is_read_back_for_one_interval() -> None:
    """A server that has thousands of jobs is not read through."""
    pages: list[int] = []

    def jobs(request: Request) -> Response:
        offset = int(request.query_params["offset"])
        pages.append(offset)
        items = [
            {"name": str(9_000 - n), "state": "finished", "created_timestamp": stamp(n * 10), "options": {}}
            for n in range(offset, offset + 100)
        ]
        return answering({"items": items, "pagination": {"total": 9_000}})

    def stamp(ago_s: int) -> str:
        return (datetime(2031, 5, 1, tzinfo=UTC) - timedelta(seconds=ago_s)).isoformat()

    async with door_of(jobs) as door, Client(Access("prod", door.url, token="t")) as client:
        assert await flight._flying(client, errand(interval_s=1_500.0), None) is None
    assert pages == [0, 100]


async def test_it_is_abandoned_without_a_failure_where_its_stream_moves() -> None:
    slow = "empty:nodes=4,shortest=30,longest=60"
    async with nest(errand(nodes=nodes_of(slow), interval_s=0.3), scenario=slow, carried=False) as found:
        found.owning.claimed(STREAM, None)
        await until("its start", lambda: found.jobs)
        found.owning.shared(Share(owned=frozenset()))
        await until("the end", lambda: found.told("canary.abandoned"))
        await asyncio.sleep(0.6)
        assert found.failures == {}
        assert len(found.jobs) == 1, "whoever does not carry the stream sends none"
        assert found.metrics.value("orchbridge_canary_interval_seconds", "prod") is None
        found.owning.claimed(STREAM, None)
        await until("it is seen that the other one flies", lambda: found.told("canary.skipped"))
        assert found.failures == {}
        assert len(found.jobs) == 1


async def test_it_is_abandoned_also_where_the_stream_comes_back_at_once() -> None:
    """What the other worker committed meanwhile nobody here has heard of."""
    slow = "empty:nodes=4,shortest=30,longest=60"
    async with nest(errand(nodes=nodes_of(slow)), scenario=slow, carried=False) as found:
        found.owning.claimed(STREAM, None)
        await until("its start", lambda: found.jobs)
        found.owning.revoked(STREAM, "moved")
        found.owning.claimed(STREAM, None)
        await until("the end", lambda: found.told("canary.abandoned"))
        assert found.failures == {}


async def test_outside_the_group_what_was_ours_stays_ours() -> None:
    async with nest(errand(nodes=nodes_of()), carried=False) as found:
        found.owning.claimed(STREAM, None)
        await until("its start", lambda: found.jobs)
        found.owning.shared(Share(owned=frozenset(), apart=ConnectionError("away")))  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        assert not found.told("canary.abandoned")


async def test_a_bug_of_the_canary_does_not_end_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(flight, "_judged", broken)
    async with nest(errand(nodes=nodes_of())) as found:
        await until("the failure", lambda: found.failures)
        assert found.failures == {"internal": 1}
        (line,) = found.told("canary.failed")
        assert re.fullmatch(r"RuntimeError at cli/canary/flight\.py:\d+ fly", line["error"])
        assert "hunter2" not in repr(found.lines)
        await until("the stream goes on", lambda: found.store.records)


async def test_parameters_are_in_no_text() -> None:
    secret = {"database": "d", "password": "hunter2", "path": 5}
    asked = errand(nodes=nodes_of(), task="dbx::dump", params=secret)
    assert "hunter2" not in repr(asked)
    async with nest(asked) as found:
        await until("the refusal", lambda: found.failures)
        assert found.failures == {"refused": 1}
        assert "hunter2" not in repr(found.lines)


CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token = "letmein"
poll_interval_s = 0.1
certificate_grace_s = 0.5

[sources.canary]
task = "facts"
nodes = {nodes}

[sink]
type = "jsonl"
directory = "records"

[http]
listen = "127.0.0.1:0"
"""


@pytest.mark.parametrize("sink", ["jsonl", "stdout"])
async def test_in_the_whole_program_all_of_it_is_in_the_sink_at_the_moment_it_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sink: str
) -> None:
    """What is not vouched for yet is not there."""
    moments: list[str] = []
    landed = chores.Canary.landed

    def looked(canary: chores.Canary, seconds: float, now: float) -> None:
        landed(canary, seconds, now)
        moments.append(vouched(tmp_path / "records") if sink == "jsonl" else capfd.readouterr().out)

    monkeypatch.setattr(chores.Canary, "landed", looked)
    world = World(QUICK, start=time.time())
    async with served(world, token="letmein") as url:
        text = CONFIG.format(url=url, nodes=json.dumps(nodes_of())).replace('"jsonl"', f'"{sink}"')
        (tmp_path / "config.toml").write_text(text)
        stop = Stop()
        whole = asyncio.create_task(bridge(load(tmp_path / "config.toml", {}), stop))
        await until("the canary", lambda: moments)
        stop.ask()
        await whole
    (job,) = [job.id for job in world.jobs.values() if job.options.get("description") == flight.MARK]
    lines = [line for line in moments[0].splitlines() if line.startswith("{") and f'"job/{job}' in line]
    found = [json.loads(line) for line in lines]
    (summary,) = [each["data"] for each in found if each["type"].endswith("job.summary.v1")]
    assert summary["complete"] is True
    assert summary["expected"]["nodes"] == 2
    assert sum(each["type"].endswith("job.node.finished.v1") for each in found) == 2


def vouched(folder: Path) -> str:
    """Return what the files hold that a reader may trust."""
    marks = json.loads((folder / "orchbridge.cursors.json").read_text())["files"]
    parts = [(folder / f"{topic}.jsonl", mark["size"]) for topic, mark in marks.items() if mark["size"]]
    return "".join(path.read_bytes()[:size].decode() for path, size in parts)


def test_a_replay_of_the_job_is_not_its_arrival() -> None:
    perch = Perch(STREAM)
    perch.watch()

    def committed(stream: StreamId, *, replay: bool) -> int:
        data = {"job": {"id": 7}, "complete": True, "outcome": "success"}
        record = Record(JOBS, "prod", "7", "x", "job.summary.v1", "job/7", "t", "t", "e1", data, replay=replay)
        perch.committed(stream, Batch((record,), {}, None))
        return len(perch._landed or ())

    assert committed(STREAM, replay=True) == 0
    assert committed(StreamId("other", "jobs"), replay=False) == 0
    assert committed(STREAM, replay=False) == 1
    perch.rest()
    assert committed(STREAM, replay=False) == 0, "nothing is kept while nobody is waited for"


async def test_a_command_without_an_answer_does_not_hold_up_the_stream(tmp_path: Path) -> None:
    """Not even where the source is asked one thing at a time."""
    world = World(QUICK, start=time.time())
    async with served(world, token="letmein") as url, losing(url, "stalls before") as lossy:
        alone = "concurrency = 1\ntimeout_s = 30\n[sources.canary]"
        text = CONFIG.format(url=lossy.url, nodes=json.dumps(nodes_of())).replace("[sources.canary]", alone)
        (tmp_path / "config.toml").write_text(text)
        stop = Stop()
        whole = asyncio.create_task(bridge(load(tmp_path / "config.toml", {}), stop))
        await until("the command", lambda: lossy.hit)
        async with Client(Access("prod", url, token="letmein")) as somebody:
            job = (await somebody.commands.task("facts", {}, Scope(nodes=nodes_of()))).id
        topic = tmp_path / "records" / "pe.prod.jobs.jsonl"

        def certified() -> bool:
            lines = topic.read_text().splitlines() if topic.exists() else []
            return any("job.summary.v1" in line and f'"partitionkey":"{job}"' in line for line in lines)

        await until("its certificate", certified, 8)
        stop.ask()
        await whole


def test_the_first_ones_of_several_sources_are_not_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_S", 60.0)
    pauses = [keeper._first(errand()) for _ in range(50)]
    assert 0 <= min(pauses) < 20
    assert 40 < max(pauses) <= 60
    assert max(keeper._first(errand(interval_s=5.0)) for _ in range(50)) <= 5
