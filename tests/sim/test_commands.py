"""Commands start and stop jobs that then live as scripted; refusals are those of the reference."""

import pytest

from orchbridge.sim.catalogue import TASKS
from tests.sim.playing import TOKEN, playing

WEB, APP = "web01.example.com", "app01.example.com"
ORCHESTRATOR = "puppetlabs.orchestrator"


async def test_deploy_carries_what_was_asked():
    async with playing("empty") as sim:
        asked = {
            "environment": "staging",
            "scope": {"nodes": [WEB, "off.example.com"]},
            "noop": True,
            "description": "try it",
            "userdata": {"change": "CHG1"},
        }
        started = await sim.post("command/deploy", asked)
        assert started == {"job": {"id": "https://pe.test:8143/orchestrator/v1/jobs/1", "name": "1"}}
        job = await sim.get("jobs/1")
        assert (job["state"], job["node_states"], job["userdata"]) == ("new", {"new": 2}, {"change": "CHG1"})
        assert (job["description"], job["environment"]) == ("try it", {"name": "staging"})
        assert (job["options"]["noop"], job["options"]["scope"]) == (True, {"nodes": [WEB, "off.example.com"]})
        job = await sim.get("jobs/1", at=30.0)
        assert (job["state"], job["node_states"]["errored"]) == ("failed", 1)
        events = (await sim.get("jobs/1/events"))["items"]
        assert events[0]["type"] == "node_errored"
        assert events[-1]["type"] == "job_finished"
        assert all(e["details"]["detail"]["noop"] for e in events if e["type"] == "node_running")


async def test_task_names_its_sensitive_parameters_and_drops_their_values():
    async with playing("empty") as sim:
        params = {"database": "erp", "password": "hush", "path": "/tmp"}
        await sim.post("command/task", {"task": "dbx::dump", "params": params, "scope": {"nodes": [WEB]}})
        answer = await sim.raw("GET", "jobs/1", at=30.0)
        assert answer.json()["options"]["sensitive"] == ["password"]
        assert answer.json()["options"]["params"] == {"database": "erp", "path": "/tmp"}
        assert "hush" not in answer.text
        assert [item["state"] for item in answer.json()["status"]] == ["ready", "running", "finished"]


async def test_stop_without_force_waits_for_what_runs_and_can_be_repeated():
    async with playing("empty:nodes=30,shortest=5,longest=6") as sim:
        await sim.post("command/deploy", {"environment": "production"})
        stopped = await sim.post("command/stop", {"job": "1"}, at=2.0)
        assert stopped["job"]["nodes"] == {"running": 8, "new": 22}
        assert (await sim.get("jobs/1"))["state"] == "stopping"
        await sim.post("command/stop", {"job": "1"})
        job = await sim.get("jobs/1", at=30.0)
        assert job["state"] == "stopped"
        assert job["node_states"]["new"] == 22
        types = [event["type"] for event in (await sim.get("jobs/1/events"))["items"]]
        assert types.count("job_stopping") == 1
        assert types.count("node_running") == 8
        assert types[-1] == "job_finished"


@pytest.mark.parametrize(("version", "state"), [("2025", "stopped"), ("2019.8", "stopping")])
async def test_force_where_the_server_knows_it(version, state):
    async with playing("empty", shape_version=version) as sim:
        await sim.post("command/deploy", {"environment": "production"})
        await sim.post("command/stop", {"job": "1", "force": True}, at=1.0)
        assert (await sim.get("jobs/1"))["state"] == state


async def test_plans_run_and_are_stopped():
    async with playing("empty") as sim:
        wrapped = {"plan_name": "rollout::web", "params": {"batch": {"value": 7}}}
        assert await sim.post("command/environment_plan_run", wrapped) == {"name": "1"}
        assert (await sim.get("plan_jobs/1"))["options"]["parameters"] == {"batch": 7}
        assert await sim.post("command/stop_plan", {"plan_job": "1"}, at=1.2) == {"name": "1"}
        await sim.post("command/stop_plan", {"plan_job": "1"})
        plan = await sim.get("plan_jobs/1", at=60.0)
        assert plan["state"] == "failure"
        assert (await sim.get("plan_jobs/1/events"))["items"][-1]["type"] == "plan_failed"
        assert (await sim.get("jobs/1"))["state"] == "finished"  # the job it had started went on


async def test_ids_of_commands_follow_one_another():
    async with playing("empty") as sim:
        for number in (1, 2, 3):
            started = await sim.post("command/deploy", {"environment": "production"})
            assert started["job"]["name"] == str(number)
        assert [fact["id"] for fact in sim.facts if fact["fact"] == "job"] == [1, 2, 3]


