"""Refusals, wide: the many ways to ask for what cannot be. Each kind of section 2 once: test_errors.py."""

import re

import pytest

from orchbridge.sim.knobs import AUTH_FAULTS
from tests.sim.playing import playing

WEB = "web01.example.com"
NODES = {"nodes": [WEB]}
TASK = {"task": "package", "params": {"name": "openssl", "action": "status"}, "scope": NODES}
DEPLOY = {"environment": "production", "scope": NODES}
PLAN = {"plan_name": "rollout::web", "params": {"batch": 5}}
LATER, EARLIER = "2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
NEW = "scheduled_jobs/environment_jobs"
ORDER = {
    "type": "task",
    "input": {"name": "facts", "parameters": {}, "scope": NODES},
    "environment": "production",
    "schedule": {"start_time": LATER, "interval": None},
    "description": "",
    "userdata": {},
}
DAILY = {"start_time": LATER, "interval": {"units": "days", "value": 1}}
NEVER_ENDING = {"start_time": LATER, "interval": {"units": "seconds", "value": 0}}
UNDECLARED = {"name": "facts", "parameters": {"x": {"value": 1}}, "scope": NODES}
LOOKING = ["orchestrator:view:*"]
BLIND = ["puppet_agent:run:*", "tasks:run:*", "plans:run:*"]
QUERY = {"query": 'nodes { certname = "web01.example.com" }'}
KEYED = {"hostnames": [WEB], "password": "x", "private-key-content": "y"}


def post(path, body, status, kind, *, may=None, **knobs):
    return pytest.param("POST", path, body, status, kind, may, knobs, id=f"{path}-{kind}-{may}-{knobs}")


def get(path, status, kind, *, may=None, method="GET", body=None, **knobs):
    return pytest.param(method, path, body, status, kind, may, knobs, id=f"{method}-{path}-{kind}-{may}-{knobs}")


def task(status, kind, **changes):
    knobs = {key: changes.pop(key) for key in ("may", "required_params", "shape_version", "puppetdb") if key in changes}
    return post("command/task", {**TASK, **changes}, status, kind, **knobs)


