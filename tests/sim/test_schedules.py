"""Scheduled jobs run when the world's time comes: moved by hand, nothing sleeps here."""

import pytest

from tests.sim.playing import TOKEN, playing

WEB = "web01.example.com"
NODES = {"nodes": [WEB]}
NEW = "scheduled_jobs/environment_jobs"
START = "2025-03-09T10:15:40Z"  # world time 0


def clock(seconds):
    """Return world seconds below an hour as PE prints them."""
    minutes, seconds = divmod(15 * 60 + 40 + seconds, 60)
    return f"2025-03-09T{10 + minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}Z"


def order(kind="task", *, at=60, every=None, **changes):
    inputs = {
        "task": {"name": "facts", "parameters": {}, "scope": NODES},
        "plan": {"name": "rollout::web", "parameters": {"batch": {"value": 3}, "token": {"value": "hush"}}},
        "deploy": {"scope": NODES, "noop": True, "concurrency": 2},
    }
    interval = every and {"units": "seconds", "value": every}
    whole = {
        "type": kind,
        "input": inputs[kind],
        "environment": "production",
        "schedule": {"start_time": clock(at), "interval": interval},
        "description": "by the clock",
        "userdata": {"change": "CHG7"},
    }
    return {**whole, **changes}


async def made(sim, body):
    return (await sim.post(NEW, body, ok=200))["scheduled_job"]["name"]


@pytest.mark.parametrize("kind", ["task", "plan", "deploy"])
async def test_a_run_comes_when_it_is_due_and_not_before(kind):
    async with playing("empty") as sim:
        name = await made(sim, order(kind))
        shown = await sim.get(f"{NEW}/{name}")
        assert (shown["next_run"], shown["last_run"]) == ({"time": clock(60)}, None)
        lists = "plan_jobs" if kind == "plan" else "jobs"
        assert await sim.ids(lists, at=59.9) == []
        assert await sim.ids(lists, at=60.0) == [1]
        started = await sim.get(f"{lists}/1")
        assert started["created_timestamp"] == clock(60)
        assert started["userdata"] == {"change": "CHG7"}
        shown = await sim.get(f"{NEW}/{name}")
        url = f"https://pe.test:8143/orchestrator/v1/{lists}/1"
        assert shown["last_run"] == {"time": clock(60), "job": {"id": url, "name": 1}}
        assert shown["next_run"] is None
        assert await sim.ids(lists, at=86_000.0) == [1]  # once


async def test_what_is_shown_of_each_type():
    async with playing("empty") as sim:
        task, plan, deploy = [
            await sim.get(f"{NEW}/{await made(sim, order(kind))}") for kind in ("task", "plan", "deploy")
        ]
        assert task["input"] == {"name": "facts", "parameters": {}, "sensitive_parameters": [], "scope": NODES}
        assert plan["input"] == {"name": "rollout::web", "parameters": {"batch": 3}, "sensitive_parameters": ["token"]}
        assert deploy["input"] == {"scope": NODES, "noop": True, "concurrency": 2}
        assert {row["description"] for row in (task, plan, deploy)} == {"by the clock"}
        assert task["owner"]["login"] == "bridge"


async def test_the_value_of_a_sensitive_parameter_reaches_the_run_but_no_answer():
    async with playing("empty") as sim:
        await made(sim, order("plan"))
        answers = [await sim.raw("GET", path, at=90.0) for path in (NEW, f"{NEW}/33", "plan_jobs/1", "plan_jobs")]
        assert all("hush" not in answer.text for answer in answers)
        assert (await sim.get("plan_jobs/1"))["options"]["sensitive"] == ["token"]
        assert "hush" not in str(sim.facts)


async def test_an_interval_repeats_and_no_beat_is_lost_when_nobody_looks():
    async with playing("empty") as sim:
        name = await made(sim, order(every=300))
        assert await sim.ids("jobs?order_by=name", at=1000.0) == [1, 2, 3, 4]
        created = [job["created_timestamp"] for job in (await sim.get("jobs?order_by=name"))["items"]]
        assert created == [clock(60), clock(360), clock(660), clock(960)]
        shown = await sim.get(f"{NEW}/{name}")
        assert shown["next_run"] == {"time": clock(1260)}
        assert shown["last_run"]["job"]["name"] == 4


