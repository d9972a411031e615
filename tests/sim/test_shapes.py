"""How lists, pages and plans look, on old releases and new ones; what each release has is in test_releases.py."""

import pytest

from tests.sim.playing import playing

OVER = 40.0


async def test_the_oldest_list_is_the_newest_jobs_without_pagination():
    async with playing("backlog:jobs=30", shape_version="2016.4") as sim:
        assert await sim.ids("jobs?limit=3&offset=10&order=asc") == [30, 29, 28]
        (job, *_) = (await sim.get("jobs"))["items"]
        assert set(job["owner"]) == {"id", "login"}


async def test_the_oldest_knows_no_stopping():
    async with playing("reference-a", at=15.0, shape_version="2016.4") as sim:
        assert (await sim.get("jobs/420"))["state"] == "running"
        job = await sim.get("jobs/420", at=OVER)
        assert job["state"] == "failed"
        assert "stopping" not in {item["state"] for item in job["status"]}


@pytest.mark.parametrize(("version", "filters"), [("2017.3", False), ("2019.8", True), ("2025", True)])
async def test_filters_that_an_old_server_does_not_know_are_ignored(version, filters):
    async with playing("reference", at=OVER, shape_version=version) as sim:
        assert await sim.ids("jobs?type=task&order_by=name") == ([421] if filters else [420, 421])
        assert await sim.ids("jobs?task=fact&order_by=name") == ([421] if filters else [420, 421])


@pytest.mark.parametrize(("version", "filters"), [("2021.0", False), ("2021.6", True)])
async def test_time_and_state_filters(version, filters):
    async with playing("reference", at=OVER, shape_version=version) as sim:
        late = await sim.ids("jobs?min_finish_timestamp=2025-03-09T10:16:12Z")
        assert late == ([420] if filters else [421, 420])
        early = await sim.ids("jobs?max_finish_timestamp=2025-03-09T10:15:42Z")
        assert early == ([421] if filters else [421, 420])
        rows = (await sim.get("jobs/420/nodes?state=failed"))["items"]
        assert len(rows) == (1 if filters else 3)


async def test_running_jobs_are_hidden_by_time_filters():
    async with playing("reference", at=5.0) as sim:
        assert await sim.ids("jobs?max_finish_timestamp=2099-01-01T00:00:00Z") == [421]


async def test_names_sort_as_numbers():
    async with playing("backlog:jobs=12") as sim:
        assert await sim.ids("jobs?order_by=name&order=asc") == list(range(1, 13))
        assert await sim.ids("jobs?order_by=name&order=desc&limit=4&offset=1") == [11, 10, 9, 8]


async def test_nodes_are_paged_without_an_envelope():
    async with playing("backlog:jobs=1,events=21") as sim:
        pages = [(await sim.get(f"jobs/1/nodes?limit=4&offset={offset}"))["items"] for offset in (0, 4, 8, 12)]
        assert [len(page) for page in pages] == [4, 4, 2, 0]
        names = [row["name"] for page in pages for row in page]
        assert names == sorted(set(names))
        by_state = await sim.get("jobs/1/nodes?order_by=finish_timestamp&order=desc")
        assert [row["name"] for row in by_state["items"]] == names[::-1]


async def test_a_plan_has_its_children_and_its_texts():
    async with playing("empty") as sim:
        asked = {"plan_name": "rollout::web", "params": {"batch": 5, "token": "hush"}, "userdata": {"t": "1"}}
        assert await sim.post("command/plan_run", asked) == {"name": "1"}
        plan = await sim.get("plan_jobs/1")
        assert (plan["state"], plan["result"], plan["status"]) == ("pending", None, {})
        assert plan["options"]["parameters"] == {"batch": 5}
        assert plan["options"]["sensitive"] == ["token"]
        plan = await sim.get("plan_jobs/1", at=60.0)
        assert plan["state"] == "success"
        assert [item["state"] for item in plan["status"]["1"]] == ["ready", "running", "finished"]
        child = await sim.get("jobs/1")
        assert (child["type"], child["options"]["plan_job"]) == ("plan_task", 1)
        events = (await sim.get("plan_jobs/1/events"))["items"]
        long = events[1]
        assert 1021 <= len(long["details"]["message"].encode()) <= 1024
        assert len(long["details"]["message"]) < 1021  # bytes are counted, not letters
        whole = await sim.get(f"plan_jobs/1/event/{long['id']}")
        assert len(whole["details"]["message"]) > 1024
        assert whole["details"]["message"].startswith(long["details"]["message"])
        assert await sim.get(f"plan_jobs/1/event/{events[0]['id']}") == events[0]
        listed = (await sim.get("plan_jobs?results=exclude"))["items"][0]
        assert "result" not in listed
        assert "status" not in listed


async def test_report_lists_each_nodes_event_ids():
    async with playing("reference", at=OVER) as sim:
        items = (await sim.get("jobs/420/report"))["items"]
        assert [(row["node"], row["events"]) for row in items] == [
            ("a.test", [9302, 9310]),
            ("b.test", [9304, 9311]),
            ("c.test", [9301]),
        ]
