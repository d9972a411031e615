"""Scheduled jobs through both APIs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.orchestrator import Access, Client, errors
from orchbridge.orchestrator.api import starting
from orchbridge.orchestrator.api.drafts import RunFlags
from orchbridge.orchestrator.api.inputs import DeployInput, PlanInput, TaskInput
from orchbridge.orchestrator.models import Scope, Target
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.orchestrator.lossy import losing
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as door_of

NODES = Scope(nodes=["a.test"])
SOON = datetime(2030, 3, 2, 12, 0, tzinfo=timezone(timedelta(hours=1)))
NEW = "/orchestrator/v1/scheduled_jobs/environment_jobs"


class Calendar:
    """A small server that keeps scheduled jobs of the newer API."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            shown = [row for row in self.rows.values() if row["enabled"]]
            if request.query_params["order_by"] == "name":
                shown.sort(key=lambda row: row["name"], reverse=True)
            limit, offset = (int(request.query_params[name]) for name in ("limit", "offset"))
            return answering({"items": shown[offset : offset + limit], "pagination": {"total": len(shown)}})
        body = json.loads(await request.body())
        self.bodies.append(body)
        if request.method == "POST":
            if body["schedule"]["start_time"] < "2025":
                return self._refused("invalid-time")
            number = len(self.rows) + 9  # so that texts do not sort as numbers do
            self.rows[number] = {"name": str(number), "enabled": True, **body}
        else:
            number = int(request.url.path.rpartition("/")[2])
            if not self.rows[number]["enabled"]:
                return self._refused("disabled-scheduled-job")
            self.rows[number] |= body
        return answering({"scheduled_job": {"id": f"https://x{NEW}/{number}", "name": str(number)}})

    def _refused(self, word: str) -> Response:
        return answering({"kind": f"puppetlabs.orchestrator/{word}", "msg": "no"}, 400)


async def test_a_schedule_is_made_changed_and_disabled_for_good() -> None:
    calendar = Calendar()
    async with door_of(calendar) as door, Client(Access("pe", door.url)) as client:
        deploy = await client.schedules.create(
            DeployInput(NODES, RunFlags(noop=True)), SOON, interval_s=604_800, description="weekly"
        )
        task = await client.schedules.create(
            TaskInput(
                "dbx::dump", {"database": "hr"}, NODES, targets=[Target(hostnames=["x"], user="u", transport="ssh")]
            ),
            SOON,
        )
        plan = await client.schedules.create(
            PlanInput("rollout::web", {"batch": 5}, {"nodes": {"value": "nodes{}", "type": "query"}}), SOON
        )
        assert [schedule.id async for schedule in client.schedules.list(limit=1)] == [deploy.id, task.id, plan.id]
        assert (await client.schedules.update(deploy.id, description="monthly")).id == deploy.id
        assert (await client.schedules.disable(deploy.id)).id == deploy.id
        assert deploy.id not in [schedule.id async for schedule in client.schedules.list()]
        with pytest.raises(errors.ScheduleDisabled) as refused:
            await client.schedules.update(deploy.id, enabled=True)
        assert "make a new" in refused.value.hint
        with pytest.raises(errors.PastTime) as past:
            await client.schedules.create(DeployInput(NODES), datetime(2020, 1, 1, tzinfo=UTC))
        assert "in the future" in past.value.hint
        with pytest.raises(ValueError, match="no time zone"):
            await client.schedules.create(DeployInput(NODES), datetime(2030, 1, 1))
        with pytest.raises(ValueError, match="start_time"):
            await client.schedules.update(task.id, interval_s=5)
    made, second, third, changed, disabled = calendar.bodies[:5]
    assert made["schedule"] == {
        "start_time": "2030-03-02T11:00:00Z", "interval": {"units": "seconds", "value": 604_800},
    }  # fmt: skip
    assert made["input"] == {"scope": {"nodes": ["a.test"]}, "noop": True}
    assert made.keys() == {"type", "input", "environment", "schedule", "description", "userdata"}
    assert second["input"]["parameters"] == {"database": {"value": "hr"}}
    assert second["schedule"]["interval"] is None
    assert third["input"]["parameters"] == {"batch": {"value": 5}, "nodes": {"value": "nodes{}", "type": "query"}}
    assert changed == {"description": "monthly"}
    assert disabled == {"enabled": False}


