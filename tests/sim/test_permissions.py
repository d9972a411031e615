"""What a user may do follows from their rights, and what they start is theirs."""

import pytest

from tests.sim.playing import TOKEN, playing

WEB, APP, DB = "web01.example.com", "app01.example.com", "db01.example.com"
FACTS = {"task": "facts", "params": {}, "scope": {"nodes": [WEB, APP]}}
TARGET = {"display_name": "the web", "tasks": ["facts"], "nodes": [WEB], "node_groups": []}


async def test_the_simulators_own_token_may_do_everything_and_owns_what_it_starts():
    async with playing("empty", token=TOKEN) as sim:
        await sim.post("command/task", FACTS)
        assert (await sim.get("jobs/1"))["owner"]["login"] == "bridge"
        assert [fact["owner"] for fact in sim.facts if fact["fact"] == "job"] == ["bridge"]


@pytest.mark.parametrize("login", ["ops", "someone"])
async def test_jobs_plans_and_their_children_belong_to_who_started_them(login):
    async with playing("empty", token=TOKEN) as sim:
        rights = ["orchestrator:view:*", "tasks:run:facts", "plans:run:rollout::web", "puppet_agent:run:*"]
        await (sim.become(login) if login == "ops" else sim.enter(login, rights))
        await sim.post("command/task", FACTS)
        await sim.post("command/deploy", {"environment": "production"})
        await sim.post("command/plan_run", {"plan_name": "rollout::web", "params": {"batch": 1}})
        jobs = (await sim.get("jobs?order_by=name", at=30.0))["items"]
        assert [(job["type"], job["owner"]["login"]) for job in jobs] == [
            ("task", login),
            ("deploy", login),
            ("plan_task", login),
        ]
        assert (await sim.get("plan_jobs/1"))["owner"]["id"] == jobs[0]["owner"]["id"]


async def test_a_viewer_reads_everything_and_may_stop_but_starts_nothing():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.become("viewer")
        await sim.ids("jobs")
        await sim.ids("plan_jobs")
        await sim.get("inventory")
        await sim.post("command/stop", {"job": "1"})
        await sim.post("command/stop_plan", {"plan_job": "1"})
        await sim.post("command/task", FACTS, ok=403)


async def test_lists_of_tasks_and_plans_tell_what_is_permitted():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.enter("narrow", ["tasks:run:facts", "plans:run:rollout::web"])
        tasks = {item["name"]: item["permitted"] for item in (await sim.get("tasks"))["items"]}
        plans = {item["name"]: item["permitted"] for item in (await sim.get("plans"))["items"]}
        assert [name for name, permitted in tasks.items() if permitted] == ["facts"]
        assert [name for name, permitted in plans.items() if permitted] == ["rollout::web"]
        assert (await sim.get("tasks/package/init"))["permitted"] is False


async def test_nodes_outside_a_task_target_are_dropped_silently():
    async with playing("empty", token=TOKEN) as sim:
        made = await sim.post("command/task_target", TARGET, ok=200)
        assert made["task_target"]["name"] == "1"
        await sim.enter("webmaster", ["orchestrator:view:*", "tasks:run_with_constraints:1"])
        await sim.post("command/task", FACTS)
        assert [row["name"] for row in (await sim.get("jobs/1/nodes"))["items"]] == [WEB]
        await sim.post("command/task", {**FACTS, "scope": {"nodes": [APP, DB]}}, ok=403)
        await sim.post("command/task", {**FACTS, "task": "service::restart"}, ok=403)
        permitted = {item["name"]: item["permitted"] for item in (await sim.get("tasks"))["items"]}
        assert (permitted["facts"], permitted["service::restart"]) == (True, False)


async def test_task_targets_are_shown_as_they_were_made():
    async with playing("empty") as sim:
        await sim.post("command/task_target", TARGET, ok=200)
        everything = {"display_name": "all", "all_tasks": True, "tasks": ["x"], "nodes": [], "node_groups": ["f00d"]}
        await sim.post("command/task_target", {**everything, "pql_query": "nodes {}"}, ok=200)
        first, second = (await sim.get("scopes/task_targets"))["items"]
        assert first == {
            "id": "https://pe.test:8143/orchestrator/v1/scopes/task_targets/1",
            "name": "1",
            "display_name": "the web",
            "all_tasks": False,
            "nodes": [WEB],
            "node_groups": [],
            "tasks": ["facts"],
        }
        assert "tasks" not in second
        assert (second["all_tasks"], second["pql_query"]) == (True, "nodes {}")
        assert await sim.get("scopes/task_targets/2") == second


async def test_one_users_schedule_is_anothers_to_disable_only_with_the_right():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.become("ada")
        path = "scheduled_jobs/environment_jobs/31"
        assert (await sim.put(path, {"enabled": False}, ok=403))["kind"] == "puppetlabs.orchestrator/not-permitted"
        await sim.enter("keeper", ["orchestrator:view:*", "scheduled_jobs:delete:*"])
        await sim.put(path, {"enabled": False})


async def test_rights_can_be_changed_while_a_token_lives():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.enter("someone", ["orchestrator:view:*"])
        await sim.get("jobs")
        await sim.post("/sim/users", {"login": "someone", "permissions": []}, ok=200)
        await sim.get("jobs", ok=403)
        await sim.post("/sim/users", {"login": "someone", "roles": [3]}, ok=200)
        await sim.get("jobs")
        told = (await sim.get("/sim/users"))["users"]
        assert {"login": "someone", "roles": [3], "revoked": False}.items() <= told[-1].items()
        assert "simulated" not in str(told)  # the password


@pytest.mark.parametrize("path", ["/sim/users", "/sim/tokens", "/sim/environments", "/sim/activity", "/sim/purge"])
async def test_levers_say_what_they_want(path):
    async with playing("quiet") as sim:
        for body in ([], {}, {"login": 7, "name": 7}):
            answer = await sim.post(path, body, ok=400)
            assert answer["msg"].startswith(("The body must be", "login must be"))
