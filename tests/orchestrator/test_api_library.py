"""Tasks, plans, inventory, status, usage, scopes and the index through the public client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from orchbridge.orchestrator import Access, Client, errors
from orchbridge.sim import releases
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as door_of

TOKEN = "0simulated"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once."""
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.01))


@asynccontextmanager
async def asking(**knobs: str) -> AsyncIterator[Client]:
    async with (
        served(World("quiet", knobs=Knobs(**knobs)), token=TOKEN) as url,
        Client(Access("pe", url, token=TOKEN)) as client,
    ):
        yield client


@pytest.mark.parametrize("version", [row for row in releases.ROWS if releases.has(row, releases.TASKS)])
async def test_tasks_tell_their_parameters(version: str) -> None:
    async with asking(shape_version=version) as client:
        listed = {task.name: task.permitted for task in await client.tasks.list()}
        dump = await client.tasks.get("dbx::dump")
        own = await client.tasks.get("package", "staging")
        adhoc = await client.tasks.get("adhoc::run")
        with pytest.raises(errors.UnknownTask):
            await client.tasks.get("no::such")
        with pytest.raises(errors.UnknownEnvironment):
            await client.tasks.list("nowhere")
    assert listed["lockdown::wipe"] in (False, None)
    assert (own.name, own.environment) == ("package", "staging")
    assert dump.sensitive == {"password"}
    by_name = {each.name: each for each in dump.parameters or ()}
    assert (by_name["database"].type, by_name["database"].optional) == ("String[1]", False)
    assert by_name["password"].optional
    assert adhoc.parameters is None  # which takes anything
    assert dump.shown({"database": "hr", "password": "hunter22", "other": 1}) == {
        "database": "hr",
        "password": "[redacted]",
        "other": "[redacted]",
    }


@pytest.mark.parametrize("version", [row for row in releases.ROWS if releases.has(row, releases.PLANS)])
async def test_plans_tell_their_parameters(version: str) -> None:
    async with asking(shape_version=version) as client:
        listed = {plan.name: plan.permitted for plan in await client.plans.list()}
        web = await client.plans.get("rollout::web")
        with pytest.raises(errors.UnknownPlan):
            await client.plans.get("no::such")
    assert listed["lockdown::all"] is False
    assert web.sensitive == {"token"}
    by_name = {each.name: each for each in web.parameters or ()}
    assert by_name["batch"].optional
    assert by_name["batch"].default == 5
    assert web.shown({"batch": 3, "token": "hunter22"}) == {"batch": 3, "token": "[redacted]"}


async def test_inventory_in_its_three_forms() -> None:
    async with asking(inventory="unknown-404") as client:
        everybody = await client.inventory.all()
        assert all(node.connected and node.since and node.broker for node in everybody)
        one = await client.inventory.one(everybody[0].name)
        assert (one.name, one.connected, one.since) == (everybody[0].name, True, everybody[0].since)
        assert not (await client.inventory.one("nobody.test")).connected
        some = await client.inventory.of([everybody[0].name, "nobody.test"])
        assert {node.name: node.connected for node in some} == {everybody[0].name: True, "nobody.test": False}
        assert await client.inventory.of([]) == ()


async def test_thousands_of_names_are_asked_for_in_parts() -> None:
    def known(request: Request) -> Response:
        return answering({"items": []})

    async with door_of(known) as door, Client(Access("pe", door.url)) as client:
        await client.inventory.of([f"n{number}.test" for number in range(2_001)])
    assert len(door.heard) == 3


async def test_without_a_broker_nobody_knows_who_is_connected() -> None:
    async with asking(inventory="500") as client:
        for ask in (client.inventory.all(), client.inventory.one("a.test"), client.inventory.of(["a.test"])):
            with pytest.raises(errors.BrokerDown) as refused:
                await ask
            assert "unknown which nodes are connected" in refused.value.hint
        assert (await client.status.service("broker-service")).state == "error"
        assert not (await client.status.services())["broker-service"].running
        assert await client.status.simple("broker-service") == "error"