async def test_a_run_whose_environment_is_gone_is_a_submission_error():
    async with playing("empty") as sim:
        name = await made(sim, order(environment="staging", every=300))
        await sim.post("/sim/environments", {"name": "staging", "present": False}, ok=200)
        last = (await sim.get(f"{NEW}/{name}", at=61.0))["last_run"]
        assert last["time"] == clock(60)
        assert last["job"]["name"] == 33
        error = last["job"]["submission_error"]
        assert error["kind"] == "puppetlabs.orchestrator/unknown-environment"
        assert error["details"] == {"environment": "staging"}
        assert await sim.ids("jobs") == []
        await sim.post("/sim/environments", {"name": "staging", "present": True}, ok=200)
        assert (await sim.get(f"{NEW}/{name}", at=361.0))["last_run"]["job"]["name"] == 1


async def test_a_run_whose_owner_is_revoked_or_lost_the_right_is_refused():
    async with playing("empty", token=TOKEN) as sim:
        await sim.enter("planner", ["orchestrator:view:*", "tasks:run:facts"])
        await made(sim, order())
        await made(sim, order(at=120))
        sim.http.headers["X-Authentication"] = TOKEN
        await sim.post("/sim/users", {"login": "planner", "permissions": []}, ok=200)
        await sim.get("jobs", at=61.0)
        back = {"login": "planner", "permissions": ["tasks:run:facts"], "revoked": True}
        await sim.post("/sim/users", back, ok=200)
        await sim.get("jobs", at=121.0)
        for name in (33, 34):
            error = (await sim.get(f"{NEW}/{name}"))["last_run"]["job"]["submission_error"]
            assert error["kind"] == "puppetlabs.orchestrator/not-permitted"


async def test_a_disabled_one_vanishes_and_never_runs():
    async with playing("empty") as sim:
        name = await made(sim, order(every=60))
        await sim.get("jobs", at=61.0)
        answer = await sim.put(f"{NEW}/{name}", {"enabled": False})
        assert answer["scheduled_job"]["name"] == name
        assert int(name) not in await sim.ids(NEW)
        await sim.get(f"{NEW}/{name}", ok=400)
        assert await sim.ids("jobs", at=1000.0) == [1]


async def test_editing_replaces_whole_keys_and_moves_the_time():
    async with playing("empty") as sim:
        name = await made(sim, order())
        changed = {
            "schedule": {"start_time": "2025-03-09T12:16:20+01:00", "interval": {"units": "seconds", "value": 600}},
            "input": {"name": "package", "parameters": {"name": {"value": "openssl"}}, "scope": NODES},
            "description": "later",
            "userdata": {},
        }
        await sim.put(f"{NEW}/{name}", changed, at=10.0)
        shown = await sim.get(f"{NEW}/{name}")
        assert shown["schedule"]["start_time"] == shown["next_run"]["time"] == "2025-03-09T11:16:20Z"
        assert (shown["description"], shown["userdata"]) == ("later", {})
        assert await sim.ids("jobs", at=3639.0) == []  # the old time means nothing any more
        assert await sim.ids("jobs", at=3640.0) == [1]
        assert (await sim.get("jobs/1"))["options"]["task"] == "package"
        await sim.put(f"{NEW}/{name}", {"input": {"name": "no::such", "parameters": {}, "scope": NODES}}, ok=404)
        assert (await sim.get(f"{NEW}/{name}"))["input"]["name"] == "package"


async def test_lists_are_ordered_filtered_and_paged():
    async with playing("empty") as sim:
        names = [await made(sim, order(kind, at=at)) for kind, at in (("task", 90), ("plan", 60), ("deploy", 120))]
        task, plan, deploy = map(int, names)
        assert await sim.ids(NEW) == [plan, task, deploy, 32, 31]
        assert await sim.ids(f"{NEW}?order=desc&limit=2&offset=1") == [32, deploy]
        assert await sim.ids(f"{NEW}?order_by=name&order=desc") == [deploy, plan, task, 32, 31]
        assert await sim.ids(f"{NEW}?order_by=type") == [32, deploy, 31, plan, task]
        assert await sim.ids(f"{NEW}?type=plan&order_by=name") == [31, plan]
        page = (await sim.get(f"{NEW}?type=plan&limit=1"))["pagination"]
        wanted = {"limit": 1, "offset": 0, "order": "asc", "order_by": "next_run_time", "total": 2, "type": "plan"}
        assert page == wanted


