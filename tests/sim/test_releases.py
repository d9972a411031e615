"""Section 17 of the reference, row by row: what a release brings is there from then on, and not before."""

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.endpoints import ENDPOINTS
from orchbridge.sim import releases
from orchbridge.sim.app import API_ROUTES
from orchbridge.sim.knobs import Knobs
from tests.sim.playing import playing

WEB = {"nodes": ["web01.example.com"]}
RUN = {"environment": "production", "scope": WEB}
TASK = {"task": "facts", "params": {}, "scope": WEB}
LATER = "2030-01-01T00:00:00Z"


@dataclass
class Server:
    """One release in five worlds: a job that is over, one that runs, one that stops, everything a bit, nothing."""

    over: object
    runs: object
    stops: object
    quiet: object
    empty: object

    async def runs_puppet(self, **asked):
        """Return the answer to a deploy of a whole environment."""
        return await self.quiet.raw("POST", "command/deploy", json={"environment": "production", **asked})

    async def begun(self, **asked):
        """Return the job that a deploy starts."""
        return await self.quiet.get(f"jobs/{(await self.runs_puppet(**asked)).json()['job']['name']}")


def route(path, method="GET"):
    """There is such a route, whatever it says to no body at all."""

    async def look(server):
        answer = await server.quiet.raw(method, path)
        return answer.status_code != 404 or answer.headers["Content-Type"] == "application/json"

    return look


def command(name):
    return route(f"command/{name}", "POST")


def field(world, path, *way):
    """A member of an answer is there; a number takes an item of a list."""

    async def look(server):
        answer = await getattr(server, world).raw("GET", path)
        value = answer.json() if answer.status_code == 200 else {}
        for step in way:
            if isinstance(step, int):
                value = value[step] if value else {}
            elif step in value:
                value = value[step]
            else:
                return False
        return True

    return look


def matters(world, path, parameter):
    """A parameter changes the answer."""

    async def look(server):
        sim = getattr(server, world)
        plain = await sim.raw("GET", path)
        asked = await sim.raw("GET", f"{path}{'&' if '?' in path else '?'}{parameter}")
        return plain.status_code == asked.status_code == 200 and plain.text != asked.text

    return look


def scope(**value):
    async def look(server):
        return (await server.runs_puppet(scope=value)).status_code == 202

    return look


def refused(**asked):
    """A deploy looks at this, so it refuses it."""

    async def look(server):
        return (await server.runs_puppet(**asked)).status_code == 400

    return look


def kept(where, **asked):
    """A deploy looks at this: it is in the job that it starts."""

    async def look(server):
        job = await server.begun(**asked)
        return asked.items() <= (job.get("options", {}) if where == "options" else job).items()

    return look


async def inventory_body(server):
    return (await server.quiet.raw("POST", "inventory")).status_code == 400


async def stopping(server):
    return (await server.stops.get("jobs/420"))["state"] == "stopping"


async def force(server):
    await server.runs.post("command/stop", {"job": "420", "force": True})
    return (await server.runs.get("jobs/420"))["state"] == "stopped"


async def task_rights(server):
    sim, before = server.quiet, dict(server.quiet.http.headers)
    await sim.enter("nobody in particular", ["orchestrator:view:*"])
    answer = await sim.raw("POST", "command/task", json=TASK)
    sim.http.headers["X-Authentication"] = before["x-authentication"]
    return answer.status_code == 403


async def plan_types(server):
    answer = await server.quiet.raw("POST", "command/plan_run", json={"plan_name": "patching::adhoc"})
    if answer.status_code != 202:
        return False
    plan = await server.quiet.get(f"plan_jobs/{answer.json()['name']}", at=server.quiet.now + 60.0)
    child = await server.quiet.get(f"jobs/{next(iter(plan['status']))}")
    events = (await server.quiet.get(f"plan_jobs/{plan['name']}/events"))["items"]
    assert f"{child['command'].removeprefix('plan_')}_start" in {event["type"] for event in events}
    return child["command"] == "plan_script"


async def pending(server):
    answer = await server.quiet.raw("POST", "command/plan_run", json={"plan_name": "patching::adhoc"})
    return (
        answer.status_code == 202
        and (await server.quiet.get(f"plan_jobs/{answer.json()['name']}"))["state"] == "pending"
    )


async def sensitive_results(server):
    nodes = {"nodes": sorted(server.quiet.world.agents)}
    asked = {"task": "vault::rotate", "params": {"role": "x", "token": "y"}, "scope": nodes}
    answer = await server.quiet.raw("POST", "command/task", json=asked)
    if answer.status_code != 202:
        return False
    path = f"jobs/{answer.json()['job']['name']}/nodes"
    results = [row["result"] for row in (await server.quiet.get(path, at=server.quiet.now + 60.0))["items"]]
    shown = {result["_sensitive"] for result in results if "_sensitive" in result}
    assert len(shown) == 1
    return "redacted" in shown.pop()