TASK = {"task": "facts", "params": {}, "scope": {"nodes": [WEB]}}
REFUSALS = [
    ("GET", "jobs/x", None, 400, "validation-error"),
    ("GET", "jobs/-1", None, 400, "validation-error"),
    ("GET", "jobs/1/events?start=x", None, 400, "validation-error"),
    ("GET", "jobs?limit=many", None, 400, "validation-error"),
    ("GET", "jobs?order=up", None, 400, "validation-error"),
    ("GET", "jobs?order_by=colour", None, 400, "validation-error"),
    ("GET", "jobs?type=deploy&task=x", None, 400, "validation-error"),
    ("GET", "jobs?min_finish_timestamp=yesterday", None, 400, "validation-error"),
    ("GET", "jobs/1/nodes?state=happy", None, 400, "validation-error"),
    ("GET", "jobs/99", None, 404, "unknown-job"),
    ("GET", "jobs/99/nodes", None, 404, "unknown-job"),
    ("GET", "jobs/99/report", None, 404, "unknown-job"),
    ("GET", "jobs/99/events", None, 404, "unknown-job"),
    ("GET", "plan_jobs/x", None, 400, "validation-error"),
    ("GET", "plan_jobs/99", None, 404, "unknown-job"),
    ("GET", "plan_jobs/99/events", None, 404, "unknown-job"),
    ("GET", "plan_jobs/1/event/999", None, 404, "mismatched-job-event-id"),
    ("GET", "plan_jobs/1/event/x", None, 400, "validation-error"),
    ("GET", "plan_jobs?results=some", None, 400, "validation-error"),
    ("GET", "tasks/no/such", None, 404, "unknown-task"),
    ("GET", "tasks/legacy/cleanup", None, 404, "unknown-task"),
    ("GET", "tasks?environment=mars", None, 404, "unknown-environment"),
    ("GET", "plans/no/such", None, 404, "unknown-plan"),
    ("GET", "plans?environment=mars", None, 404, "unknown-environment"),
    ("POST", "inventory", {}, 400, "validation-error"),
    ("POST", "command/deploy", {}, 400, "validation-error"),
    ("POST", "command/deploy", [], 400, "validation-error"),
    ("POST", "command/deploy", {"environment": "mars"}, 404, "unknown-environment"),
    ("POST", "command/deploy", {"environment": ""}, 400, "empty-environment"),
    ("POST", "command/deploy", {"environment": "production", "scope": {"nodes": []}}, 400, "empty-target"),
    ("POST", "command/deploy", {"environment": "production", "scope": {}}, 202, None),
    ("POST", "command/deploy", {"environment": "production", "noop": True, "no_noop": True}, 400, "validation-error"),
    ("POST", "command/task", {**TASK, "scope": {"query": 'nodes { certname = "none" }'}}, 400, "empty-target"),
    ("POST", "command/task", {"task": "facts"}, 400, "validation-error"),
    ("POST", "command/task", {**TASK, "task": "no::such"}, 404, "unknown-task"),
    ("POST", "command/task", {**TASK, "task": "legacy::cleanup"}, 404, "unknown-task"),
    ("POST", "command/task", {**TASK, "task": "lockdown::wipe"}, 403, "not-permitted"),
    ("POST", "command/task", {**TASK, "environment": "mars"}, 404, "unknown-environment"),
    ("POST", "command/stop", {"job": "x"}, 400, "validation-error"),
    ("POST", "command/stop", {"job": "99"}, 404, "unknown-job"),
    ("POST", "command/stop_plan", {"plan_job": "99"}, 404, "unknown-job"),
    ("POST", "command/plan_run", {}, 400, "validation-error"),
    ("POST", "command/plan_run", {"plan_name": "lockdown::all"}, 403, "not-permitted"),
    ("POST", "command/plan_run", {"plan_name": "no::such"}, 404, "unknown-plan"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind"), REFUSALS)
async def test_refusals(method, path, body, status, kind):
    async with playing("quiet") as sim:
        answer = await sim.raw(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == status, answer.text
        if kind is not None:
            assert answer.json()["kind"] == f"{ORCHESTRATOR}/{kind}"
            assert answer.json()["msg"]


async def test_a_body_that_is_no_json():
    async with playing("quiet") as sim:
        answer = await sim.raw("POST", "inventory", content=b"{")
        assert (answer.status_code, answer.json()["kind"]) == (400, f"{ORCHESTRATOR}/validation-error")


async def test_routes_that_do_not_exist_answer_without_a_kind():
    async with playing("quiet") as sim:
        for path in ("dumplings", "jobs/1/catalog", "jobs/1/events/1", "/somewhere"):
            answer = await sim.raw("GET", path)
            assert (answer.status_code, answer.text) == (404, "Not Found")
        assert (await sim.raw("DELETE", "jobs/1")).status_code == 405


@pytest.mark.parametrize(("sent", "kind"), [(None, "user-unauthenticated"), ("wrong", "invalid-token")])
async def test_the_token_is_checked(sent, kind):
    async with playing("quiet", token=TOKEN, sent=sent) as sim:
        for path in ("", "jobs", "jobs/1/events", "inventory", "tasks", "jobs/x"):
            answer = await sim.get(path, ok=401)
            assert answer["kind"] == f"puppetlabs.rbac/{kind}"
        assert (await sim.raw("POST", "command/stop", json={"job": "1"})).status_code == 401
        await sim.get("/status/v1/services")
        assert (await sim.raw("GET", "/status/v1/simple")).text == "running"


async def test_the_right_token_is_let_in():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.get("jobs")


async def test_every_task_but_the_lost_one_has_metadata():
    async with playing("quiet") as sim:
        listed = [item["name"] for item in (await sim.get("tasks"))["items"]]
        assert listed == [name for name in TASKS if name != "legacy::cleanup"]
        meta = await sim.get("tasks/dbx/dump")
        assert meta["metadata"]["parameters"]["password"]["sensitive"] is True
        assert (await sim.get("tasks/facts/init"))["name"] == "facts"


async def test_root_and_status():
    async with playing("quiet") as sim:
        root = await sim.get("")
        assert await sim.get("/orchestrator") == root  # as the manual spells it
        assert root["info"]["version"] == "0.1"
        assert [command["name"] for command in root["commands"]] == ["deploy", "stop"]
        status = await sim.get("/status/v1/services/orchestrator-service?level=debug")
        assert status["orchestrator-service"]["status"]["db_up"] is True
        await sim.get("/status/v1/services/unheard-of", ok=404)
        await sim.get("/status/v1/services?level=loud", ok=400)
