"""The reference scenario (a deploy of three nodes, one offline) and its variants, second by second."""

from itertools import pairwise

import pytest

from tests.sim.playing import playing

EVENTS = [9301, 9302, 9304, 9310, 9311, 9312]
TABLE = [
    (0.0, "new", {"new": 3}, 0),
    (0.1, "ready", {"new": 3}, 0),
    (0.3, "running", {"new": 2, "errored": 1}, 1),
    (0.4, "running", {"running": 2, "errored": 1}, 3),
    (20.2, "running", {"running": 1, "finished": 1, "errored": 1}, 4),
    (31.9, "running", {"finished": 1, "failed": 1, "errored": 1}, 5),
    (32.0, "failed", {"finished": 1, "failed": 1, "errored": 1}, 6),
]


async def test_every_row_of_the_table():
    async with playing("reference") as sim:
        for at, state, node_states, events in TABLE:
            job = await sim.get("jobs/420", at=at)
            assert (job["state"], job["node_states"]) == (state, node_states)
            assert await sim.ids("jobs/420/events") == EVENTS[:events]
            assert (job["finished_timestamp"] is None) == (state != "failed")


async def test_nothing_happens_between_the_rows():
    async with playing("reference") as sim:
        for (_, state, node_states, events), (following, *_) in pairwise(TABLE):
            job = await sim.get("jobs/420", at=following - 0.01)
            assert (job["state"], job["node_states"]) == (state, node_states)
            assert await sim.ids("jobs/420/events") == EVENTS[:events]


async def test_what_the_events_say():
    async with playing("reference") as sim:
        events = (await sim.get("jobs/420/events", at=40.0))["items"]
        assert [(e["type"], e["details"].get("node")) for e in events] == [
            ("node_errored", "c.test"),
            ("node_running", "a.test"),
            ("node_running", "b.test"),
            ("node_finished", "a.test"),
            ("node_failed", "b.test"),
            ("job_finished", None),
        ]
        assert events[0]["message"] == "Error running puppet on c.test: c.test is not connected to the PCP broker"
        nodes = {node["name"]: node for node in (await sim.get("jobs/420/nodes"))["items"]}
        assert events[3]["details"]["detail"] == nodes["a.test"]["result"]
        assert nodes["a.test"]["details"]["report-url"] == nodes["a.test"]["result"]["report-url"]
        assert nodes["a.test"]["latest-event-id"] == 9310


async def test_expected_reads():
    async with playing("reference", at=40.0) as sim:
        whole = await sim.get("jobs/420/events")
        assert whole["next-events"]["event"] == "9313"
        assert whole["next-events"]["id"].endswith("/jobs/420/events?start=9313")
        assert await sim.ids("jobs/420/events?start=9304") == EVENTS[2:]
        assert await sim.ids("jobs/420/events?start=9303") == EVENTS[2:]
        assert await sim.ids("jobs/420/events?start=9313") == []
        failed = await sim.get("jobs/420/nodes?state=failed")
        assert [node["name"] for node in failed["items"]] == ["b.test"]
        stopped = await sim.post("command/stop", {"job": "420"})
        assert stopped["job"]["nodes"] == {"finished": 1, "failed": 1, "errored": 1}
        job = await sim.get("jobs/420")
        assert (job["state"], job["duration"]) == ("failed", 32.0)
        assert job["timestamp"] == job["finished_timestamp"]
        assert [item["state"] for item in job["status"]] == ["new", "ready", "running", "failed"]
        assert [item["exit_time"] is None for item in job["status"]] == [False, False, False, True]


async def test_the_job_beside_it_has_the_ids_between():
    async with playing("reference", at=40.0) as sim:
        assert await sim.ids("jobs/421/events") == [9303, 9305, 9306, 9307, 9308, 9309]
        assert (await sim.get("jobs/421/events"))["next-events"]["event"] == "9310"
        assert (await sim.get("jobs/421/nodes"))["next-events"]["event"] == "9309"