# The older API and its commands


async def test_the_older_commands_make_schedules_that_the_older_api_shows_and_deletes():
    async with playing("empty", shape_version="2021.6") as sim:
        scheduled = {"scheduled_time": clock(60), "schedule_options": {"interval": {"units": "seconds", "value": 300}}}
        task = await sim.post("command/schedule_task", {"task": "facts", "params": {}, "scope": NODES, **scheduled})
        assert task == {"scheduled_job": {"id": "https://pe.test:8143/orchestrator/v1/scheduled_jobs/33", "name": "33"}}
        deploy = {"environment": "staging", "scope": NODES, "noop": True, "scheduled_time": clock(70)}
        assert list(await sim.post("command/schedule_deploy", deploy)) == ["job"]
        plan = {"plan_name": "rollout::web", "params": {"batch": 2}, "scheduled_time": clock(80)}
        assert list(await sim.post("command/schedule_plan", plan)) == ["scheduled_job"]
        items = (await sim.get("scheduled_jobs"))["items"]
        assert [int(item["name"]) for item in items] == [31, 32, 33, 34, 35]
        assert (items[2]["task"], items[2]["scheduled_time"], items[2]["type"]) == ("facts", clock(60), "task")
        assert (items[3]["noop"], items[3]["environment"]) == (True, "staging")
        assert (await sim.raw("DELETE", "scheduled_jobs/33", at=400.0)).status_code == 204
        assert await sim.ids("scheduled_jobs", at=1000.0) == [31, 32]
        jobs = (await sim.get("jobs?order_by=name"))["items"]
        assert [job["type"] for job in jobs] == ["task", "deploy", "plan_task", "task"]
        assert (await sim.raw("DELETE", "scheduled_jobs/33")).status_code == 404


async def test_an_older_puppet_run_needs_no_scope():
    async with playing("empty:nodes=3", shape_version="2019.8") as sim:
        await sim.post("command/schedule_deploy", {"environment": "production", "scheduled_time": clock(60)})
        assert (await sim.get("jobs/1", at=60.0))["node_count"] == 3


async def test_where_it_only_seems_to_be_there_an_empty_list_proves_nothing():
    async with playing("empty", scheduled="old-empty") as sim:
        await made(sim, order())
        assert await sim.get("scheduled_jobs") == {"items": []}
        assert (await sim.raw("DELETE", "scheduled_jobs/33")).status_code == 204
        assert 33 in await sim.ids(NEW)
        assert await sim.ids("jobs", at=61.0) == [1]


# The truth


async def test_the_truth_tells_what_became_of_every_schedule():
    async with playing("scheduled", at=70.0) as sim:
        await sim.put(f"{NEW}/33", {"enabled": False})
        told = [fact for fact in sim.facts if fact["fact"] == "schedule"]
        assert [(fact["id"], fact["change"]) for fact in told] == [
            *((number, "created") for number in (31, 32, 33, 34, 35, 36)),
            (33, "disabled"),
        ]
        runs = [fact for fact in sim.facts if fact["fact"] == "schedule_run"]
        started = {
            number: [run["started_job"] or run["started_plan"] for run in runs if run["schedule"] == number]
            for number in (33, 34, 35, 36)
        }
        assert [len(started[number]) for number in (33, 34, 35, 36)] == [14, 5, 7, 1]
        assert [run["error"] for run in runs if run["schedule"] == 35] == [None] * 6 + ["unknown-environment"]
        for run in runs:
            if run["started_job"]:
                assert (await sim.get(f"jobs/{run['started_job']}"))["created_timestamp"] == run["time"]
        for row in (await sim.get(NEW))["items"]:
            mine = [run for run in runs if run["schedule"] == int(row["name"])]
            assert int(row["name"]) < 33 or row["last_run"]["time"] == mine[-1]["time"]
