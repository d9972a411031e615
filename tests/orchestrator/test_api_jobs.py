"""Jobs and plan jobs through the public client, against the simulator of every version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.orchestrator import Access, Client, errors
from orchbridge.orchestrator.api.following import Tempo
from orchbridge.orchestrator.models import Scope
from orchbridge.sim import releases
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as door_of

TOKEN = "0simulated"
QUICK = Tempo(poll_s=0.02, grace_s=0.3, patience_s=5.0)


@pytest.fixture(autouse=True)
def _short(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once."""
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.01))


@asynccontextmanager
async def asking(scenario: str = "quiet", world: World | None = None, **knobs: str) -> AsyncIterator[Client]:
    async with (
        served(world or World(scenario, knobs=Knobs(**knobs)), token=TOKEN) as url,
        Client(Access("pe", url, token=TOKEN)) as client,
    ):
        yield client


async def all_of(things: Any) -> list[Any]:
    return [thing async for thing in things]


@pytest.mark.parametrize("version", releases.ROWS)
async def test_every_version_tells_its_jobs(version: str) -> None:
    async with asking(shape_version=version) as client:
        jobs = await all_of(client.jobs.list(limit=100))
        assert [job.id for job in jobs] == sorted({job.id for job in jobs}, reverse=True)
        assert len(jobs) >= 6
        for job in jobs[-4:]:
            one = await client.jobs.get(job.id)
            assert (one.id, one.state, one.over) == (job.id, job.state, job.over)
            assert one.finished if one.over else not one.finished
            assert one.created
            assert one.status[-1].left is None
            assert one.owner.login
            nodes = await all_of(client.jobs.nodes(job.id, limit=2))
            assert one.node_count == (len(nodes) if releases.has(version, releases.SCOPE) else None)
            assert len({node.name for node in nodes}) == len(nodes)
            events = await client.jobs.events(job.id)
            assert await client.jobs.events(job.id, start=events[-1].id) == events[-1:]
            assert {row.node for row in await client.jobs.report(job.id)} <= {node.name for node in nodes}
        with pytest.raises(errors.UnknownJob) as unknown:
            await client.jobs.get(9_999)
        assert unknown.value.status == 404
        assert "pruned" in unknown.value.hint or "deleted" in unknown.value.hint


@pytest.mark.parametrize("knobs", [{}, {"limit_max": "clamp:2"}, {"unknown_query_params": "400"}])
async def test_pages_show_each_job_once(knobs: dict[str, str]) -> None:
    async with asking(**knobs) as client:
        whole = [job.id async for job in client.jobs.list(limit=500)]
        assert [job.id async for job in client.jobs.list(limit=3)] == whole
        assert [job.id async for job in client.jobs.list(limit=3, offset=2)] == whole[2:]
        assert [job.id async for job in client.jobs.list(limit=4, order="asc")] == whole[::-1]


@pytest.mark.parametrize("known", [{"limit"}, {"limit", "offset"}, set()], ids=str)
async def test_a_server_that_refuses_what_it_does_not_know_is_asked_more_plainly(known: set[str]) -> None:
    """The newest servers may as well; then nothing is left out that would change what is meant."""

    def strict(request: Request) -> Response:
        if request.method == "POST":
            return answering({"job": {"name": "9"}, "name": "9"}, 202)
        if request.query_params.keys() - known:
            return answering({"kind": "puppetlabs.orchestrator/validation-error", "msg": "unknown parameter"}, 400)
        if "offset" in request.query_params and request.query_params["offset"] != "0":
            return answering({"items": []})
        return answering({"items": [{"name": "3", "state": "new"}, {"name": "2", "state": "new"}]})

    async with door_of(strict) as door, Client(Access("pe", door.url)) as client:
        if known:
            assert [job.id async for job in client.jobs.list()] == [3, 2]
        assert [node.name async for node in client.jobs.nodes(3)] == ["3", "2"]
        if "offset" in known:
            assert [plan.id async for plan in client.plan_jobs.list()] == [3, 2]
            assert [job.id async for job in client.jobs.list(type="task")] == [3, 2]
        for ask in (client.jobs.list(type="nope"), client.jobs.list(order="asc")):
            with pytest.raises(errors.Invalid):
                await all_of(ask)
        assert (await client.commands.deploy("production", Scope(nodes=["a.test"]))).id == 9