async def plans_fail(server):
    answer = await server.quiet.raw("POST", "command/plan_start", json={"plan_name": "rollout::web"})
    if answer.status_code != 202:
        return False
    number, started = answer.json()["name"], server.quiet.now
    await server.quiet.post("/sim/crash", {"seconds": 5}, ok=200)
    plan = await server.quiet.get(f"plan_jobs/{number}", at=started + 6.0)
    assert (await server.quiet.get(f"plan_jobs/{number}", at=started + 3600.0))["state"] == plan["state"]
    return plan["state"] == "failure"


async def zero_total(server):
    return (await server.empty.get("jobs")).get("pagination", {}).get("total", None) == 0


JOB, NODES, LIST = "jobs/420", "jobs/420/nodes", "plan_jobs"
NEW = "scheduled_jobs/environment_jobs"
ACTIVITY = "/activity-api/v2/events"

# (release, the one of the 2019.8 line that has it too): what it brings; a name after "no more" is gone.
MATRIX = {
    ("2016.2", ""): {
        "root": route(""),
        "command/deploy": command("deploy"),
        "command/stop": command("stop"),
        "jobs": route("jobs"),
        "jobs/:id": route("jobs/420"),
        "jobs/:id/nodes": route("jobs/1/nodes"),
        "jobs/:id/report": route("jobs/1/report"),
        "jobs/:id/events": route("jobs/1/events"),
        "jobs: limit": matters("over", "jobs", "limit=1"),
        "jobs: target in options": field("over", JOB, "options", "target"),
        "job_finished": field("over", "jobs/420/events", "items", 5, "details"),
    },
    ("2016.4", ""): {
        "scope: nodes": scope(**WEB),
        "scope: query": scope(query="nodes {}"),
        "scope: application": scope(application="Shop"),
        "scope: whole_environment": scope(whole_environment=True),
        "jobs: scope in options": field("over", JOB, "options", "scope"),
        "jobs: node_count": field("over", JOB, "node_count"),
    },
    ("2016.5", ""): {
        "GET inventory": route("inventory"),
        "GET inventory/:node": route("inventory/web01.example.com"),
        "POST inventory": route("inventory", "POST"),
    },
    ("2017.2", ""): {"POST inventory: needs a body": inventory_body},
    ("2017.3", ""): {
        "command/task": command("task"),
        "tasks": route("tasks"),
        "tasks/:module/:task": route("tasks/dbx/dump"),
        "jobs: offset": matters("over", "jobs", "offset=1"),
        "jobs: order": matters("over", "jobs?order_by=name", "order=desc"),
        "jobs: order_by": matters("over", "jobs?order=asc", "order_by=name"),
        "jobs: pagination": field("over", "jobs", "pagination"),
        "jobs: node_states": field("over", JOB, "node_states"),
        "jobs: command": field("over", JOB, "command"),
        "jobs: description": field("over", JOB, "description"),
        "deploy: description": kept("options", description="by hand"),
        "jobs: stopping": stopping,
        "deploy: no_noop": refused(noop=True, no_noop=True),
        "jobs: the whole owner": field("over", JOB, "owner", "display_name"),
        "nodes: next-events": field("over", NODES, "next-events"),
        "nodes: start_timestamp": field("over", NODES, "items", 0, "start_timestamp"),
        "nodes: finish_timestamp": field("over", NODES, "items", 0, "finish_timestamp"),
        "nodes: duration": field("over", NODES, "items", 0, "duration"),
        "nodes: result": field("over", NODES, "items", 0, "result"),
        "nodes: limit": matters("over", NODES, "limit=1"),
        "nodes: offset": matters("over", NODES, "offset=1"),
        "no more": ("scope: whole_environment",),
    },
    ("2018.1", ""): {
        "plan_jobs": route("plan_jobs"),
        "plan_jobs/:id": route("plan_jobs/1"),
        "command/plan_start": command("plan_start"),
        "command/plan_task": command("plan_task"),
        "scope: node_group": scope(node_group="f00d"),
        "tasks: rights": task_rights,
    },
    ("2018.1.2", ""): {"command/plan_finish": command("plan_finish")},
    ("2018.1.5", ""): {
        "command/schedule_task": command("schedule_task"),
        "GET scheduled_jobs": route("scheduled_jobs"),
        "DELETE scheduled_jobs/:id": route("scheduled_jobs/99", "DELETE"),
    },
    ("2019.0", ""): {"usage": route("usage")},
    ("2019.2", ""): {
        "plans": route("plans"),
        "plans/:module/:plan": route("plans/rollout/web"),
        "command/plan_run": command("plan_run"),
        "plan_jobs/:id/events": route("plan_jobs/1/events"),
        "plan_jobs: events": field("quiet", "plan_jobs/1", "events"),
    },
    ("2019.4", ""): {
        "command/task_target": command("task_target"),
        "scopes/task_targets": route("scopes/task_targets"),
        "scopes/task_targets/:id": route("scopes/task_targets/1"),
        "plan_jobs/:id/event/:event-id": route("plan_jobs/1/event/1"),
    },
    ("2019.8", ""): {
        "jobs: type": field("over", JOB, "type"),
        "jobs: filter type": matters("over", "jobs", "type=task"),
        "jobs: filter task": matters("over", "jobs", "task=fact"),
        "deploy: tags": kept("options", tags="web"),
        "deploy: use_cached_catalog": kept("options", use_cached_catalog=True),
        "deploy: http_read_timeout": kept("options", http_read_timeout=9),
        "command/schedule_deploy": command("schedule_deploy"),
    },
    ("2019.8.1", ""): {"plan_jobs: results": matters("quiet", LIST, "results=exclude")},
    ("2019.8.3", ""): {
        "command/schedule_plan": command("schedule_plan"),
        "plan_jobs: environment": field("quiet", "plan_jobs/1", "options", "environment"),
        "plan_jobs: sensitive": field("quiet", "plan_jobs/1", "options", "sensitive"),
    },
    ("2021.0", "2019.8.5"): {
        "jobs: created_timestamp": field("over", JOB, "created_timestamp"),
        "jobs: finished_timestamp": field("over", JOB, "finished_timestamp"),
        "jobs: duration": field("over", JOB, "duration"),
        "jobs: userdata": field("over", JOB, "userdata"),
        "deploy: userdata": kept("job", userdata={"change": "CHG77"}),
        "plan_jobs: duration": field("quiet", LIST, "items", 0, "duration"),
        "plan_jobs: userdata": field("quiet", LIST, "items", 0, "userdata"),
        "nodes: order": matters("over", NODES, "order=desc"),
        "nodes: order_by": matters("over", NODES, "order_by=finish_timestamp"),
        "command/environment_plan_run": command("environment_plan_run"),
        "jobs: types plan_*": plan_types,
    },
    ("2021.0", "never"): {"no more": ("scope: application",)},
    ("2021.1", "2019.8.6"): {
        "usage: events": field("quiet", "usage", "items", 0, "nodes_affected_by_task_runs"),
        "results: _sensitive": sensitive_results,
    },
    ("2021.2", "2019.8.7"): {
        "nodes: state": matters("over", NODES, "state=failed"),
        "plan_jobs: fail after a crash": plans_fail,
        "activity: order": matters("over", ACTIVITY, "order=asc"),
    },
    ("2021.3", "2019.8.8"): {
        "plan_jobs: order": matters("quiet", f"{LIST}?limit=1", "order_by=name&order=asc"),
        "plan_jobs: timestamp": field("quiet", LIST, "items", 0, "timestamp"),
    },
    ("2021.6", "never"): {
        "jobs: min_finish_timestamp": matters("over", "jobs", "min_finish_timestamp=2029-01-01T00:00:00Z"),
        "jobs: max_finish_timestamp": matters("over", "jobs", "max_finish_timestamp=2020-01-01T00:00:00Z"),
        "plan_jobs: min_finish_timestamp": matters("quiet", LIST, "min_finish_timestamp=2029-01-01T00:00:00Z"),
    },
    ("2021.7.0", "never"): {
        "jobs: total is 0": zero_total,
        "stop: force": force,
        "GET scheduled_jobs/environment_jobs": route(NEW),
        "POST scheduled_jobs/environment_jobs": route(NEW, "POST"),
        "GET scheduled_jobs/environment_jobs/:id": route(f"{NEW}/31"),
        "PUT scheduled_jobs/environment_jobs/:id": route(f"{NEW}/31", "PUT"),
        "activity: state": field("over", ACTIVITY, "commits", 0, "events", 0, "state"),
        "no more": ("GET scheduled_jobs", "DELETE scheduled_jobs/:id"),
    },
    ("2021.7.1", "never"): {"command/stop_plan": command("stop_plan")},
    ("2023.0", "never"): {"deploy: timeout": refused(timeout="soon"), "plan_jobs: pending": pending},
}
LOOKS = {name: look for row in MATRIX.values() for name, look in row.items() if name != "no more"}
BETWEEN = ("2016.3", "2017.1", "2018.1.9", "2019.1.4", "2019.8.2", "2019.8.12", "2021.5", "2021.7", "2023.8", "2025.6")
ALL = sorted(
    {since for pair in MATRIX for since in pair if since[:1].isdigit()} | {*BETWEEN, "2025"}, key=releases.number_of
)


