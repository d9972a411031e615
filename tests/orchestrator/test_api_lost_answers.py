"""A command whose answer is lost, over real sockets: exactly one job is started, and found, or the doubt is told."""

from __future__ import annotations

import json
import random
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from orchbridge.orchestrator import Access, Client, errors
from orchbridge.orchestrator.api import starting
from orchbridge.orchestrator.calls import Reply
from orchbridge.orchestrator.models import Scope
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.orchestrator.lossy import Lossy, losing
from tests.orchestrator.servers import http, request_head, reset, tcp

TOKEN = "0simulated"
QUICK = Access("pe", "", token=TOKEN, connect_s=1.0, read_s=0.3, write_s=1.0, total_s=5.0)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries and looks come soon."""
    monkeypatch.setattr("orchbridge.orchestrator.caller.PAUSE_S", (0.0, 0.01))
    monkeypatch.setattr(starting, "LOOKS_S", (0.0, 0.05, 0.1))


@asynccontextmanager
async def cut_off(
    how: str, more: dict[str, object] | None = None, **knobs: str
) -> AsyncIterator[tuple[Client, World, Lossy]]:
    world = World("quiet", knobs=Knobs(**knobs))
    world.advance(0.0)
    async with (
        served(world, token=TOKEN) as url,
        losing(url, how, **(more or {})) as lossy,
        Client(replace(QUICK, url=lossy.url)) as client,
    ):
        yield client, world, lossy


def nodes(world: World) -> Scope:
    return Scope(nodes=sorted(world.agents)[:2])


def commands(lossy: Lossy) -> int:
    return sum("/command/" in line for line in lossy.heard)


STARTS = {
    "deploy": lambda client, scope: client.commands.deploy("production", scope, description="x"),
    "task": lambda client, scope: client.commands.task("facts", {}, scope, userdata={"mine": 1}),
    "plan": lambda client, _: client.commands.plan_run("rollout::web", {"batch": 2}),
}
DONE = ["reset", "stalls", "torn", "garbled", "502", "504", "refused 500"]


@pytest.mark.parametrize("what", STARTS)
@pytest.mark.parametrize("how", DONE)
async def test_a_lost_answer_leaves_exactly_one_job_and_it_is_returned(what: str, how: str) -> None:
    async with cut_off(how) as (client, world, lossy):
        jobs, plans = set(world.jobs), set(world.plans)
        started = await STARTS[what](client, nodes(world))
        assert started.recovered
        assert commands(lossy) == 1
        if what == "plan":
            assert set(world.plans) - plans == {started.id}
        else:
            assert set(world.jobs) - jobs == {started.id}
            assert world.jobs[started.id].userdata.keys() >= {starting.NONCE}


@pytest.mark.parametrize("version", ["2025", "2019.8"])
@pytest.mark.parametrize("seed", range(3))
async def test_whoever_sends_again_only_what_was_not_started_has_each_job_once(seed: int, version: str) -> None:
    luck = random.Random(seed)
    async with cut_off("", shape_version=version) as (client, world, lossy):
        before, returned, doubtful = set(world.jobs), [], set()
        wanted = [luck.choice(["", "refused 500 before", *DONE]) for _ in range(10)]
        for how in wanted:
            lossy.how = how
            try:
                try:
                    started = await client.commands.task("facts", {}, nodes(world))
                except errors.NotStarted:
                    lossy.how = luck.choice(["", "reset"])
                    started = await client.commands.task("facts", {}, nodes(world))
                returned.append(started.id)
            except errors.Uncertain as error:
                doubtful.update(error.candidates)
        made = set(world.jobs) - before
        assert len(set(returned)) == len(returned)
        assert set(returned) <= made
        assert made - set(returned) == doubtful  # every job is either returned or named as one it may be
        assert len(made) == len(wanted)
        assert version == "2019.8" or not doubtful


async def test_the_job_is_found_among_strangers_and_however_late_it_shows() -> None:
    """Others start jobs at the same time, and rows become visible out of order."""
    async with cut_off("reset", job_visibility="seconds:0.12") as (client, world, _):
        before = max(world.jobs)
        async with served(world, token=TOKEN) as direct, Client(replace(QUICK, url=direct)) as stranger:
            for _ in range(3):
                await stranger.commands.task("facts", {}, nodes(world))
            started = await client.commands.deploy("production", nodes(world))
        deploys = [job.id for job in world.jobs.values() if job.id > before and job.type == "deploy"]
        assert deploys == [started.id]


def _unreachable(kind: type[errors.Unreachable], *, sent: bool) -> errors.Unreachable:
    error = kind("gone")
    error.sent = sent
    return error


@pytest.mark.parametrize(
    ("outcome", "doubt"),
    [
        (_unreachable(errors.Unreachable, sent=False), "none"),
        (_unreachable(errors.TooSlow, sent=False), "none"),
        (_unreachable(errors.Unreachable, sent=True), "pending"),
        (_unreachable(errors.TooSlow, sent=True), "pending"),
        (errors.TooSlow("408", status=408), "pending"),
        (errors.ServerFault("504", status=504), "pending"),
        (errors.ServerFault("502", status=502), "pending"),
        (errors.ServerFault("503", status=503), "pending"),
        (errors.ServerFault("503", status=503, kind="unavailable"), "pending"),
        (errors.ServerFault("500", status=500), "pending"),
        (errors.ServerFault("500", status=500, kind="puppetlabs.orchestrator/unknown-error"), "settled"),
        (errors.ServerFault("401", status=401, kind="puppetlabs.rbac/server-error"), "none"),
        (errors.ServerFault("400", status=400, kind="puppetlabs.orchestrator/puppetdb-error"), "none"),
        (errors.PlanFinished("500", status=500, kind="puppetlabs.orchestrator/plan-already-finished"), "none"),
        (errors.Malformed("torn"), "accepted"),
        (errors.Malformed("redirect", status=302), "none"),
        (errors.Throttled("429", status=429), "none"),
        (errors.UnknownTask("404", status=404), "none"),
        (errors.TokenRefused("401", status=401), "none"),
        (Reply(202, b"{}"), "accepted"),
    ],
    ids=str,
)
def test_what_each_outcome_says_of_a_command(outcome: Reply | errors.ApiError, doubt: str) -> None:
    """Only `settled` may ever end in NotStarted, and only `none` in the server's own error."""
    assert starting.doubt(outcome) == doubt