@pytest.mark.parametrize("version", ["2016.4", "2017.3", "2019.8", "2021.0", "2021.6"])
async def test_filters_hold_though_the_server_refuses_them(version: str) -> None:
    async with asking(shape_version=version, unknown_query_params="400") as client:
        jobs = await all_of(client.jobs.list())
        cut = sorted(job.finished for job in jobs if job.finished)[2]
        assert await all_of(client.jobs.list(min_finish_timestamp=cut)) == [
            job for job in jobs if job.finished and job.finished >= cut
        ]
        tasks = await all_of(client.jobs.list(type="task"))
        assert tasks == [job for job in jobs if job.type in ("task", None)]
        assert tasks
        if releases.has(version, releases.PLAN_JOBS):
            plans = await all_of(client.plan_jobs.list())
            assert await all_of(client.plan_jobs.list(max_finish_timestamp=cut)) == [
                plan for plan in plans if plan.finished and plan.finished <= cut
            ]


async def test_jobs_that_come_while_paging_are_no_duplicates() -> None:
    served_ids = list(range(1, 8))

    def moving(request: Request) -> Response:
        served_ids.append(served_ids[-1] + 1)
        limit, offset = (int(request.query_params[name]) for name in ("limit", "offset"))
        shown = served_ids[::-1][offset : offset + limit]
        return answering({"items": [{"name": str(n), "state": "new"} for n in shown], "pagination": {"total": None}})

    async with door_of(moving) as door, Client(Access("pe", door.url)) as client:
        found = [job.id async for job in client.jobs.list(limit=3)]
    assert found == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_as_many_jobs_as_a_page_holds_may_come_while_paging() -> None:
    served_ids = list(range(1, 8))

    def moving(request: Request) -> Response:
        limit, offset = (int(request.query_params[name]) for name in ("limit", "offset"))
        shown = served_ids[::-1][offset : offset + limit]
        total = len(served_ids)
        if offset == 0:
            served_ids.extend(range(8, 8 + 2 * limit))
        return answering({"items": [{"name": str(n), "state": "new"} for n in shown], "pagination": {"total": total}})

    async with door_of(moving) as door, Client(Access("pe", door.url)) as client:
        found = [job.id async for job in client.jobs.list(limit=3)]
        assert len(door.heard) < 7
    assert [number for number in found if number < 8] == [7, 6, 5, 4, 3, 2, 1]
    assert len(set(found)) == len(found)


async def test_filters_hold_though_the_server_ignores_them() -> None:
    async with asking() as client:
        jobs = await all_of(client.jobs.list())
        cut = sorted(job.finished for job in jobs if job.finished)[2]

    def ignoring(_: Request) -> Response:
        return answering({"items": [job.raw for job in jobs], "pagination": {"total": len(jobs)}})

    async with door_of(ignoring) as door, Client(Access("pe", door.url)) as client:
        tasks = await all_of(client.jobs.list(type="task", task="s"))
        late = await all_of(client.jobs.list(min_finish_timestamp=cut))
        early = await all_of(client.jobs.list(max_finish_timestamp=cut))
        asked = door.heard[1].query_params["min_finish_timestamp"]
    assert {job.type for job in tasks} == {"task"}
    assert {job.id for job in late} | {job.id for job in early} == {job.id for job in jobs if job.over}
    assert asked == cut.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("takes", ["all", "none", "ignored"])
async def test_nodes_in_a_state_that_not_every_version_takes(takes: str) -> None:
    def nodes(request: Request) -> Response:
        state, rows = request.query_params.get("state"), [("a", "errored"), ("b", "finished"), ("c", "errored")]
        if state and takes == "none":
            return answering({"kind": "puppetlabs.orchestrator/validation-error", "msg": "no such state"}, 400)
        shown = [{"name": name, "state": each} for name, each in rows if takes != "all" or not state or each == state]
        offset = int(request.query_params["offset"])
        return answering({"items": shown[offset:]})

    async with door_of(nodes) as door, Client(Access("pe", door.url)) as client:
        assert [node.name async for node in client.jobs.nodes(7, state="errored")] == ["a", "c"]
        assert len(await all_of(client.jobs.nodes(7, order_by="name"))) == 3


