"""The truth log and the API tell the same story, and the same seed tells it again."""

import asyncio
import json

import pytest

from orchbridge.sim.catalogue import PLANTED
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.truth import TruthLog
from orchbridge.sim.world import World
from tests.sim.playing import playing


def truth_of(scenario, until, *, step=None, **more):
    facts = []
    world = World(scenario, **more)
    world.listen(facts.extend)
    now = -5000.0
    while step and now < until:
        world.advance(now)
        now += step
    world.advance(until)
    return facts


@pytest.mark.parametrize(
    "scenario", ["demo", "storm:jobs=40", "quiet", "backlog:jobs=20", "fleet:nodes=50,moves_every=1"]
)
def test_the_same_seed_gives_the_same_truth(scenario):
    assert truth_of(scenario, 90.0) == truth_of(scenario, 90.0)


def test_another_seed_gives_another_truth():
    assert truth_of("demo", 30.0, seed=1)[1:] != truth_of("demo", 30.0, seed=2)[1:]


def test_how_often_anybody_looks_changes_nothing():
    knobs = Knobs(event_visibility="seconds:3,p=0.5", id_gaps="some,p=0.2")
    assert truth_of("demo", 60.0, knobs=knobs) == truth_of("demo", 60.0, step=0.37, knobs=knobs)


def test_facts_come_in_the_order_of_time_with_ascending_ids():
    facts = truth_of("demo", 120.0)[1:]
    assert [fact["at"] for fact in facts] == sorted(fact["at"] for fact in facts)
    for kind in ("job", "job_event", "plan", "plan_event"):
        ids = [fact["id"] for fact in facts if fact["fact"] == kind]
        assert ids == sorted(set(ids))
        assert ids


@pytest.mark.parametrize("scenario", ["demo", "storm:jobs=30", "backlog:jobs=8,events=9", "backlog:jobs=3,events=10"])
async def test_without_faults_the_api_shows_the_truth(scenario):
    async with playing(scenario, at=75.0) as sim:
        jobs = (await sim.get("jobs?limit=1000&order_by=name&order=asc"))["items"]
        facts = sim.facts
        assert [int(job["name"]) for job in jobs] == [fact["id"] for fact in facts if fact["fact"] == "job"]
        for job in jobs:
            number = int(job["name"])
            of = [fact for fact in facts if fact.get("job") == number]
            told = [(f["id"], f["type"], f["node"], f["time"]) for f in of if f["fact"] == "job_event"]
            events = (await sim.get(f"jobs/{number}/events"))["items"]
            assert told == [(int(e["id"]), e["type"], e["details"].get("node"), e["timestamp"]) for e in events]
            states = [(f["state"], f["time"]) for f in of if f["fact"] == "job_state"]
            whole = await sim.get(f"jobs/{number}")
            assert states == [(item["state"], item["enter_time"]) for item in whole["status"]]
            nodes = (await sim.get(f"jobs/{number}/nodes"))["items"]
            counts = {state: sum(node["state"] == state for node in nodes) for state in whole["node_states"]}
            assert counts == whole["node_states"]
            assert sum(counts.values()) == whole["node_count"] == len(nodes)


async def test_without_faults_plans_and_nodes_are_the_truth_too():
    async with playing("demo", at=75.0) as sim:
        plans = await sim.ids("plan_jobs?limit=1000&order_by=name&order=asc")
        assert plans == [fact["id"] for fact in sim.facts if fact["fact"] == "plan"]
        for number in plans:
            of = [fact for fact in sim.facts if fact.get("plan") == number]
            told = [(f["id"], f["type"]) for f in of if f["fact"] == "plan_event"]
            events = (await sim.get(f"plan_jobs/{number}/events"))["items"]
            assert told == [(int(event["id"]), event["type"]) for event in events]
            whole = await sim.get(f"plan_jobs/{number}")
            assert whole["state"] == [f["state"] for f in of if f["fact"] == "plan_state"][-1]
            children = [f["job"] for f in of if f["fact"] == "plan_event" and f["job"]]
            assert [int(child) for child in whole["status"]] == children
        last = {fact["node"]: fact for fact in sim.facts if fact["fact"] == "node"}
        shown = {row["name"]: row["timestamp"] for row in (await sim.get("inventory"))["items"]}
        assert shown == {n: f["timestamp"] for n, f in last.items() if f["change"] != "disconnected"}


async def test_the_log_is_complete_when_the_server_stops_and_holds_no_secret(tmp_path):
    path = tmp_path / "truth.jsonl"
    world = World("demo")
    with TruthLog(path) as truth:
        async with served(world, token=None, truth=truth):
            before = path.read_bytes()
        assert before.startswith(b'{"fact":"world"')  # flushed as it goes
        facts = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(fact["fact"] == "job" for fact in facts) == len(world.jobs) >= 3
    assert PLANTED not in path.read_text()


async def test_facts_are_told_though_nobody_asks_and_up_to_the_last_moment(tmp_path, monkeypatch):
    path, told = tmp_path / "truth.jsonl", asyncio.Event()

    class Overheard(TruthLog):
        def write(self, facts):
            super().write(facts)
            if '"fact":"job_event"' in path.read_text():
                told.set()

    with Overheard(path) as truth:
        async with asyncio.timeout(30), served(World("storm:rate=1000"), token=None, truth=truth):
            await told.wait()
    monkeypatch.setattr("orchbridge.sim.serve.TICK_S", 3600.0)
    with TruthLog(path) as truth:
        async with served(World("storm:rate=1000"), token=None, truth=truth):
            await asyncio.sleep(0.3)  # world time is real time here
            assert '"fact":"job"' not in path.read_text()
    assert '"fact":"job"' in path.read_text()


def test_a_late_listener_is_refused():
    world = World("quiet")
    world.advance(0.0)
    with pytest.raises(ValueError, match="already moves"):
        world.listen(print)
