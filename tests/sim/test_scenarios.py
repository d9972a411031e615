"""The scenarios do what their descriptions say."""

from collections import Counter

import pytest

from orchbridge.core.errors import ConfigError
from orchbridge.sim.catalogue import PLANTED
from orchbridge.sim.scenarios import SCENARIOS
from orchbridge.sim.world import World
from tests.sim.playing import playing


@pytest.mark.parametrize("name", SCENARIOS)
async def test_each_is_described_and_plays(name):
    small = "fleet:nodes=100" if name == "fleet" else "backlog:jobs=5" if name == "backlog" else name
    assert SCENARIOS[name].description
    assert "\n" not in SCENARIOS[name].description
    async with playing(small, at=1.0) as sim:
        await sim.get("jobs")
        await sim.get("inventory")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nonsense", "one of demo"),
        ("backlog:size=3", "jobs, events"),
        ("backlog:jobs=many", "write jobs=10"),
        ("reference-a:x=1", "wait"),
    ],
)
def test_mistakes_are_explained(text, hint):
    with pytest.raises(ConfigError) as caught:
        World(text)
    assert hint in caught.value.hint


async def test_the_demo_is_lively_within_twenty_seconds():
    async with playing("demo", at=20.0) as sim:
        jobs = (await sim.get("jobs?limit=100"))["items"]
        seen = Counter(job["state"] for job in jobs if job["created_timestamp"] > "2025-03-09T10:15:40Z")
        assert seen["finished"] + seen["failed"] >= 4
        assert seen["stopped"] >= 1
        assert seen["running"] >= 1
        assert {job["type"] for job in jobs} >= {"deploy", "task", "plan_task"}
        changes = Counter(fact["change"] for fact in sim.facts if fact["fact"] == "node" and fact["at"] > 0)
        assert min(changes[change] for change in ("connected", "disconnected", "reconnected")) >= 1
        nodes = {fact["node"] for fact in sim.facts if fact["fact"] == "node"}
        assert len(nodes) == 40


async def test_the_demo_shows_every_kind_of_trouble_sooner_or_later():
    async with playing("demo", at=180.0) as sim:
        await sim.get("jobs")
        types = Counter(fact.get("type") for fact in sim.facts)
        for kind in ("node_failed", "node_errored", "node_skipped", "job_stopping", "plan_failed", "plan_finished"):
            assert types[kind], kind
        assert max(fact.get("message_bytes", 0) for fact in sim.facts) > 1024
        jobs = (await sim.get("jobs?limit=500"))["items"]
        lasted = [
            float(job["duration"]) for job in jobs if job["state"] in {"finished", "failed"} and job["node_count"]
        ]
        assert max(lasted) < 13
        assert any(job["options"].get("task") == "legacy::cleanup" for job in jobs)
        assert any(job["options"].get("sensitive") for job in jobs)


async def test_planted_secrets_are_everywhere_a_bridge_must_look():
    async with playing("demo", at=120.0) as sim:
        jobs = (await sim.get("jobs?limit=500"))["items"]
        assert any(PLANTED in str(job["userdata"]) for job in jobs)
        assert any(PLANTED in str(job["options"].get("params")) for job in jobs)
        plans = (await sim.get("plan_jobs?limit=500"))["items"]
        assert any(PLANTED in str(plan["result"]) for plan in plans)
        events = [(await sim.raw("GET", f"jobs/{job['name']}/events")).text for job in jobs]
        assert any(PLANTED in text for text in events)
        texts = [(await sim.raw("GET", f"plan_jobs/{plan['name']}/events")).text for plan in plans]
        assert any(PLANTED in text for text in texts)
        sensitive = [job for job in jobs if job["options"].get("sensitive")]
        assert not any(f"{PLANTED}-sensitive-" in str(job) for job in sensitive)


def test_the_demo_does_not_grow_without_end():
    world = World("demo:keep=200")
    world.advance(190.0)
    at_first = len(world.jobs)
    world.advance(1_500.0)
    assert len(world.jobs) < 1.4 * at_first


async def test_quiet_is_quiet():
    async with playing("quiet") as sim:
        before = (await sim.raw("GET", "jobs")).text, (await sim.raw("GET", "inventory")).text
        sim.now = 86_400.0
        assert before == ((await sim.raw("GET", "jobs")).text, (await sim.raw("GET", "inventory")).text)
        assert not [fact for fact in sim.facts if fact.get("at", 0) > 0]
        assert len(await sim.ids("jobs")) == 6


async def test_the_backlog_is_all_finished_and_as_large_as_asked():
    async with playing("backlog:jobs=30,events=100") as sim:
        ids = []
        for job in (await sim.get("jobs?order_by=name&limit=100"))["items"]:
            assert job["finished_timestamp"] is not None
            events = (await sim.get(f"jobs/{job['name']}/events"))["items"]
            assert len(events) == 100
            ids += [int(event["id"]) for event in events]
            middle = events[50]["id"]
            assert (await sim.get(f"jobs/{job['name']}/events?start={middle}"))["items"] == events[50:]
            nodes = (await sim.get(f"jobs/{job['name']}/nodes"))["items"]
            latest = {e["details"]["node"]: int(e["id"]) for e in events if "node" in e["details"]}
            assert {node["name"]: node["latest-event-id"] for node in nodes} == latest
        assert ids == list(range(1, 3001))


async def test_the_storm_ends():
    async with playing("storm:jobs=60,nodes=100,rate=30", at=60.0) as sim:
        jobs = (await sim.get("jobs?limit=100"))["items"]
        assert len(jobs) == 60
        assert all(job["finished_timestamp"] for job in jobs)


async def test_the_fleet_is_as_large_as_asked():
    async with playing("fleet:nodes=5000") as sim:
        assert len((await sim.get("inventory"))["items"]) == 5000
