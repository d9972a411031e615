"""Whatever is sent, the simulator answers: no body makes it fall over."""

import json
from urllib.parse import quote

import pytest

from tests.sim.playing import playing

WEB = "web01.example.com"
ODD = (None, [], {}, [None], {"x": None}, "", "x", "nul\0", 7, -1, 1.5, True, ["a", 1, {}], {"value": {"value": []}})
SCOPE = {"nodes": [WEB]}
NEW = "scheduled_jobs/environment_jobs"
LATER = "2030-01-01T00:00:00Z"
TASK = {
    "task": "package",
    "params": {"name": "openssl"},
    "scope": SCOPE,
    "environment": "production",
    "targets": [{"hostnames": [WEB], "user": "root", "password": "x", "transport": "ssh", "port": 22}],
    "noop": False,
    "description": "",
    "userdata": {},
    "timeout": 9,
}
PLAN = {"plan_name": "rollout::web", "params": {"batch": 5}, "environment": "production", "userdata": {}}
SOON = {"scheduled_time": LATER, "schedule_options": {"interval": {"units": "seconds", "value": 9}}}
ORDER = {
    "type": "task",
    "input": {"name": "package", "parameters": {"name": {"value": "x"}}, "scope": SCOPE, "targets": [], "noop": True},
    "environment": "production",
    "schedule": {"start_time": LATER, "interval": {"units": "seconds", "value": 60}},
    "description": "",
    "userdata": {},
    "enabled": True,
}
RUN = {
    "environment": "production",
    "scope": {"query": ["and", ["=", "certname", WEB], ["not", ["~", "certname", "x"]]]},
}
BODIES = {
    "command/deploy": {**RUN, "concurrency": 8, "noop": True, "tags": "x", "target": "nodes"},
    "command/task": TASK,
    "command/stop": {"job": "1", "force": True},
    "command/stop_plan": {"plan_job": "1"},
    "command/plan_run": PLAN,
    "command/environment_plan_run": {**PLAN, "params": {"batch": {"value": "nodes {}", "type": "query"}}},
    "command/task_target": {"display_name": "x", "tasks": ["x"], "nodes": [WEB], "node_groups": [], "pql_query": "x"},
    "command/plan_start": {"plan_name": "x", "description": "", "params": {}, "sensitive": ["x"]},
    "command/plan_task": {**TASK, "plan_job": "1"},
    "command/plan_finish": {"plan_job": "1", "result": [1], "status": "success"},
    "command/schedule_task": {**TASK, **SOON},
    "command/schedule_deploy": {**RUN, **SOON},
    "command/schedule_plan": {**PLAN, **SOON},
    NEW: ORDER,
    f"{NEW} plan": {**ORDER, "type": "plan", "input": {"name": "patching::adhoc", "parameters": {"x": {"value": 1}}}},
    f"{NEW} deploy": {**ORDER, "type": "deploy", "input": {"scope": SCOPE, "noop": True}},
    f"PUT {NEW}/31": {key: ORDER[key] for key in ("input", "environment", "schedule", "userdata", "enabled")},
    f"PUT {NEW}/32": {"input": {"scope": SCOPE}, "schedule": ORDER["schedule"]},
    "inventory": {"nodes": [WEB]},
    "/rbac-api/v1/auth/token": {"login": "ops", "password": "x", "lifetime": "1h", "label": "x"},
    "/rbac-api/v1/tokens": {"lifetime": "1h", "label": "x", "description": "x", "client": "x"},
    "/rbac-api/v2/auth/token/authenticate": {"token": "x", "update_last_activity?": True},
    "DELETE /rbac-api/v2/tokens": {"revoke_tokens": ["x"], "revoke_tokens_by_labels": ["x"]},
    "/sim/users": {"login": "x", "password": "x", "permissions": ["a:b:c"], "roles": [1], "idle_minutes": 1},
    "/sim/tokens": {"login": "ops", "token": "x", "lifetime": "1h", "label": "x"},
    "/sim/environments": {"name": "x", "present": True},
    "/sim/activity": {
        **{"service": "classifier", "subject": "ada", "type": "edit", "message": "x"},
        "object": {"type": "x", "id": "x", "name": "x"},
    },
    "/sim/purge": {"oldest": 1},
    "/sim/rewind": {"newest": 1},
}


def variants(value, depth=3):
    """Yield a value with one part of it replaced by something odd, or missing."""
    yield from ODD
    if not depth or not value:
        return
    if isinstance(value, dict):
        for key in value:
            yield {name: part for name, part in value.items() if name != key}
            for part in variants(value[key], depth - 1):
                yield {**value, key: part}
    elif isinstance(value, list):
        for place, part in enumerate(value):
            for other in variants(part, depth - 1):
                yield [*value[:place], other, *value[place + 1 :]]