@pytest.mark.parametrize("how", ["garbled before", "504 before"])
async def test_a_yes_or_a_gateways_patience_is_never_called_not_started(how: str) -> None:
    async with cut_off(how) as (client, world, lossy):
        with pytest.raises(errors.Uncertain):
            await client.commands.task("facts", {}, nodes(world))
        assert commands(lossy) == 1


async def test_what_the_server_itself_failed_at_may_be_sent_again_and_then_there_is_one_job() -> None:
    async with cut_off("refused 500 before", {"times": 1}) as (client, world, lossy):
        before = set(world.jobs)
        with pytest.raises(errors.NotStarted) as refused:
            await client.commands.task("facts", {}, nodes(world))
        assert "may be sent again" in refused.value.hint
        assert set(world.jobs) == before
        started = await client.commands.task("facts", {}, nodes(world))
        assert set(world.jobs) - before == {started.id}
        assert not started.recovered
        assert commands(lossy) == 2


@pytest.mark.parametrize("how", ["stalls before", "reset before", "never arrives", "502 before", "503 before"])
async def test_a_request_that_may_still_be_under_way_is_never_called_not_started(how: str) -> None:
    """After a timeout, or where something on the way cut it, it may be carried out later, however often we look."""
    async with cut_off(how) as (client, world, lossy):
        with pytest.raises(errors.Uncertain) as refused:
            await client.commands.task("facts", {}, nodes(world))
        assert refused.value.nonce
        assert refused.value.nonce in refused.value.hint
        assert refused.value.candidates == ()
        assert commands(lossy) == 1


async def test_lists_that_cannot_be_read_prove_nothing() -> None:
    async with cut_off("refused 500 before") as (client, world, lossy):
        look, first = starting.look, []

        async def unread(*arguments: object) -> object:
            lossy.on, lossy.how, lossy.hit = "GET", "502", 0
            first.append(1)
            return await look(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(starting, "look", unread)
            with pytest.raises(errors.Uncertain):
                await client.commands.task("facts", {}, nodes(world))
        assert len(first) == len(starting.LOOKS_S)


@pytest.mark.parametrize("version", ["2017.3", "2019.8"])
async def test_an_older_server_keeps_no_nonce_so_the_job_it_may_be_is_named(version: str) -> None:
    async with cut_off("reset", shape_version=version) as (client, world, lossy):
        before = set(world.jobs)
        with pytest.raises(errors.Uncertain) as refused:
            await client.commands.task("facts", {}, nodes(world), description="from the pipeline")
        (started,) = set(world.jobs) - before
        assert refused.value.candidates == (started,)
        assert str(started) in str(refused.value)
        assert "no proof" in str(refused.value)
        assert f"of {world.jobs[started].owner['login']}" in str(refused.value)
        assert str(started) in refused.value.hint
        assert refused.value.nonce == ""
        assert commands(lossy) == 1


async def test_on_an_older_server_ours_may_show_after_one_that_fits() -> None:
    async with cut_off("reset", shape_version="2019.8", job_visibility="seconds:1") as (client, world, _):
        look, looks = starting.look, []

        async def in_turns(*arguments: object) -> object:
            looks.append(1)
            if len(looks) == 1:
                world.turn({"job_visibility": "in-order"}, world.course.now)
                async with served(world, token=TOKEN) as direct, Client(replace(QUICK, url=direct)) as stranger:
                    await stranger.commands.deploy("production", nodes(world))
            return await look(*arguments)

        before = set(world.jobs)
        with pytest.MonkeyPatch.context() as patch:  # the stranger's first, ours a second later
            patch.setattr(starting, "look", in_turns)
            patch.setattr(starting, "LOOKS_S", (0.0, 1.2))
            with pytest.raises(errors.Uncertain) as refused:
                await client.commands.deploy("production", nodes(world))
        assert refused.value.candidates == tuple(sorted(set(world.jobs) - before, reverse=True))
        assert len(refused.value.candidates) == 2


async def test_on_an_older_server_a_strangers_job_is_no_candidate() -> None:
    async with cut_off("refused 500 before", {"times": 1}, shape_version="2019.8") as (client, world, _):
        async with served(world, token=TOKEN) as direct, Client(replace(QUICK, url=direct)) as stranger:
            look = starting.look

            async def meanwhile(*arguments: object) -> object:
                await stranger.commands.deploy("staging", nodes(world), description="theirs")
                return await look(*arguments)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(starting, "look", meanwhile)
                with pytest.raises(errors.NotStarted):
                    await client.commands.deploy("production", nodes(world), description="ours")


@pytest.mark.parametrize("keeps", [True, False])
async def test_an_empty_list_does_not_tell_whether_a_nonce_will_be_kept(keeps: bool) -> None:
    """An older server may swallow the userdata: then its first job is no proof, but no stranger's either."""
    jobs: list[dict[str, object]] = []

    async def first_job(reader: StreamReader, writer: StreamWriter, _: int) -> None:
        while True:
            head = await request_head(reader)
            if head.startswith(b"GET"):
                writer.write(http(json.dumps({"items": jobs, "pagination": {"total": len(jobs)}}).encode()))
                continue
            body = json.loads(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0])))
            jobs.append({"name": "1", "options": {}, **({"userdata": body["userdata"]} if keeps else {})})
            reset(writer)

    async with tcp(first_job) as url, Client(replace(QUICK, url=url)) as client:
        if keeps:
            assert (await client.commands.deploy("production", Scope(nodes=["a"]))).recovered
        else:
            with pytest.raises(errors.Uncertain) as refused:
                await client.commands.deploy("production", Scope(nodes=["a"]))
            assert refused.value.candidates == (1,)


