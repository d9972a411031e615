"""The client against the simulator, through real sockets: every question, every version, every fault it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchbridge.core.errors import Denied
from orchbridge.core.facts import Connection, Job, JobEvent, NodeRow, Odd, Plan, PlanEvent, TaskMeta
from orchbridge.core.questions import (
    BrokerStatus,
    Health,
    Inventory,
    InventoryOf,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import Access, Client
from orchbridge.orchestrator.doctor import probe
from orchbridge.sim import releases
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.tls import make_tls
from orchbridge.sim.world import World

TOKEN = "0simulated"


@pytest.fixture(autouse=True)
def _short(short_pauses: None) -> None:
    """Let retries come at once."""


@asynccontextmanager
async def asking(**knobs: str) -> AsyncIterator[Client]:
    async with (
        served(World("quiet", knobs=Knobs(**knobs)), token=TOKEN) as url,
        Client(Access("pe", url, token=TOKEN)) as client,
    ):
        yield client


def items(answer: object, kind: type) -> list:
    assert isinstance(answer, Page), answer
    assert all(isinstance(item, kind) for item in answer.items)
    return list(answer.items)


@pytest.mark.parametrize("version", releases.ROWS)
async def test_jobs_of_every_version(version: str) -> None:
    async with asking(shape_version=version) as client:
        page = await client.answer(JobsPage(50))
        jobs: list[Job] = items(page, Job)
        assert len(jobs) >= 6
        assert sorted((job.id for job in jobs), reverse=True) == [job.id for job in jobs]
        assert isinstance(page, Page)
        assert page.paged == releases.has(version, releases.PAGES)
        for job in jobs[:3]:
            detail = await client.answer(JobDetail(job.id))
            assert isinstance(detail, Job)
            assert (detail.id, detail.state) == (job.id, job.state)
            assert detail.status
            assert detail.status[-1].state == job.state
            events: list[JobEvent] = items(await client.answer(JobEvents(job.id)), JobEvent)
            assert events
            later: list[JobEvent] = items(await client.answer(JobEvents(job.id, events[-1].id)), JobEvent)
            assert later == events[-1:]
            nodes: list[NodeRow] = items(await client.answer(JobNodes(job.id, 100)), NodeRow)
            assert job.node_count == (len(nodes) if releases.has(version, releases.SCOPE) else None)
        gone = await client.answer(JobDetail(9_999))
    assert isinstance(gone, Trouble)
    assert gone.kind == "missing"


@pytest.mark.parametrize("version", releases.ROWS)
async def test_plans_inventory_and_tasks_of_every_version(version: str) -> None:
    async with asking(shape_version=version) as client:
        answers = [
            await client.answer(question)
            for question in (
                PlansPage(5), PlanDetail(1), PlanEvents(1), PlanEventWhole(1, 1), Inventory(),
                InventoryOf(("nobody.test",)), TaskMetadata("package", "production"), BrokerStatus(),
            )
        ]  # fmt: skip
    plans, plan, events, event, inventory, about, task, health = answers
    assert health == Health("running")
    there = {
        releases.PLAN_JOBS: (plans, plan),
        releases.PLAN_EVENTS: (events,),
        releases.PLAN_EVENT: (event,),
        releases.INVENTORY: (inventory, about),
        releases.TASKS: (task,),
    }
    for feature, told in there.items():
        for answer in told:
            absent = isinstance(answer, Trouble) and answer.kind == "absent"
            assert absent is not releases.has(version, feature), answer
    if releases.has(version, releases.INVENTORY):
        assert items(inventory, Connection)
        assert items(about, Connection) == [Connection("nobody.test", connected=False)]
    if releases.has(version, releases.TASKS):
        assert isinstance(task, TaskMeta)
    if releases.has(version, releases.PLAN_JOBS):
        assert 1 in [found.id for found in items(plans, Plan)]
        assert isinstance(plan, Plan)
        assert plan.children
        assert plan.result is not None
    if releases.has(version, releases.PLAN_EVENTS):
        assert isinstance(plan, Plan)
        assert {found.job_id for found in items(events, PlanEvent)} >= set(plan.children)
    if releases.has(version, releases.PLAN_EVENT):
        assert isinstance(event, PlanEvent)
        assert event.id == 1


async def test_a_server_that_refuses_unknown_parameters() -> None:
    for version in ("2018.1", "2019.8", "2019.8.8", "2021.0", "2021.3", "2025"):
        async with asking(shape_version=version, unknown_query_params="400") as client:
            assert items(await client.answer(JobsPage(3)), Job)
            assert items(await client.answer(PlansPage(3)), Plan)
            assert items(await client.answer(JobNodes(1, 3)), NodeRow)


@pytest.mark.parametrize(
    ("fault", "error_body", "kind"),
    [
        ("reset", "empty", "unreachable"),
        ("truncated", "empty", "unreachable"),
        ("500", "with-details", "server"),
        ("502", "html", "server"),
        ("503,retry-after=3", "empty", "server"),
        ("429,retry-after=3", "without-details", "throttled"),
        ("html-200", "html", "malformed"),
    ],
)
async def test_faults(fault: str, error_body: str, kind: str) -> None:
    async with asking(faults=fault, error_body=error_body) as client:
        for question in (JobsPage(3), JobEvents(1), Inventory(), PlansPage(1)):
            answer = await client.answer(question)
            assert isinstance(answer, Trouble)
            assert answer.kind == kind, answer
            assert answer.retry_after_s == (3 if "retry-after" in fault else None)


@pytest.mark.parametrize("fault", ["expired", "revoked", "timed-out", "invalid", "user-revoked", "unauthenticated"])
async def test_refused_tokens(fault: str) -> None:
    async with asking(auth_fault=fault) as client:
        for _ in range(2):
            with pytest.raises(Denied) as refused:
                await client.answer(JobsPage(3))
            assert refused.value.kind.startswith("puppetlabs.rbac/")
            assert refused.value.hint


@pytest.mark.parametrize("fault", ["server-error-401", "server-error-503"])
async def test_refusals_that_pass_by(fault: str) -> None:
    async with asking(auth_fault=fault) as client:
        answer = await client.answer(JobsPage(3))
    assert isinstance(answer, Trouble)
    assert answer.kind == "server"


async def test_oddities_of_shape() -> None:
    odd = {
        "timestamps_key": "started_timestamp", "duration_type": "string", "id_host": "wrong-port", "owner": "id+login",
        "inventory": "false-rows+blank+malformed-timestamp", "nodes": "big:1+null-result+error-string",
        "next_events": "missing", "default_order": "asc-timestamp", "finished_when_running": "absent",
    }  # fmt: skip
    async with asking(**odd) as client:
        jobs: list[Job] = items(await client.answer(JobsPage(50)), Job)
        assert all(job.created and job.duration is not None and job.owner.login for job in jobs)
        for job in jobs:
            assert not [item for item in items(await client.answer(JobEvents(job.id)), object) if isinstance(item, Odd)]
            assert items(await client.answer(JobNodes(job.id, 50)), NodeRow)
        assert items(await client.answer(Inventory()), Connection)


async def test_a_forbidden_job_and_a_broker_that_is_down() -> None:
    async with asking(forbidden="job:2", inventory="500") as client:
        assert items(await client.answer(JobsPage(3)), Job)
        one = await client.answer(JobEvents(2))
        inventory = await client.answer(Inventory())
        assert await client.answer(BrokerStatus()) == Health("error")
    assert isinstance(one, Trouble)
    assert one.kind == "forbidden"
    assert isinstance(inventory, Trouble)
    assert inventory.kind == "server"


async def test_an_inventory_too_large_to_decode_at_once() -> None:
    async with served(World("fleet"), token=None) as url, Client(Access("pe", url)) as client:
        assert len(items(await client.answer(Inventory()), Connection)) == 100_000


async def test_check_of_the_simulator_finds_nothing_wrong(tmp_path: Path) -> None:
    tls = make_tls(tmp_path)
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    async with served(World("quiet", knobs=Knobs(token_life="endless")), token=TOKEN, tls=tls) as url:
        findings = await probe(Access("pe", url, ca_file=tls.ca, token_file=token_file, rbac_url=url))
    assert [finding for finding in findings if finding.level != "ok" and "clock" not in finding.subject] == []
