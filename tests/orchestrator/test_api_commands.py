"""Commands on the simulator: what they start is there, and bad input gives the server's kind and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from orchbridge.orchestrator import Access, Client, errors
from orchbridge.orchestrator.api.drafts import RunFlags
from orchbridge.orchestrator.models import Scope
from orchbridge.sim import releases
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World

TOKEN = "0simulated"


@pytest.fixture(autouse=True)
def _short(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once."""
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.01))


@asynccontextmanager
async def asking(world: World | None = None, **knobs: str) -> AsyncIterator[tuple[Client, World]]:
    world = world or World("quiet", knobs=Knobs(**knobs))
    async with served(world, token=TOKEN) as url, Client(Access("pe", url, token=TOKEN)) as client:
        yield client, world


def some_nodes(world: World) -> list[str]:
    return sorted(world.agents)[:2]


@pytest.mark.parametrize("version", [row for row in releases.ROWS if releases.has(row, releases.SCOPE)])
async def test_a_deploy_starts_one_job(version: str) -> None:
    async with asking(shape_version=version) as (client, world):
        before = set(world.jobs)
        started = await client.commands.deploy(
            "production", Scope(nodes=some_nodes(world)), RunFlags(noop=True), description="by hand"
        )
        assert set(world.jobs) - before == {started.id}
        job = await client.jobs.get(started.id)
        assert not started.recovered
        assert job.node_count == 2
        assert not job.over
        if releases.has(version, releases.USERDATA):
            assert list(job.userdata) == ["orchbridge-nonce"]
            assert job.noop
            assert job.description == "by hand"


async def test_a_task_keeps_the_callers_userdata_and_gets_a_nonce_of_its_own() -> None:
    async with asking() as (client, world):
        nodes = Scope(nodes=some_nodes(world))
        made = [await client.commands.task("facts", {}, nodes, userdata={"change": "CHG77"}) for _ in range(2)]
        jobs = [await client.jobs.get(each.id) for each in made]
        assert {job.userdata["change"] for job in jobs} == {"CHG77"}
        assert len({job.userdata["orchbridge-nonce"] for job in jobs}) == 2
        assert jobs[0].task == "facts"


async def test_plans_run_and_stop() -> None:
    async with asking() as (client, world):
        first = await client.commands.plan_run("rollout::web", {"batch": 2}, description="wave")
        second = await client.commands.environment_plan_run("rollout::web", {"batch": {"value": 2}})
        assert [first.id, second.id] == sorted(world.plans)[-2:]
        plan = await client.plan_jobs.get(first.id)
        assert plan.plan == "rollout::web"
        assert plan.userdata
        for _ in range(2):
            assert (await client.commands.stop_plan(first.id)).id == first.id
        assert (await client.plan_jobs.get(first.id)).state == "failure"


async def test_stopping_twice_is_stopping_once() -> None:
    async with asking() as (client, world):
        job = await client.commands.task("facts", {}, Scope(nodes=some_nodes(world)))
        stopped = await client.commands.stop(job.id, force=True)
        again = await client.commands.stop(job.id)
        assert stopped.id == again.id == job.id
        assert sum(again.nodes.values()) == 2
        assert (await client.jobs.get(job.id)).state == "stopped"
        with pytest.raises(errors.UnknownJob):
            await client.commands.stop(9_999)