async def test_nothing_is_sent_while_nobody_could_look_for_it() -> None:
    async with cut_off("502", {"on": "GET"}) as (client, world, lossy):
        before = set(world.jobs)
        with pytest.raises(errors.ServerFault):
            await client.commands.task("facts", {}, nodes(world))
        assert set(world.jobs) == before
        assert commands(lossy) == 0


async def test_nothing_is_sent_where_the_list_is_a_proxys_page() -> None:
    sent: list[bytes] = []

    async def page(reader: StreamReader, writer: StreamWriter, _: int) -> None:
        while True:
            head = await request_head(reader)
            if head.startswith(b"POST"):
                sent.append(head)
            writer.write(http(b"<html>log in first"))

    async with tcp(page) as url, Client(replace(QUICK, url=url)) as client:
        with pytest.raises(errors.Malformed):
            await client.commands.deploy("production", Scope(nodes=["a"]))
    assert sent == []


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
async def test_where_the_list_is_refused_the_command_goes_out_unmarked_and_a_lost_answer_is_uncertain(
    status: str,
) -> None:
    sent: list[dict[str, object]] = []

    async def refusing(reader: StreamReader, writer: StreamWriter, _: int) -> None:
        while True:
            head = await request_head(reader)
            if head.startswith(b"GET"):
                writer.write(http(b"no", status=status))
                continue
            sent.append(
                json.loads(await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0])))
            )
            writer.write(http(b'{"kind":"puppetlabs.orchestrator/unknown-error","msg":"x"}', status="500 Oops"))

    async with tcp(refusing) as url, Client(replace(QUICK, url=url)) as client:
        with pytest.raises(errors.Uncertain):
            await client.commands.deploy("production", Scope(nodes=["a"]))
    (body,) = sent
    assert "userdata" not in body


async def test_a_server_nobody_listens_at_was_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    async with Client(replace(QUICK, url=f"http://127.0.0.1:{port}")) as client:
        with pytest.raises(errors.Unreachable) as refused:
            await client.commands.stop(1)
    assert not refused.value.sent


@pytest.mark.parametrize("how", ["reset", "never arrives"])
async def test_stopping_is_repeated(how: str) -> None:
    async with cut_off(how, {"times": 2}) as (client, world, lossy):
        job = next(iter(world.jobs))
        assert (await client.commands.stop(job)).id == job
        assert commands(lossy) == 3


async def test_an_idle_connection_that_died_costs_a_command_nothing() -> None:
    """A command goes out on a connection of its own, so the keep-alive race cannot make it uncertain."""

    async def one_answer_each(reader: StreamReader, writer: StreamWriter, _: int) -> None:
        head = await request_head(reader)
        body = b'{"items": [{"name": "6", "userdata": {}}]}' if head.startswith(b"GET") else b'{"job": {"name": "7"}}'
        writer.write(http(body))
        await request_head(reader)
        reset(writer)  # the next request was already on its way

    async with tcp(one_answer_each) as url, Client(replace(QUICK, url=url)) as client:
        await client.jobs.events(1)
        for _ in range(3):
            started = await client.commands.task("facts", {}, Scope(nodes=["a.test"]))
            assert (started.id, started.recovered) == (7, False)
        assert len(client._pool._held._idle) == 1  # and leaves none behind