async def test_one_odd_value_does_not_hide_the_others() -> None:
    deep = b"[" * 300 + b"]" * 300
    rows = (
        b'{"name":"4","state":"new","description":"half \\ud800 and whole \\ud83d\\ude00 \\\\ud800"},'
        b'{"name":"3","state":"new","options":{"params":' + deep + b"}},"
        b'{"name":"2","state":"new","duration":NaN},{"name":"1","state":"new","description":"\xff\x01"}'
    )

    def odd(_: Request) -> Response:
        return answering(b'\xef\xbb\xbf{"items":[' + rows + b'],"pagination":{"total":4}}')

    async with door_of(odd) as door, Client(Access("pe", door.url)) as client:
        jobs = await all_of(client.jobs.list())
    assert [job.id for job in jobs] == [4, 3, 2, 1]
    assert jobs[0].raw["description"] == "half \ufffd and whole \U0001f600 \\ud800"
    assert "\n".join(str(job.raw) for job in jobs).encode()


async def test_a_filter_that_contradicts_itself_is_refused_with_the_servers_kind() -> None:
    async with asking() as client:
        with pytest.raises(errors.Invalid) as refused:
            await all_of(client.jobs.list(type="deploy", task="facts"))
    assert refused.value.word == "validation-error"
    assert "exclude each other" in refused.value.hint


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"job_finished_event": "missing"},
        {"job_finished_event": "job_aborted"},
        {"event_lag_after_terminal": "polls:3"},
        {"event_visibility": "ids:4,p=0.5"},
        {"faults": "503,p=0.2,on=jobs+reset,p=0.1,on=jobs"},
        {"next_events": "missing"},
    ],
    ids=str,
)
async def test_following_a_job_yields_every_event_once_and_ends(knobs: dict[str, str]) -> None:
    world = World("quiet", knobs=Knobs(**knobs))
    world.node_seconds = (0.05, 0.3)
    world.advance(0.0)  # its past is played, so that there are nodes
    nodes = [agent.name for agent in world.agents.values()][:6]
    async with asking(world=world) as client:
        started = await client.commands.task("facts", {}, Scope(nodes=nodes))
        seen = [event.id async for event in client.jobs.follow(started.id, replace(QUICK, grace_s=0.5))]
        assert (await client.jobs.get(started.id)).over
    truth = world.jobs[started.id]
    last = truth.log.last
    assert len(seen) == len(set(seen))
    assert last in seen
    assert sorted(seen) == [event.id for event in await _events(world, started.id)]


async def _events(world: World, job: int) -> list[Any]:
    world.turn({"faults": "none", "event_lag_after_terminal": "polls:0"}, world.course.now)
    async with asking(world=world) as client:
        return list(await client.jobs.events(job))


async def test_a_job_with_no_word_of_its_end_is_left_soon_after_it() -> None:
    """The state ends it, in a state nobody knows as well where there is an end."""
    now = datetime(2025, 1, 1, tzinfo=UTC)

    def served_job(request: Request) -> Response:
        if request.url.path.endswith("/events"):
            return answering({"items": [{"id": "5", "type": "node_running", "details": {"node": "a"}}]})
        end = (now + timedelta(seconds=3)).isoformat()
        return answering({"name": "7", "state": "exploded", "finished_timestamp": end, "node_states": {"exploded": 1}})

    async with door_of(served_job) as door, Client(Access("pe", door.url)) as client:
        assert [event.id async for event in client.jobs.follow(7, QUICK)] == [5]