NODES = Scope(nodes=["web01.example.com"])
BAD_INPUT = {
    "unknown task": (
        lambda commands: commands.task("no::such", {}, NODES),
        errors.UnknownTask, "unknown-task", "spelling",
    ),
    "unknown environment": (
        lambda commands: commands.deploy("nowhere", NODES),
        errors.UnknownEnvironment, "unknown-environment", "puppet code deploy",
    ),
    "unknown plan": (
        lambda commands: commands.plan_run("no::such", {}),
        errors.UnknownPlan, "unknown-plan", "spelling",
    ),
    "empty target": (
        lambda commands: commands.task("facts", {}, Scope(nodes=[])),
        errors.EmptyTarget, "empty-target", "certnames",
    ),
    "empty environment": (
        lambda commands: commands.deploy(""),
        errors.EmptyTarget, "empty-environment", "enforce_environment",
    ),
    "not permitted task": (
        lambda commands: commands.task("lockdown::wipe", {"device": "/dev/sda"}, NODES),
        errors.NotPermitted, "not-permitted", "tasks:run",
    ),
    "not permitted plan": (
        lambda commands: commands.plan_run("lockdown::all", {}),
        errors.NotPermitted, "not-permitted", "plans:run",
    ),
    "noop and no_noop": (
        lambda commands: commands.deploy("production", NODES, RunFlags(noop=True, no_noop=True)),
        errors.Invalid, "validation-error", "exclude each other",
    ),
    "a bare parameter where an object belongs": (
        lambda commands: commands.environment_plan_run("rollout::web", {"batch": 5}),
        errors.Invalid, "validation-error", '{"value": ...}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUT)
@pytest.mark.parametrize("kinds", ["orchestrator", "validators"])
async def test_bad_input_gives_the_servers_kind_and_what_to_do(case: str, kinds: str) -> None:
    ask, kind, word, what_to_do = BAD_INPUT[case]
    async with asking(validation_kind=kinds) as (client, world):
        jobs, plans = len(world.jobs), len(world.plans)
        with pytest.raises(errors.ApiError) as refused:
            await ask(client.commands)
        assert (len(world.jobs), len(world.plans)) == (jobs, plans)
    assert type(refused.value) is kind
    assert refused.value.word == word
    assert what_to_do in refused.value.hint
    assert word in str(refused.value)


async def test_a_refusal_with_no_json_still_has_a_class_and_a_hint() -> None:
    for body in ("html", "empty"):
        async with asking(error_body=body) as (client, _):
            with pytest.raises(errors.Unsupported) as refused:
                await client.commands.task("no::such", {}, NODES)
            assert refused.value.status == 404
            assert refused.value.kind == ""


async def test_a_command_this_version_lacks() -> None:
    async with asking(shape_version="2018.1") as (client, _):
        with pytest.raises(errors.Unsupported):
            await client.commands.stop_plan(1)
        with pytest.raises(errors.Unsupported):
            await client.commands.plan_run("rollout::web", {})


@pytest.mark.parametrize(
    "scope", [{}, {"nodes": ["a"], "query": "x"}, {"nodes": "a.test"}, {"query": "x", "node_group": "y"}], ids=str
)
def test_an_ambiguous_scope_is_none(scope: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="nodes"):
        Scope(**scope)


async def test_a_query_that_the_user_may_not_ask() -> None:
    scope = Scope(query='nodes { certname ~ "web" }')
    world = World("quiet")
    async with served(world, token=TOKEN) as url:
        async with Client(Access("pe", url, token=TOKEN, rbac_url=url)) as client:
            assert (await client.commands.deploy("production", scope)).id in world.jobs
        account = {"login": "blind", "permissions": ["orchestrator:view:*", "puppet_agent:run:*"]}
        async with httpx.AsyncClient(base_url=url) as levers:
            await levers.post("/sim/users", json=account)
            own = (await levers.post("/sim/tokens", json={"login": "blind"})).json()["token"]
        async with Client(Access("pe", url, token=own)) as client:
            before = len(world.jobs)
            with pytest.raises(errors.QueryRefused) as refused:
                await client.commands.deploy("production", scope)
    assert len(world.jobs) == before
    assert refused.value.word == "query-error"
    assert "nodes:view_data" in refused.value.hint


@pytest.mark.parametrize("fault", ["expired", "revoked", "invalid", "user-revoked", "unauthenticated"])
async def test_a_refused_token_stops_everything_until_it_changes(fault: str) -> None:
    async with asking(auth_fault=fault) as (client, world):
        for _ in range(3):
            with pytest.raises(errors.TokenRefused) as refused:
                await client.commands.task("facts", {}, NODES)
            assert refused.value.kind.startswith("puppetlabs.rbac/")
            assert refused.value.hint
        assert not client.changed()
        assert world.requests.total() == 1