@pytest.mark.parametrize("what", BODIES)
async def test_odd_bodies_are_answered(what):
    method, path = what.split() if what.startswith(("PUT ", "DELETE ")) else ("POST", what.split()[0])
    async with playing("quiet") as sim:
        for body in (BODIES[what], *variants(BODIES[what])):
            answer = await sim.raw(method, path, json=body)
            if answer.status_code >= 500:
                assert answer.json()["kind"].endswith("plan-already-finished"), body
        for read in ("jobs?limit=9999", "plan_jobs?limit=9999", NEW, "scopes/task_targets", "/activity-api/v2/events"):
            await sim.get(read)  # and what came of it can be read
        await sim.get("jobs?limit=9999", at=3600.0)
        await sim.get(NEW)
        await sim.get("/sim/users")


@pytest.mark.parametrize(
    "path", ["jobs", "plan_jobs", "usage", NEW, "/activity-api/v1/events", "/activity-api/v2/events"]
)
async def test_odd_queries_are_answered(path):
    names = ("limit", "offset", "order", "order_by", "type", "task", "min_finish_timestamp", "start_date", "end_date")
    names += ("events", "results", "service_id", "object_id", "after_service_commit_time", "query")
    odd = (
        "",
        "x",
        "-1",
        "9" * 30,
        "٣",
        "1.5",
        "0001-01-01",
        "9999-12-31",
        "9999-12-31T23:59:59Z",
        "[]",
        "[{}]",
        "null",
    )
    async with playing("quiet") as sim:
        for name in names:
            for value in (*odd, json.dumps([{"start": "9999-12-31T23:59:59Z", "end": "0001-01-01T00:00:00Z"}])):
                assert (await sim.raw("GET", f"{path}?{name}={quote(value)}")).status_code < 500


RAW = {
    "not JSON": b'{"task":',
    "not UTF-8": b'{"task": "f\xff"}',
    "half a letter": b'{"task": "\\ud800"}',
    "very deep": b"[" * 200_000,
    "deep in a query": b'{"task":"facts","params":{},"scope":{"query":' + b'["not",' * 900 + b"[]" + b"]" * 900 + b"}}",
    "a number of 5000 digits": b'{"job": ' + b"9" * 5_000 + b"}",
    "a text of 5000 digits": b'{"job": "' + b"9" * 5_000 + b'", "plan_job": "' + b"9" * 5_000 + b'"}',
}


@pytest.mark.parametrize("what", RAW)
@pytest.mark.parametrize("path", ["command/task", "command/stop", "command/stop_plan", "/rbac-api/v1/auth/token"])
async def test_bodies_that_are_hardly_json_are_refused(path, what):
    async with playing("quiet") as sim:
        for media in ("application/json", "text/plain", "application/xml"):
            answer = await sim.raw("POST", path, content=RAW[what], headers={"Content-Type": media})
            assert answer.status_code == 400, answer.text
            kind = "puppetlabs.rbac/malformed-request" if "rbac" in path else "puppetlabs.orchestrator/"
            assert answer.json()["kind"].startswith(kind)


async def test_a_body_without_end_is_not_taken_in(monkeypatch):
    monkeypatch.setattr("orchbridge.sim.door.BODY_MAX", 1_000)
    async with playing("quiet") as sim:
        answer = await sim.raw("POST", "command/task", content=b" " * 1_001)
        assert (answer.status_code, answer.json()["kind"]) == (413, "puppetlabs.orchestrator/request-too-large")


@pytest.mark.parametrize("path", ["jobs/{}", "plan_jobs/{}/events", "scopes/task_targets/{}", "jobs/1/events?start={}"])
async def test_ids_of_any_length_are_answered(path):
    async with playing("quiet") as sim:
        for digits in (19, 20, 5_000):
            assert (await sim.raw("GET", path.format("9" * digits))).status_code in {400, 404} or "start" in path
        assert (await sim.raw("GET", path.format("0" * 5_000 + "1"))).status_code in {200, 404}


async def test_times_end_with_the_year_9999():
    async with playing("quiet") as sim:
        late = {"start_time": "9999-12-31T23:59:59-14:00", "interval": None}
        await sim.post(NEW, {**ORDER, "input": {**ORDER["input"], "targets": None}, "schedule": late}, ok=400)
        endless = {"start_time": LATER, "interval": {"units": "seconds", "value": 10**400}}
        await sim.post(NEW, {**ORDER, "schedule": endless}, ok=400)
        last = {"start_time": "9999-12-31T23:59:50Z", "interval": {"units": "seconds", "value": 60}}
        made = await sim.post(NEW, {**ORDER, "schedule": last}, ok=200)
        number = made["scheduled_job"]["name"]
        assert (await sim.get(f"{NEW}/{number}"))["next_run"] == {"time": "9999-12-31T23:59:50Z"}
        sim.now = 0.0
        await sim.get(NEW)