REFUSALS = [
    # 400 validation-error: parameters, types, keys
    task(400, "validation-error", params={"name": "openssl", "colour": "red"}),
    task(400, "validation-error", params={"name": 7}),
    task(400, "validation-error", params={"name": ""}),
    task(400, "validation-error", params={"name": "openssl", "action": "erase"}),
    task(400, "validation-error", params={"name": "openssl"}, required_params="400"),
    task(400, "validation-error", params="name=openssl"),
    task(400, "validation-error", noop="yes"),
    task(400, "validation-error", timeout=True),
    task(400, "validation-error", scope={}),
    task(400, "validation-error", scope={**NODES, **QUERY}),
    task(400, "validation-error", scope={"colour": "red"}),
    task(400, "validation-error", scope={"whole_environment": True}, shape_version="2018.1"),
    task(400, "validation-error", scope={"node_group": "f00d"}, shape_version="2017.3"),
    task(400, "validation-error", scope={"application": "Shop"}),
    task(400, "validation-error", targets=[{"hostnames": ["other.example.com"], "password": "x"}]),
    task(400, "validation-error", targets=[{"hostnames": [WEB], "transport": "pigeon", "password": "x"}]),
    task(400, "validation-error", targets=[KEYED]),
    task(400, "validation-error", targets=[{"hostnames": [WEB]}]),
    task(400, "validation-error", targets=[{"hostnames": [WEB], "password": "x", "port": "22"}]),
    post("command/deploy", {**DEPLOY, "concurrency": "8"}, 400, "validation-error"),
    post("command/deploy", {**DEPLOY, "userdata": []}, 400, "validation-error"),
    post("command/stop", {"job": "1", "force": "yes"}, 400, "validation-error"),
    post("command/stop", {}, 400, "validation-error"),
    post("command/stop", [], 400, "validation-error"),
    post("command/stop_plan", {"plan_job": "x"}, 400, "validation-error"),
    post("command/plan_run", {**PLAN, "params": {"batch": "many"}}, 400, "validation-error"),
    post("command/plan_run", {**PLAN, "params": {"colour": "red"}}, 400, "validation-error"),
    post("command/environment_plan_run", PLAN, 400, "validation-error"),
    post("command/environment_plan_run", {"plan_name": "rollout::web"}, 400, "validation-error"),
    post(
        "command/environment_plan_run",
        {**PLAN, "params": {"batch": {"value": 1, "type": "guess"}}},
        400,
        "validation-error",
    ),
    post("command/task_target", {}, 400, "validation-error"),
    post("command/task_target", {"display_name": "x", "nodes": [], "node_groups": []}, 400, "validation-error"),
    post("command/plan_start", {}, 400, "validation-error"),
    post("command/plan_finish", {"plan_job": "1", "status": "tired"}, 400, "validation-error"),
    post("command/schedule_task", TASK, 400, "validation-error"),
    post("command/schedule_task", {**TASK, "scheduled_time": "soon"}, 400, "validation-error"),
    post(NEW, {**ORDER, "type": "dance"}, 400, "validation-error"),
    post(NEW, {key: ORDER[key] for key in ORDER if key != "userdata"}, 400, "validation-error"),
    post(
        NEW,
        {**ORDER, "schedule": {"start_time": LATER, "interval": {"units": "days", "value": 1}}},
        400,
        "validation-error",
    ),
    post(
        NEW,
        {**ORDER, "schedule": {"start_time": LATER, "interval": {"units": "seconds", "value": 0}}},
        400,
        "validation-error",
    ),
    post(
        NEW,
        {**ORDER, "input": {"name": "facts", "parameters": {"x": {"value": 1}}, "scope": NODES}},
        400,
        "validation-error",
    ),
    post(NEW, {**ORDER, "type": "deploy", "input": {"noop": True}}, 400, "validation-error"),
    get(f"{NEW}/32", 400, "validation-error", method="PUT", body={"input": {"noop": True}}),
    get(f"{NEW}/32", 400, "validation-error", method="PUT", body={"input": []}),
    post(NEW, {**ORDER, "type": "deploy", "input": {"scope": {"application": "Shop"}}}, 400, "validation-error"),
    get("usage?start_date=yesterday", 400, "validation-error"),
    get("usage?start_date=2025-03-09&end_date=2025-03-01", 400, "validation-error"),
    get("usage?events=some", 400, "validation-error"),
    get("scopes/task_targets/x", 400, "validation-error"),
    get("tasks/No-Such/x", 400, "validation-error"),
    get("plans/no/Such", 400, "validation-error"),
    get("plans?environment=no%20such", 400, "validation-error"),
    get("jobs/1/events?start=-1", 400, "validation-error"),
    get("scheduled_jobs/x", 400, "validation-error", method="DELETE", scheduled="old"),
    # 400, each its own kind
    post("command/deploy", {"environment": "", "scope": NODES}, 400, "empty-environment"),
    post("command/deploy", {"environment": "", "enforce_environment": False}, 400, "empty-environment"),
    task(400, "empty-target", scope={"nodes": []}),
    task(400, "empty-target", scope={"query": 'nodes { certname = "none.example.com" }'}),
    task(400, "empty-target", scope={"query": 'nodes { certname = "web01" }'}),
    task(400, "empty-target", scope={"query": ["=", "certname", "none.example.com"]}),
    post("command/deploy", {**DEPLOY, "scope": {"nodes": []}}, 400, "empty-target"),
    post(
        "command/deploy", {"environment": "production", "target": "Shop"}, 400, "unknown-target", shape_version="2016.4"
    ),
    post(
        "command/deploy",
        {**DEPLOY, "scope": {"application": "Ouroboros[ring]"}},
        400,
        "dependency-cycle",
        shape_version="2017.3",
    ),
    task(400, "puppetdb-error", scope=QUERY, puppetdb="down"),
    task(400, "query-error", scope={"query": "nodes { certname ="}),
    task(400, "query-error", scope={"query": 'nodes { certname ~ "(" }'}),
    task(400, "query-error", scope={"query": ["loves", "certname", WEB]}),
    task(400, "query-error", scope=QUERY, may=["tasks:run:*"]),
    get(f"{NEW}?limit=many", 400, "query-error"),
    get(f"{NEW}?order_by=colour", 400, "query-error"),
    get(f"{NEW}?type=dance", 400, "query-error"),
    get(f"{NEW}/x", 400, "query-error"),
    get(NEW, 400, "query-error", may=BLIND),
    get(f"{NEW}/99", 400, "query-error", method="PUT", body={"enabled": False}),
    get("scheduled_jobs?order_by=colour", 400, "query-error", scheduled="old"),
    post(NEW, {**ORDER, "schedule": {"start_time": EARLIER, "interval": None}}, 400, "invalid-time"),
    get(f"{NEW}/31", 400, "invalid-time", method="PUT", body={"schedule": {"start_time": EARLIER}}),
    post("command/schedule_task", {**TASK, "scheduled_time": EARLIER}, 400, "invalid-time"),
    post("command/schedule_deploy", {**DEPLOY, "scheduled_time": EARLIER}, 400, "invalid-time"),
    post("command/schedule_plan", {**PLAN, "scheduled_time": EARLIER}, 400, "invalid-time"),
    # 403
    task(403, "not-permitted", may=LOOKING),
    task(403, "not-permitted", may=["tasks:run:facts"]),
    task(403, "not-permitted", scope={"node_group": "f00d"}, may=["tasks:run:*"]),
    post("command/deploy", DEPLOY, 403, "not-permitted", may=LOOKING),
    post("command/plan_run", PLAN, 403, "not-permitted", may=["plans:run:patching::weekly"]),
    post("command/environment_plan_run", {**PLAN, "params": {}}, 403, "not-permitted", may=LOOKING),
    post("command/stop", {"job": "1"}, 403, "not-permitted", may=BLIND),
    post("command/stop_plan", {"plan_job": "1"}, 403, "not-permitted", may=BLIND),
    post("command/plan_start", {"plan_name": "rollout::web"}, 403, "not-permitted", may=LOOKING),
    post(NEW, ORDER, 403, "not-permitted", may=LOOKING),
    get(f"{NEW}/31", 403, "not-permitted", method="PUT", body={"enabled": False}, may=[*LOOKING, *BLIND]),
    get("scheduled_jobs/31", 403, "not-permitted", method="DELETE", may=LOOKING, scheduled="old"),
    *(
        get(path, 403, "not-permitted", may=BLIND)
        for path in (
            *("jobs", "jobs/1", "jobs/1/nodes", "jobs/1/report", "jobs/1/events", "inventory", f"inventory/{WEB}"),
            *("plan_jobs", "plan_jobs/1", "plan_jobs/1/events", "plan_jobs/1/event/1"),
        )
    ),
    post("inventory", {"nodes": [WEB]}, 403, "not-permitted", may=BLIND),
    # 404
    task(404, "unknown-task", task="no::such"),
    task(404, "unknown-environment", environment="mars"),
    post(NEW, {**ORDER, "environment": "mars"}, 404, "unknown-environment"),
    post(NEW, {**ORDER, "input": {**ORDER["input"], "name": "no::such"}}, 404, "unknown-task"),
    post(NEW, {**ORDER, "type": "plan", "input": {"name": "no::such", "parameters": {}}}, 404, "unknown-plan"),
    post("command/plan_run", {**PLAN, "environment": "mars"}, 404, "unknown-environment"),
    post("command/plan_task", {**TASK, "plan_job": "99"}, 404, "unknown-job"),
    post("command/plan_finish", {"plan_job": "99", "status": "success"}, 404, "unknown-job"),
    get("scopes/task_targets/99", 404, "unknown-task-target"),
    get("tasks/no/such", 404, "unknown-task"),
    get("plans/no/such", 404, "unknown-plan"),
    get("plan_jobs/1/event/999", 404, "mismatched-job-event-id"),
    get("scheduled_jobs/99", 404, "unknown-scheduled-job", method="DELETE", scheduled="old"),
    # 500
    get("inventory", 500, "unknown-error", inventory="500"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "may", "knobs"), REFUSALS)