def reached(release, row):
    """Whether a release is of this row or a later one, in its own line."""
    since, long_term = row
    if release.startswith("2019.8") and long_term:
        return long_term != "never" and releases.number_of(long_term) <= releases.number_of(release)
    return releases.number_of(since) <= releases.number_of(release)


def expected(release):
    there = set()
    for row, brings in MATRIX.items():
        if reached(release, row):
            there |= brings.keys() - {"no more"}
            there -= set(brings.get("no more", ()))
    return there


@pytest.mark.parametrize("release", ALL)
async def test_each_release_has_what_its_row_says_and_no_more(release):
    async with AsyncExitStack() as stack:
        worlds = [("reference", 40.0), ("reference", 10.0), ("reference-a", 15.0), ("quiet", 0.0), ("empty", 0.0)]
        server = Server(
            *[await stack.enter_async_context(playing(name, at=at, shape_version=release)) for name, at in worlds]
        )
        there = {name for name, look in LOOKS.items() if await look(server)}
    assert sorted(there) == sorted(expected(release))


@pytest.mark.parametrize("release", ["2016.2", "2017.2", "2025"])
async def test_what_a_client_is_not_to_use_is_nowhere(release):
    """Section 13."""
    async with playing("quiet", shape_version=release) as sim:
        for path in ("swagger.json", "status", "environments", "dumplings", "jobs/1/catalog", "internal/x"):
            for method in ("GET", "POST", "PUT", "DELETE"):
                assert (await sim.raw(method, path)).status_code == 404