async def test_an_index_and_services() -> None:
    async with asking() as client:
        root = await client.root()
        assert "jobs" in root.collections
        assert "deploy" in root.commands
        assert (await client.status.services(level="debug"))["orchestrator-service"].running
        assert await client.status.simple() == "running"
        with pytest.raises(errors.NotFound):
            await client.status.service("no-such-service")


async def test_services_need_no_token_and_a_refusal_there_is_none_of_the_token() -> None:
    async with asking(auth_fault="expired") as client:
        assert (await client.status.service("orchestrator-service")).running
        assert client.changed()


async def test_a_proxy_in_place_of_the_services() -> None:
    def page(request: Request) -> Response:
        return PlainTextResponse("<html>Service Unavailable", 503)

    async with door_of(page) as door, Client(Access("pe", door.url)) as client:
        for ask in (client.status.services(), client.status.service("x"), client.status.simple()):
            with pytest.raises(errors.ServerFault):
                await ask


async def test_services_wrapped_and_bare() -> None:
    body = {"state": "error", "service_version": "2019.1.0.62", "active_alerts": [{"severity": "x", "message": "y"}]}

    def bare(request: Request) -> Response:
        return answering(body if "bare" in request.url.path else {"wrapped": body}, 503)

    async with door_of(bare) as door, Client(Access("pe", door.url)) as client:
        for name in ("bare", "wrapped"):
            service = await client.status.service(name)
            assert (service.name, service.state, service.version) == (name, "error", "2019.1.0.62")
            assert service.alerts == (("x", "y"),)


async def test_usage_with_and_without_events() -> None:
    def usage(request: Request) -> Response:
        query = request.query_params
        if query.get("end_date", "9") < query.get("start_date", "0"):
            kind = "puppetlabs.orchestrator/validation-error"
            return answering({"kind": kind, "msg": "end_date is before start_date"}, 400)
        plain = {"date": "2024-03-09", "total_nodes": 12, "nodes_with_agent": "10", "nodes_without_agent": 2}
        more = {"corrective_agent_changes": 1, "new_in_2030": 4} if query.get("events") != "exclude" else {}
        return answering({"items": [{**plain, **more}, {"date": "9 March"}], "pagination": {}})

    async with door_of(usage) as door, Client(Access("pe", door.url)) as client:
        day, odd = await client.usage.days(date(2024, 3, 1), date(2024, 3, 9))
        (lean, _) = await client.usage.days(events="exclude")
        with pytest.raises(errors.Invalid) as refused:
            await client.usage.days(date(2024, 3, 9), date(2024, 3, 1))
    assert (day.date, day.total_nodes, day.nodes_with_agent) == (date(2024, 3, 9), 12, 10)
    assert (day.corrective_agent_changes, lean.corrective_agent_changes) == (1, None)
    assert day.raw["new_in_2030"] == 4
    assert odd.date is None
    assert odd.raw["date"] == "9 March"
    assert "YYYY-MM-DD" in refused.value.hint


async def test_task_targets() -> None:
    made = {"id": "https://elsewhere:8143/orchestrator/v1/scopes/task_targets/3", "name": "3"}
    whole = {**made, "display_name": "web", "all_tasks": "true", "nodes": ["a"], "node_groups": []}

    def targets(request: Request) -> Response:
        if request.method == "POST":
            return answering({"task_target": made})
        if request.url.path.endswith("/9"):
            kind = "puppetlabs.orchestrator/unknown-task-target"
            return answering({"kind": kind, "msg": "no target 9"}, 404)
        return answering(whole if request.url.path.endswith("/3") else {"items": [whole]})

    async with door_of(targets) as door, Client(Access("pe", door.url)) as client:
        made_ref = await client.commands.task_target("web", nodes=["a"], all_tasks=True)
        assert made_ref.id == 3
        (listed,) = await client.scopes.task_targets()
        assert listed == await client.scopes.task_target(3)
        with pytest.raises(errors.UnknownTaskTarget):
            await client.scopes.task_target(9)
    assert listed.all_tasks
    assert listed.display_name == "web"


