"""What a user may do follows from their rights, and what they start is theirs."""

import pytest

from tests.sim.playing import TOKEN, playing

WEB, APP, DB = "web01.example.com", "app01.example.com", "db01.example.com"
FACTS = {"task": "facts", "params": {}, "scope": {"nodes": [WEB, APP]}}
TARGET = {"display_name": "the web", "tasks": ["facts"], "nodes": [WEB], "node_groups": []}


QUERY, GROUP = {"query": "nodes {}"}, {"node_group": "f00d"}
DEPLOY = {"environment": "production", "scope": {"nodes": [WEB]}}
NEW, OLD = "scheduled_jobs/environment_jobs", {"shape_version": "2021.6"}
RUN = {"plan_name": "rollout::web", "params": {}}
TIME = {"start_time": "2030-01-01T00:00:00Z"}
ORDER = {"type": "task", "input": {"name": "facts", "parameters": {}, "scope": FACTS["scope"]}}
ORDER |= {"environment": "production", "schedule": TIME, "description": "", "userdata": {}}
SEEN = ("jobs", "jobs/1", "jobs/1/nodes", "jobs/1/report", "jobs/1/events", "inventory", f"inventory/{WEB}")
SEEN += ("plan_jobs", "plan_jobs/1", "plan_jobs/1/events", "plan_jobs/1/event/1")
FREE = ("", "tasks", "tasks/package/init", "plans", "plans/rollout/web", "usage", "scopes/task_targets")

# needed for | permission, one or another | what asks for it | what comes without it (section 3)
PERMISSIONS = [
    ("read jobs, nodes, report, events, plan jobs, inventory", ("orchestrator:view:*",),
     [*(("GET", path, None) for path in SEEN), ("POST", "inventory", {"nodes": [WEB]})], (403, "not-permitted")),
    ("command/stop and stop_plan", ("orchestrator:view:*",),
     [("POST", "command/stop", {"job": "1"}), ("POST", "command/stop_plan", {"plan_job": "1"})],
     (403, "not-permitted")),
    ("read scheduled jobs", ("orchestrator:view:*",),
     [("GET", NEW, None), ("GET", f"{NEW}/31", None)], (400, "query-error")),
    ("command/deploy", ("puppet_agent:run:*",), [("POST", "command/deploy", DEPLOY)], (403, "not-permitted")),
    ("command/task", ("tasks:run:facts", "tasks:run:*"), [("POST", "command/task", FACTS)], (403, "not-permitted")),
    ("a schedule of a task", ("tasks:run:facts", "tasks:run:*"), [("POST", NEW, ORDER)], (403, "not-permitted")),
    ("plan_run, environment_plan_run", ("plans:run:rollout::web", "plans:run:*"),
     [("POST", "command/plan_run", RUN), ("POST", "command/environment_plan_run", RUN)], (403, "not-permitted")),
    ("Scope.query", ("nodes:view_data:*",),
     [("POST", "command/task", {**FACTS, "scope": QUERY}), ("POST", "command/deploy", {**DEPLOY, "scope": QUERY})],
     (400, "query-error")),
    ("Scope.node_group", ("node_groups:view:f00d", "node_groups:view:*"),
     [("POST", "command/task", {**FACTS, "scope": GROUP}), ("POST", "command/deploy", {**DEPLOY, "scope": GROUP})],
     (403, "not-permitted")),
    ("disable someone else's scheduled job", ("scheduled_jobs:delete:*",),
     [("PUT", f"{NEW}/31", {"enabled": False})], (403, "not-permitted")),
]  # fmt: skip
ALL = {one for _, permissions, *_ in PERMISSIONS for one in permissions}
EACH = [
    pytest.param(permission, set(permissions), asked, without, id=f"{needed_for}-{permission}")
    for needed_for, permissions, asked, without in PERMISSIONS
    for permission in permissions
]


async def asked_by(sim, method, path, body):
    return await sim.raw(method, path, **({} if body is None else {"json": body}))


@pytest.mark.parametrize(("permission", "either", "asked", "without"), EACH)
async def test_with_the_permission_it_is_done_and_without_it_refused(permission, either, asked, without):
    for request in asked:
        async with playing("quiet", token=TOKEN) as sim:
            await sim.enter("lacking", ALL - either)
            answer = await asked_by(sim, *request)
            assert (answer.status_code, answer.json()["kind"]) == (without[0], f"puppetlabs.orchestrator/{without[1]}")
            sim.http.headers["X-Authentication"] = TOKEN
            await sim.enter("having", (ALL - either) | {permission})
            assert (await asked_by(sim, *request)).is_success, request


@pytest.mark.parametrize("path", FREE)
async def test_what_any_token_may_read(path):
    """Lists of tasks and plans are for everybody; of usage and scopes nothing is documented."""
    async with playing("quiet", token=TOKEN) as sim:
        await sim.become("nobody")
        await sim.get(path)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_activity_log_is_for_any_token_but_not_for_none(version):
    """Section 15 names a token or a certificate, and no permission; with a knob it can be refused all the same."""
    path = f"/activity-api/{version}/events?service_id=rbac"
    async with playing("quiet", token=TOKEN) as sim:
        await sim.become("nobody")
        await sim.get(path)
        await sim.turn(forbidden="activity")
        answer = await sim.get(path, ok=403)
        assert answer["kind"] == "puppetlabs.activity/permission-denied"
        sim.http.headers["X-Authentication"] = ""
        await sim.get(path, ok=401)


async def test_everybody_may_make_a_task_target():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.become("nobody")
        await sim.post("command/task_target", TARGET, ok=200)


async def test_deleting_a_schedule_of_the_older_api_is_for_its_owner_and_who_may():
    for permissions, status in ((["orchestrator:view:*"], 403), (["scheduled_jobs:delete:*"], 204)):
        async with playing("quiet", token=TOKEN, **OLD) as sim:
            await sim.enter("someone", permissions)
            assert (await sim.raw("DELETE", "scheduled_jobs/31")).status_code == status


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


@pytest.mark.parametrize(
    "path", ["/sim/users", "/sim/tokens", "/sim/environments", "/sim/activity", "/sim/purge", "/sim/rewind"]
)
async def test_levers_say_what_they_want(path):
    async with playing("quiet") as sim:
        for body in ([], {}, {"login": 7, "name": 7}):
            answer = await sim.post(path, body, ok=400)
            assert answer["msg"].startswith(("The body must be", "login must be"))
