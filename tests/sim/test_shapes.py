"""Each release shows the fields and routes of its age."""

import pytest

from orchbridge.sim.knobs import VERSIONS
from tests.sim.playing import playing

OVER = 40.0
JOB_SINCE = {
    "2016.4": {
        "id",
        "name",
        "state",
        "timestamp",
        "node_count",
        "options",
        "owner",
        "environment",
        "nodes",
        "report",
        "events",
    },
    "2017.3": {"command", "description", "node_states"},
    "2019.8": {"type"},
    "2021.0": {"created_timestamp", "finished_timestamp", "duration", "userdata"},
}
NODE_SINCE = {
    "2016.4": {"name", "state", "timestamp", "transaction_uuid", "details"},
    "2017.3": {"start_timestamp", "finish_timestamp", "duration", "result", "latest-event-id"},
    "2018.1": {"transport"},
}
ROUTES_SINCE = {
    "jobs": "2016.4",
    "inventory": "2017.3",
    "tasks": "2017.3",
    "tasks/dbx/dump": "2017.3",
    "plan_jobs": "2018.1",
    "plans": "2019.8",
    "plan_jobs/1/event/1": "2019.8",
    "scheduled_jobs/environment_jobs": "2021.7.1",
    "usage": "2019.8",
    "scopes/task_targets": "2019.8",
    "/activity-api/v1/events?service_id=rbac": "2016.4",
    "/activity-api/v2/events": "2019.8",
}
COMMANDS_SINCE = {
    "deploy": "2016.4",
    "stop": "2016.4",
    "task": "2017.3",
    "plan_start": "2018.1",
    "plan_task": "2018.1",
    "plan_finish": "2018.1",
    "schedule_task": "2018.1",
    "plan_run": "2019.8",
    "task_target": "2019.8",
    "schedule_deploy": "2019.8",
    "environment_plan_run": "2021.0",
    "schedule_plan": "2021.0",
    "stop_plan": "2021.7.1",
}


def at_least(version, since):
    return VERSIONS.index(version) >= VERSIONS.index(since)


def expected(table, version):
    return set().union(*(fields for since, fields in table.items() if at_least(version, since)))


@pytest.mark.parametrize("version", VERSIONS)
async def test_fields_of_jobs_and_nodes(version):
    async with playing("reference", at=OVER, shape_version=version) as sim:
        (item, *_) = (await sim.get("jobs"))["items"]
        assert set(item) == expected(JOB_SINCE, version)
        assert set(await sim.get("jobs/420")) == {*expected(JOB_SINCE, version), "status"}
        answer = await sim.get("jobs/420/nodes")
        rows = {row["name"]: row for row in answer["items"]}
        assert set(rows["a.test"]) == expected(NODE_SINCE, version)
        assert ("next-events" in answer) is at_least(version, "2017.3")
        assert ("pagination" in await sim.get("jobs")) is at_least(version, "2017.3")


@pytest.mark.parametrize("version", VERSIONS)
async def test_routes(version):
    async with playing("quiet", shape_version=version) as sim:
        for path, since in ROUTES_SINCE.items():
            answer = await sim.raw("GET", path)
            assert answer.status_code == (200 if at_least(version, since) else 404), path
        for command, since in COMMANDS_SINCE.items():
            answer = await sim.raw("POST", f"command/{command}", json={})
            assert answer.status_code == (400 if at_least(version, since) else 404), command


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_older_scheduling_api_ends_where_the_newer_begins(version):
    async with playing("quiet", shape_version=version) as sim:
        old = await sim.raw("GET", "scheduled_jobs")
        assert old.status_code == (200 if version in {"2018.1", "2019.8", "2021.0", "2021.6"} else 404)
        for method, path in (
            ("POST", "environment_jobs"),
            ("GET", "environment_jobs/31"),
            ("PUT", "environment_jobs/31"),
        ):
            answer = await sim.raw(method, f"scheduled_jobs/{path}", json={})
            known = at_least(version, "2021.7.1")
            assert (answer.status_code == 404) is not known
            if not known and at_least(version, "2018.1") and method == "PUT":
                assert (await sim.raw("DELETE", "scheduled_jobs/31")).status_code == 204


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_each_release_lets_be_asked(version):
    """Section 17, line by line: parameters that a release does not know change nothing."""
    async with playing("reference", at=OVER, shape_version=version) as sim:

        async def changes(path, other):
            first, second = await sim.raw("GET", path), await sim.raw("GET", other)
            return (first.status_code, first.text) != (second.status_code, second.text)

        nodes = "jobs/420/nodes"
        expected_changes = [
            ("jobs?order=asc&order_by=name", "jobs?order=desc&order_by=name", "2017.3"),
            ("jobs?offset=0", "jobs?offset=1", "2017.3"),
            (f"{nodes}?limit=9", f"{nodes}?limit=1", "2017.3"),
            ("jobs", "jobs?type=deploy", "2019.8"),
            (f"{nodes}?order=asc", f"{nodes}?order=desc", "2021.0"),
            (f"{nodes}?state=finished", f"{nodes}?state=failed", "2021.6"),
            ("jobs", "jobs?max_finish_timestamp=2020-01-01T00:00:00Z", "2021.6"),
        ]
        for path, other, since in expected_changes:
            assert await changes(path, other) is at_least(version, since), path


@pytest.mark.parametrize("version", VERSIONS)
async def test_scopes_of_each_release(version):
    taken = {
        "nodes": ({"nodes": ["web01.example.com"]}, "2016.4", None),
        "query": ({"query": "nodes {}"}, "2016.4", None),
        "application": ({"application": "Shop"}, "2016.4", "2021.0"),
        "whole_environment": ({"whole_environment": True}, "2016.4", "2018.1"),
        "node_group": ({"node_group": "f00d"}, "2018.1", None),
    }
    async with playing("quiet", shape_version=version) as sim:
        for scope, since, until in taken.values():
            known = at_least(version, since) and not (until and at_least(version, until))
            body = {"environment": "production", "scope": scope}
            await sim.post("command/deploy", body, ok=202 if known else 400)


@pytest.mark.parametrize("version", VERSIONS)
async def test_plan_jobs_permissions_and_events_of_each_release(version):
    async with playing("demo", at=30.0, shape_version=version) as sim:
        if at_least(version, "2018.1"):
            (plan, *_) = (await sim.get("plan_jobs"))["items"]
            assert ("duration" in plan, "userdata" in plan) == (at_least(version, "2021.0"),) * 2
            assert ("timestamp" in plan) is at_least(version, "2021.6")
            without = (await sim.get("plan_jobs?results=exclude"))["items"][0]
            assert ("result" not in without) is at_least(version, "2019.8")
        if at_least(version, "2017.3"):
            (task, *_) = (await sim.get("tasks"))["items"]
            assert ("permitted" in task) is at_least(version, "2019.8")
        if at_least(version, "2019.8"):
            (today, *_) = (await sim.get("usage"))["items"]
            assert ("nodes_affected_by_task_runs" in today) is at_least(version, "2021.6")
            commits = (await sim.get("/activity-api/v2/events?order=asc&service_id=pe-console"))["commits"]
            oldest_first = commits[0]["timestamp"] < commits[-1]["timestamp"]
            assert oldest_first is at_least(version, "2021.6")
            assert ("ip_address" in commits[0]) is at_least(version, "2021.0")
            assert ("state" in commits[0]["events"][0]) is at_least(version, "2021.7.1")


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
