"""A command whose answer is lost: what was started is found; else what to look at is said."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.cli.pe.stage import Stage
from tests.e2e.programs import simulator
from tests.orchestrator.lossy import losing
from tests.orchestrator.servers import answering, served


class Done(NamedTuple):
    code: int | None
    out: str
    err: str


async def orchbridge(*arguments: str) -> Done:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchbridge", "pe", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await run.communicate()
    return Done(run.returncode, out.decode(), err.decode())


def task(stage: Stage, url: str) -> tuple[str, ...]:
    return "run-task", "facts", "--nodes", "web01.example.com", "--yes", *Stage(stage.folder, url).place


@pytest.mark.parametrize("how", ["reset", "torn", "502"])
async def test_what_was_started_is_found(stage: Stage, how: str) -> None:
    before = stage.started
    async with losing(stage.url, how, on="POST /orchestrator/v1/command/task") as lossy:
        done = await orchbridge(*task(stage, lossy.url))
    number = stage.facts("job")[-1]["id"]
    assert stage.started == before + 1
    assert (done.code, done.out) == (0, f"job {number} started: task facts on 1 node\n")
    assert f"the server's answer was lost; job {number} was found by the mark it carries" in done.err


async def test_what_certainly_did_not_start_may_be_tried_again(stage: Stage) -> None:
    before = stage.started
    async with losing(stage.url, "refused 500 before", on="POST /orchestrator/v1/command/task") as lossy:
        done = await orchbridge(*task(stage, lossy.url))
    assert stage.started == before
    assert (done.code, done.out) == (69, "")
    assert "nothing was started — it may be sent again" in done.err


@pytest.mark.parametrize("how", ["never arrives", "503 before"])
async def test_what_may_still_be_under_way_is_not_to_be_tried_again(stage: Stage, how: str) -> None:
    """A balancer cuts a connection, or answers in the orchestrator's place, while the command goes on behind it."""
    async with losing(stage.url, how, on="POST /orchestrator/v1/command/task") as lossy:
        done = await orchbridge(*task(stage, lossy.url))
    assert (done.code, done.out) == (75, "")
    assert "it may have been carried out, or still be" in done.err
    assert "may be sent again" not in done.err


async def test_what_may_have_started_is_not_to_be_tried_blindly(tmp_path: Path) -> None:
    """A version that keeps no marks shows a job that fits, and that is no proof."""
    with simulator(tmp_path, "empty:nodes=5", "--version", "2019.8") as (url, _):
        stage = Stage(tmp_path, url)
        async with losing(url, "torn", on="POST /orchestrator/v1/command/task") as lossy:
            done = await orchbridge(*task(stage, lossy.url))
        number = stage.facts("job")[-1]["id"]
    assert (done.code, done.out) == (75, "")
    assert re.search(rf"it may have started {number}\b.* carries no proof — look at /jobs/{number}\b", done.err)


async def test_a_server_that_goes_away_leaves_the_outcome_open(slow: Stage) -> None:
    """A job that we started goes on, whatever becomes of the watching."""
    async with losing(slow.url, "refused 500", on="/events") as lossy:
        lossy.how = ""
        arguments = (*task(slow, lossy.url), "--follow")
        run = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "orchbridge", "pe", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert run.stdout is not None
        assert run.stderr is not None
        number = number_in(await run.stdout.readline())
        lossy.how = "refused 500"
        told = ""
        while "does not answer (500); waiting for it" not in told:
            line = (await run.stderr.readline()).decode()
            assert line, told
            told += line
        lossy.how = ""
        while "answers again" not in told:
            told += (await run.stderr.readline()).decode()
        (slow.folder / "token").rename(slow.folder / "kept")
        (slow.folder / "token").write_text("0another\n")  # the token is replaced by one that is not accepted
        try:
            _, err = await run.communicate()
        finally:
            (slow.folder / "kept").rename(slow.folder / "token")
    assert run.returncode == 75
    assert f"job {number} goes on; watch it again with `orchbridge pe job {number} --follow`" in err.decode()
    assert "401" in err.decode()


def number_in(line: bytes) -> int:
    return int(line.split()[1])


@pytest.mark.parametrize(("unseen", "code"), [(2, 0), (1_000, 75)])
async def test_a_job_just_started_may_take_a_moment_to_be_seen(stage: Stage, unseen: int, code: int) -> None:
    """A list may lag behind its own answers; that is no reason to say that there is no such job."""
    looks = 0

    def answer(request: Request) -> Response:
        nonlocal looks
        match request.url.path.removeprefix("/orchestrator/v1"):
            case "/tasks/facts/init":
                return answering({"name": "facts", "metadata": {}})
            case "/command/task":
                return answering({"job": {"name": "7"}}, 202)
            case "/jobs":
                return answering({"items": [], "pagination": {"total": 0}})
            case "/jobs/7/events":
                return answering({"items": [{"id": "1", "type": "job_finished", "details": {}}]})
        looks += 1
        if looks <= unseen:
            return answering({"kind": "puppetlabs.orchestrator/unknown-job", "msg": "Unknown job 7"}, 404)
        return answering({"name": "7", "state": "finished", "node_states": None, "options": {}})

    async with served(answer) as door:
        done = await orchbridge(*task(stage, door.url), "--follow")
    assert done.code == code, done.err
    assert done.out.startswith("job 7 started: task facts on 1 node\n")
    assert ("job 7: finished" in done.out) == (code == 0)
    assert ("job 7 goes on" in done.err) == (code == 75)