async def test_it_can_wait_for_the_command():
    async with playing("reference:wait=1", at=100.0) as sim:
        assert await sim.ids("jobs") == []
        asked = {
            "environment": "production",
            "scope": {"nodes": ["a.test", "b.test", "c.test"]},
            "userdata": {"t": "1"},
        }
        started = await sim.post("command/deploy", asked)
        assert started == {"job": {"id": "https://pe.test:8143/orchestrator/v1/jobs/420", "name": "420"}}
        job = await sim.get("jobs/420", at=132.0)
        assert (job["state"], job["duration"], job["userdata"]) == ("failed", 32.0, {"t": "1"})
        assert await sim.ids("jobs/420/events") == EVENTS


async def test_a_stopped_without_force_lets_what_runs_end():
    async with playing("reference-a") as sim:
        job = await sim.get("jobs/420", at=15.0)
        assert (job["state"], job["node_states"]) == ("stopping", {"running": 2, "errored": 1})
        job = await sim.get("jobs/420", at=40.0)
        assert [item["state"] for item in job["status"]] == ["new", "ready", "running", "stopping", "stopped"]
        events = (await sim.get("jobs/420/events"))["items"]
        types = [event["type"] for event in events]
        assert types[3:] == ["job_stopping", "node_finished", "node_failed", "job_finished"]


async def test_b_stopped_with_force_ends_at_once():
    async with playing("reference-b", at=10.0) as sim:
        assert (await sim.get("jobs/420"))["state"] == "stopped"
        events = (await sim.get("jobs/420/events", at=60.0))["items"]
        assert [event["type"] for event in events][3:] == ["job_stopping"]


async def test_c_crashes_and_fails_later_without_a_last_event():
    async with playing("reference-c", at=24.9) as sim:
        await sim.get("jobs/420")
        for at in (25.0, 29.9):
            with pytest.raises(ConnectionResetError):
                await sim.get("jobs/420", at=at)
        assert (await sim.get("jobs/420", at=30.0))["state"] == "running"
        assert (await sim.get("jobs/420", at=60.0))["state"] == "failed"
        assert await sim.ids("jobs/420/events") == EVENTS[:4]


async def test_d_an_older_event_appears_after_a_newer_one():
    async with playing("reference-d") as sim:
        assert await sim.ids("jobs/420/events", at=31.9) == [9301, 9302, 9304, 9311]
        assert await sim.ids("jobs/420/events", at=32.0) == EVENTS
        assert [fact["id"] for fact in sim.facts if fact.get("job") == 420 and "id" in fact] == EVENTS


async def test_e_is_pruned_and_the_total_drops():
    async with playing("reference-e", at=59.9) as sim:
        assert (await sim.get("jobs"))["pagination"]["total"] == 2
        missing = await sim.get("jobs/420", at=60.0, ok=404)
        assert missing["kind"] == "puppetlabs.orchestrator/unknown-job"
        assert (await sim.get("jobs"))["pagination"]["total"] == 1
        for part in ("nodes", "events", "report"):
            await sim.get(f"jobs/420/{part}", ok=404)


async def test_f_a_task_job_starts_ready_and_has_three_ids():
    async with playing("reference-f") as sim:
        assert (await sim.get("jobs/420"))["state"] == "ready"
        events = (await sim.get("jobs/420/events", at=30.0))["items"]
        assert [event["type"] for event in events] == ["node_running", "node_finished", "job_finished"]
        (node,) = (await sim.get("jobs/420/nodes"))["items"]
        assert node["result"] == {"_output": "uid=0(root) gid=0(root)\n"}


async def test_g_a_job_without_nodes():
    async with playing("reference-g", at=30.0) as sim:
        job = await sim.get("jobs/420")
        assert (job["node_states"], job["node_count"], job["state"]) == (None, 0, "failed")
        assert (await sim.get("jobs/420/nodes"))["items"] == []
