"""A command whose answer is lost: what was started is found; else what to look at is said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.cli.pe.stage import Stage
from tests.orchestrator.lossy import losing


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
    async with losing(stage.url, "never arrives", on="POST /orchestrator/v1/command/task") as lossy:
        done = await orchbridge(*task(stage, lossy.url))
    assert stage.started == before
    assert (done.code, done.out) == (69, "")
    assert "nothing was started — it may be sent again" in done.err


async def test_what_may_have_started_is_not_to_be_tried_blindly(stage: Stage) -> None:
    async with (
        losing(stage.url, "504", on="command/task", times=1) as lossy,
        losing(lossy.url, "502", on="/jobs?") as blind,
    ):
        done = await orchbridge(*task(stage, blind.url))
    assert (done.code, done.out) in {(75, ""), (69, "")}