async def test_refusals(method, path, body, status, kind, may, knobs):
    async with playing("quiet", **knobs) as sim:
        if may is not None:
            await sim.enter("someone", may)
        sim.world.advance(0.0)
        before = sim.world.job_ids.last, sim.world.plan_ids.last, len(sim.world.schedules)
        answer = await sim.raw(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == status, answer.text
        told = answer.json()
        assert told["kind"] == f"puppetlabs.orchestrator/{kind}"
        assert told["msg"]
        assert "details" not in told or isinstance(told["details"], dict)
        assert (sim.world.job_ids.last, sim.world.plan_ids.last, len(sim.world.schedules)) == before


async def test_a_disabled_schedule_cannot_be_edited():
    async with playing("quiet") as sim:
        await sim.put(f"{NEW}/31", {"enabled": False})
        for change in ({"enabled": True}, {"description": "again"}, {"enabled": False}):
            answer = await sim.put(f"{NEW}/31", change, ok=400)
            assert answer["kind"] == "puppetlabs.orchestrator/disabled-scheduled-job"


@pytest.mark.parametrize("fault", [*AUTH_FAULTS, "server-error-401"])
async def test_the_authentication_layer_refuses_with_401_everywhere(fault):
    async with playing("quiet", auth_fault=fault) as sim:
        for path in ("", "jobs", "usage", "scopes/task_targets", NEW, "/activity-api/v2/events"):
            answer = await sim.get(path, ok=401)
            assert re.fullmatch(r"puppetlabs\.rbac/[a-z-]+", answer["kind"])


async def test_methods_that_a_route_does_not_have():
    async with playing("quiet") as sim:
        for method, path in (("DELETE", "jobs/1"), ("PUT", "jobs/1"), ("DELETE", f"{NEW}/31"), ("GET", "command/stop")):
            assert (await sim.raw(method, path)).status_code == 405
