"""The simulator's own levers: pruning, restoring, nodes, request counts, also as methods of the world."""

import pytest

from orchbridge.sim.knobs import Knobs
from orchbridge.sim.world import World
from tests.sim.playing import playing


async def test_a_crash_ends_what_runs_without_a_last_event():
    async with playing("reference", at=10.0) as sim:
        await sim.post("/sim/crash", {"seconds": 5}, ok=200)
        with pytest.raises(ConnectionResetError):
            await sim.get("jobs/420", at=14.9)
        before = await sim.ids("jobs/420/events", at=15.0)
        assert (await sim.get("jobs/420"))["state"] == "running"
        job = await sim.get("jobs/420", at=26.0)
        assert (job["state"], job["node_states"]) == ("failed", {"running": 2, "errored": 1})
        assert await sim.ids("jobs/420/events", at=90.0) == before
        assert (await sim.get("jobs/421"))["state"] == "failed"  # it was over before


async def test_pruning_the_oldest():
    async with playing("quiet") as sim:
        before = await sim.ids("jobs?order_by=name")
        answer = await sim.post("/sim/prune", {"oldest": 2}, ok=200)
        assert answer == {"pruned": before[:2]}
        page = await sim.get("jobs?order_by=name")
        assert page["pagination"]["total"] == len(before) - 2
        await sim.get(f"jobs/{before[0]}", ok=404)
        await sim.post("/sim/prune", {"oldest": -1}, ok=400)
        assert [fact["jobs"] for fact in sim.facts if fact["fact"] == "pruned"] == [before[:2]]


async def test_skipped_ids_are_never_a_job():
    async with playing("empty") as sim:
        await sim.post("command/deploy", {"environment": "production"}, at=0.0)
        assert await sim.post("/sim/skip", {"jobs": 3}, ok=200) == {"skipped": [2, 3, 4]}
        started = await sim.post("command/deploy", {"environment": "production"}, at=1.0)
        assert started["job"]["name"] == "5"
        assert await sim.ids("jobs?order_by=name") == [1, 5]
        await sim.get("jobs/3", ok=404)
        await sim.post("/sim/skip", {"jobs": "3"}, ok=400)
        assert [fact["jobs"] for fact in sim.facts if fact["fact"] == "skipped"] == [[2, 3, 4]]


async def test_restoring_gives_the_same_ids_to_other_jobs():
    async with playing("empty") as sim:
        for at in (0.0, 20.0, 40.0):
            await sim.post("command/deploy", {"environment": "production"}, at=at)
        old = await sim.get("jobs/2", at=60.0)
        old_events = await sim.ids("jobs/2/events")
        assert await sim.post("/sim/restore", {"to_job": 1}, ok=200) == {"newest": 1}
        assert await sim.ids("jobs") == [1]
        started = await sim.post("command/deploy", {"environment": "production"}, at=61.0)
        assert started["job"]["name"] == "2"
        new = await sim.get("jobs/2", at=90.0)
        assert new["created_timestamp"] > old["created_timestamp"]
        assert (await sim.ids("jobs/2/events"))[0] == old_events[0]


async def test_restoring_forgets_what_was_running():
    async with playing("storm:jobs=30") as sim:
        await sim.get("jobs", at=1.0)
        sim.world.restore(5, 1.0)
        jobs = await sim.ids("jobs?order_by=name&limit=100", at=60.0)
        told = [fact for fact in sim.facts if fact["fact"] == "restored"]
        assert jobs == list(range(1, 30 - len(told[0]["jobs"]) + 1))
        assert [(fact["to_job"], min(fact["jobs"])) for fact in told] == [(5, 6)]
        after = sim.facts[sim.facts.index(told[0]) + 1 :]
        again = [fact["id"] for fact in after if fact["fact"] == "job"]
        assert again == list(range(6, again[-1] + 1))
        assert {fact["job"] for fact in after if fact["fact"] == "job_event"} <= set(jobs)


async def test_nodes_connect_disconnect_and_reconnect():
    async with playing("quiet") as sim:
        node = "web01.example.com"
        first = (await sim.get(f"inventory/{node}"))["timestamp"]
        await sim.post("/sim/inventory", {"node": node, "connected": True}, at=1.0, ok=200)
        assert (await sim.get(f"inventory/{node}"))["timestamp"] > first
        await sim.post("/sim/inventory", {"node": node, "connected": False}, at=2.0, ok=200)
        await sim.post("/sim/inventory", {"node": node, "connected": False}, at=3.0, ok=200)
        assert (await sim.get(f"inventory/{node}")) == {"name": node, "connected": False}
        await sim.post("/sim/inventory", {"node": "new.example.com", "connected": True}, at=4.0, ok=200)
        assert "new.example.com" in [row["name"] for row in (await sim.get("inventory"))["items"]]
        told = [(fact["node"], fact["change"], fact["at"]) for fact in sim.facts if fact.get("at", 0) > 0]
        assert told == [(node, "reconnected", 1.0), (node, "disconnected", 2.0), ("new.example.com", "connected", 4.0)]
        await sim.post("/sim/inventory", {"node": node}, ok=400)


async def test_a_node_that_left_makes_jobs_err():
    async with playing("empty") as sim:
        await sim.post("/sim/inventory", {"node": "web01.example.com", "connected": False}, ok=200)
        await sim.post("command/deploy", {"environment": "production", "scope": {"nodes": ["web01.example.com"]}})
        assert (await sim.get("jobs/1", at=1.0))["node_states"] == {"errored": 1}


async def test_requests_are_counted_by_endpoint():
    async with playing("reference", at=40.0) as sim:
        for path in ("jobs", "jobs?limit=1", "jobs/420/events", "jobs/421/events", "nowhere", "jobs/x"):
            await sim.raw("GET", path)
        counts = {
            "GET jobs": 2,
            "GET jobs/{id}/events": 2,
            "GET unknown": 1,
            "GET jobs/{id}": 1,
        }
        assert await sim.get("/sim/requests") == {"total": 6, "requests": counts}
        assert (await sim.post("/sim/requests", {}, ok=200))["total"] == 6
        assert await sim.get("/sim/requests") == {"total": 0, "requests": {}}


async def test_several_nodes_at_once_in_no_promised_order():
    async with playing("reference") as sim:
        answer = await sim.post("inventory", {"nodes": ["a.test", "zz.test"]}, ok=200)
        assert {row["name"]: row["connected"] for row in answer["items"]} == {"a.test": True, "zz.test": False}


def test_the_world_has_the_same_levers():
    world = World("quiet", knobs=Knobs(owner="id+login"))
    world.advance(0.0)
    world.turn({"duration_type": "string"}, 0.0)
    assert world.knobs == Knobs(owner="id+login", duration_type="string")
    assert len(world.prune(1, 0.0)) == 1
    world.connect("x.test", True, 0.0)
    assert world.agents["x.test"].connected


@pytest.mark.parametrize("path", ["/sim/prune", "/sim/restore", "/sim/inventory", "/sim/knobs"])
async def test_levers_say_what_they_want(path):
    async with playing("quiet") as sim:
        answer = await sim.post(path, [], ok=400)
        assert "The body must be" in answer["msg"]