async def test_every_version_without_a_route_says_that_it_has_none() -> None:
    async with asking(shape_version="2016.4") as client:
        for ask in (
            client.tasks.list(), client.plans.list(), client.usage.days(), client.scopes.task_targets(),
            client.inventory.one("a.test"), client.inventory.all(),
        ):  # fmt: skip
            with pytest.raises(errors.Unsupported):
                await ask


def test_models_show_no_data_that_may_be_secret() -> None:
    from orchbridge.orchestrator.models import Job, JobEvent, Node, PlanEvent, PlanJob, Schedule, TaskTarget

    secret = "hunter22"
    told = {
        "name": "7",
        "state": "running",
        "options": {"params": {"p": secret}, "parameters": {"p": secret}, "description": secret},
        "userdata": {"p": secret},
        "result": {"_output": secret},
        "details": {"detail": secret, "message": secret},
        "message": secret,
        "description": secret,
        "input": {"parameters": {"p": {"value": secret}}},
        "owner": {"id": "x", "login": "ops", "email": secret},
        "extra": secret,
    }
    for model in (Job, JobEvent, Node, PlanEvent, PlanJob, Schedule, TaskTarget):
        read = model.read(told)
        assert read is not None
        assert secret not in f"{read!r} {read}", model
        assert read.raw["extra"] == secret


def test_models_take_every_shape() -> None:
    from orchbridge.orchestrator.models import Job, JobEvent, Node, PlanEvent, PlanJob, Schedule

    job = Job.read(
        {
            "id": "https://h:8143:8143/orchestrator/v1/jobs/412",
            "state": "exploded",
            "started_timestamp": "2024-03-09T10:15:40Z",
            "timestamp": "2024-03-99T10:15:40Z",
            "duration": "256.0",
            "node_count": "2",
            "node_states": None,
            "options": {"plan_job": 82, "scheduled-job-id": "31"},
            "owner": None,
        }
    )
    assert job is not None
    assert (job.id, job.state, job.over, job.duration_s, job.node_count) == (412, "exploded", False, 256.0, 2)
    assert (job.plan_job, job.schedule, job.node_states, job.changed) == (82, 31, {}, None)
    assert job.created == datetime(2024, 3, 9, 10, 15, 40, tzinfo=UTC)
    assert job.raw["timestamp"] == "2024-03-99T10:15:40Z"
    assert Job.read({"name": "no number", "state": "new"}) is None
    node = Node.read({"name": "a", "latest-event-id": "9118", "duration": None, "result": ["any", "thing"]})
    assert node is not None
    assert (node.latest_event, node.result) == (9118, ["any", "thing"])
    assert JobEvent.read({"id": 5, "details": None}).id == 5
    assert PlanEvent.read({"details": {"job-id": "413"}, "type": "task_start"}).job == 413
    plan = PlanJob.read({"name": 82, "options": {"scheduled_job_id": "31"}, "status": {"413": [{"state": "x"}]}})
    assert plan is not None
    assert plan.schedule == 31
    assert plan.jobs[413][0].state == "x"
    swapped = Schedule.read(
        {
            "id": "31",
            "name": "https://pe.test:8143/orchestrator/v1/scheduled_jobs/environment_jobs/31",
            "last_run": {
                "time": "2024-03-09T11:00:00Z",
                "job": {"id": "https://pe.test:8143/orchestrator/v1/plan_jobs/82", "name": 82},
            },
        }
    )
    assert swapped is not None
    assert swapped.id == 31
    assert swapped.last_run is not None
    assert (swapped.last_run.job, swapped.last_run.plan_job) == (None, 82)
    failed = Schedule.read({"name": "31", "last_run": {"job": {"submission_error": {"kind": "a/b"}, "name": 33}}})
    assert failed is not None
    assert failed.last_run is not None
    assert (failed.last_run.error_kind, failed.last_run.job) == ("a/b", None)