async def test_a_schedule_whose_answer_was_lost_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody says that this list is in the order of its numbers."""
    monkeypatch.setattr(starting, "LOOKS_S", (0.0, 0.05))
    monkeypatch.setattr("orchbridge.orchestrator.api.shelves.PAGE", 1)
    calendar = Calendar()
    async with (
        door_of(calendar) as door,
        losing(door.url, "reset", on="POST ") as lossy,
        Client(Access("pe", lossy.url)) as client,
    ):
        for number in (9, 10, 11):
            made = await client.schedules.create(DeployInput(NODES), SOON, userdata={"mine": True})
            assert (made.id, made.recovered) == (number, True)
        assert sum(line.startswith("POST") for line in lossy.heard) == 3
        lossy.on = "PUT "
        with pytest.raises(errors.Uncertain) as doubtful:
            await client.schedules.disable(9)
        assert "scheduled job 9" in doubtful.value.hint
    assert len(calendar.rows) == 3


@pytest.mark.parametrize("newer", [True, False])
async def test_an_older_list_that_is_empty_proves_nothing(newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newer servers answer it with nothing, whatever there is; so the newer list counts where there is one."""
    monkeypatch.setattr(starting, "LOOKS_S", (0.0,))
    calendar = Calendar()

    async def silent(request: Request) -> Response:
        if request.url.path == NEW and newer:
            return await calendar(request)
        if request.url.path == NEW:
            return Response(b"Not Found", 404)
        if request.method == "POST":
            calendar.rows[31] = {"name": "31", "enabled": True, "environment": "production", "userdata": {}}
        return answering({"items": []})

    async with (
        door_of(silent) as door,
        losing(door.url, "reset", on="POST ") as lossy,
        Client(Access("pe", lossy.url)) as client,
    ):
        with pytest.raises(errors.Uncertain) as doubtful:
            await client.commands.schedule_task("facts", {}, NODES, SOON)
    assert doubtful.value.candidates == ((31,) if newer else ())


async def test_schedules_of_the_simulator() -> None:
    async with served(World("quiet"), token=None) as url, Client(Access("pe", url)) as client:
        listed = [schedule async for schedule in client.schedules.list()]
        assert listed
        one = await client.schedules.get(listed[0].id)
        assert (one.id, one.type, one.next_run) == (listed[0].id, listed[0].type, listed[0].next_run)
        assert {each.type async for each in client.schedules.list(type=one.type)} == {one.type}
        with pytest.raises(errors.ApiError):
            await client.schedules.get(9_999)
    knobs = Knobs(shape_version="2019.8", scheduled="old")
    async with served(World("quiet", knobs=knobs), token=None) as url, Client(Access("pe", url)) as client:
        assert [each.at async for each in client.schedules.list_old()]
        with pytest.raises(errors.Unsupported):
            assert [each async for each in client.schedules.list()]


async def test_the_older_commands_and_their_list() -> None:
    bodies: list[dict[str, Any]] = []

    async def older(request: Request) -> Response:
        if request.method == "DELETE":
            if request.url.path.endswith("/2"):
                kind = "puppetlabs.orchestrator/not-permitted"
                return answering({"kind": kind, "msg": "not yours"}, 403)
            return Response(status_code=204)
        if request.method == "GET":
            row = {"id": "x/1", "name": "1", "type": "task", "enviroment": "production", "scheduled_time": "x"}
            return answering({"items": [row], "pagination": {"total": 1}})
        bodies.append(json.loads(await request.body()))
        key = "job" if request.url.path.endswith("schedule_deploy") else "scheduled_job"
        return answering({key: {"id": "https://x/scheduled_jobs/4", "name": "4"}}, 202)

    async with door_of(older) as door, Client(Access("pe", door.url)) as client:
        made = [
            await client.commands.schedule_deploy("production", NODES, SOON, interval_s=60),
            await client.commands.schedule_task("facts", {}, NODES, SOON),
            await client.commands.schedule_plan("a::b", {"x": 1}, SOON),
        ]
        assert [ref.id for ref in made] == [4, 4, 4]
        (row,) = [each async for each in client.schedules.list_old()]
        assert (row.environment, row.at, row.raw["scheduled_time"]) == ("production", None, "x")
        await client.schedules.delete_old(1)
        with pytest.raises(errors.NotPermitted) as refused:
            await client.schedules.delete_old(2)
    assert "Delete another user's" in refused.value.hint
    assert {body["scheduled_time"] for body in bodies} == {"2030-03-02T11:00:00Z"}
    assert [body.get("schedule_options") for body in bodies] == [
        {"interval": {"units": "seconds", "value": 60}}, None, None,
    ]  # fmt: skip