async def test_the_newer_activity_log_and_what_is_permitted_came_late():
    for release, new in (("2018.1", False), ("2019.8", True)):
        async with playing("quiet", shape_version=release) as sim:
            assert ((await sim.raw("GET", ACTIVITY)).status_code == 200) is new
            assert ("permitted" in (await sim.get("tasks"))["items"][0]) is new
            assert (await sim.raw("GET", "/activity-api/v1/events?service_id=rbac")).status_code == 200


@pytest.mark.parametrize("release", ["2016.4", "2018.1", "2019.8", "2021.0", "2025"])
async def test_what_a_release_does_not_know_can_be_refused(release):
    async with playing("quiet", shape_version=release, unknown_query_params="400") as sim:
        for parameter, feature in (
            ("limit=9", releases.ALWAYS),
            ("order=asc", releases.PAGES),
            ("type=task", releases.JOB_TYPES),
            ("min_finish_timestamp=2020-01-01T00:00:00Z", releases.TIME_FILTERS),
        ):
            known = releases.has(release, feature)
            assert (await sim.raw("GET", f"jobs?{parameter}")).status_code == (200 if known else 400), parameter


@pytest.mark.parametrize(
    ("release", "row"),
    [
        ("2016.3", "2016.2"),
        ("2019.1", "2019.0"),
        ("2019.8.4", "2019.8.3"),
        ("2019.8.12", "2019.8.8"),
        ("2021", "2021.0"),
        ("2021.5.0", "2021.3"),
        ("2021.7", "2021.7.0"),
        ("2023.8.1", "2023.0"),
        ("2025.6", "2025"),
    ],
)
async def test_a_release_between_is_the_row_before_it(release, row):
    assert releases.row_of(release) == row
    assert Knobs(shape_version=release).shape_version == release
    async with playing("quiet", shape_version=release) as sim:
        service = (await sim.get("/status/v1/services"))["orchestrator-service"]
        assert service["service_version"].startswith(f"{release}.")


@pytest.mark.parametrize(
    ("release", "says"),
    [
        ("2016.1", "older than this API — 2016.2 is the first"),
        ("2016", "older than this API"),
        ("3.8", "is no release"),
        ("2026.1", "nothing is known of PE 2026.1 yet — 2025"),
        ("latest", "write it as 2019.8.5; orchbridge simulate --list"),
        ("2019.8.x", "2019.8.5"),
        ("", "is no release"),
        ("2019.8.5.1", "is no release"),
        ("٢٠٢١.٠", "is no release"),
    ],
)
def test_what_nobody_can_say_is_refused(release, says):
    with pytest.raises(ConfigError) as refused:
        Knobs(shape_version=release)
    assert re.search(re.escape(says), refused.value.line())


def _places(path):
    return re.sub(r":\w+|\{\w+\}", "*", path.strip("/"))


def test_the_client_says_the_same_of_each_endpoint():
    routes = {(route.method, _places(route.template)): route.since for route in API_ROUTES}
    dated = [endpoint for endpoint in ENDPOINTS if endpoint.since]
    assert [one for one in dated if routes[one.method, _places(one.path)].since != one.since] == []
    assert len(dated) > 30


def test_every_row_of_the_table_is_looked_at():
    assert set(releases.ROWS) <= set(ALL)