async def test_what_shows_late_of_a_large_job_is_found_however_far_below() -> None:
    """Others' events take numbers too, so the one that came late is thousands below the newest."""
    nodes = [f"n{number}.test" for number in range(1_200)]
    reads = []

    def event(number: int, kind: str, node: str | None) -> dict[str, Any]:
        return {"id": str(number), "type": kind, "details": {"node": node} if node else {}}

    events = [event(10 + 5 * at, "node_finished", node) for at, node in enumerate(nodes)]
    late, *others = [*events, event(9_000, "job_finished", None)]

    def large(request: Request) -> Response:
        if not request.url.path.endswith("/events"):
            return answering({"name": "7", "state": "finished", "node_states": {"finished": len(nodes)}})
        start = int(request.query_params.get("start", 0))
        reads.append(start)
        shown = [*others, late] if len(reads) > 3 else others
        return answering({"items": [each for each in shown if int(each["id"]) >= start]})

    async with door_of(large) as door, Client(Access("pe", door.url)) as client:
        found = [each.id async for each in client.jobs.follow(7, QUICK)]
    assert sorted(found) == [int(each["id"]) for each in [late, *others]]


async def test_following_what_was_pruned_says_so() -> None:
    async with asking() as client:
        with pytest.raises(errors.UnknownJob):
            await all_of(client.jobs.follow(9_999, QUICK))


async def test_following_survives_a_page_of_somebody_else() -> None:
    asked = 0

    def sometimes(request: Request) -> Response:
        nonlocal asked
        asked += 1
        if asked % 2:
            return Response("<html>please wait")
        if request.url.path.endswith("/events"):
            return answering({"items": [{"id": "5", "type": "job_finished"}]})
        return answering({"name": "7", "state": "finished"})

    async with door_of(sometimes) as door, Client(Access("pe", door.url)) as client:
        assert [event.id async for event in client.jobs.follow(7, QUICK)] == [5]


async def test_following_waits_for_a_server_that_is_away_but_not_for_ever() -> None:
    async with asking(faults="503") as client:
        with pytest.raises(errors.ServerFault):
            await all_of(client.jobs.follow(1, replace(QUICK, patience_s=0.1)))


@pytest.mark.parametrize("version", releases.ROWS)
async def test_every_version_tells_its_plan_jobs(version: str) -> None:
    async with asking(shape_version=version) as client:
        if not releases.has(version, releases.PLAN_JOBS):
            with pytest.raises(errors.Unsupported) as unsupported:
                await all_of(client.plan_jobs.list())
            assert "PE has it since 2018.1" in unsupported.value.hint
            return
        plans = await all_of(client.plan_jobs.list(limit=2, results="include"))
        assert [plan.id for plan in plans] == sorted({plan.id for plan in plans}, reverse=True)
        one = await client.plan_jobs.get(1)
        assert one.over
        assert one.jobs
        assert one.result is not None
        if not releases.has(version, releases.PLAN_EVENTS):
            with pytest.raises(errors.Unsupported):
                await client.plan_jobs.events(1)
            return
        events = await client.plan_jobs.events(1)
        assert {event.job for event in events if event.job} >= set(one.jobs)
        followed = [event.id async for event in client.plan_jobs.follow(1, QUICK)]
        assert followed == [event.id for event in events]
        with pytest.raises(errors.UnknownJob):
            await client.plan_jobs.get(9_999)


async def test_a_long_message_of_a_plan_is_followed_whole() -> None:
    text = "ä" * 2_000

    def plan(request: Request) -> Response:
        match request.url.path.rpartition("/plan_jobs/")[2].split("/"):
            case ["3"]:
                return answering({"name": "3", "state": "success"})
            case ["3", "events"]:
                cut = {"id": "8", "type": "out_message", "details": {"message": text[:512]}}
                anonymous = {"type": "plan_start", "details": {"plan": "sub"}}
                return answering({"items": [cut, anonymous, {"id": "9", "type": "plan_finished", "details": {}}]})
            case _:
                return answering({"id": "8", "type": "out_message", "details": {"message": text}})

    async with door_of(plan) as door, Client(Access("pe", door.url)) as client:
        events = await all_of(client.plan_jobs.follow(3, QUICK))
    assert [event.id for event in events] == [None, 8, 9]
    assert events[1].message == text
