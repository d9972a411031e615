"""The table of what each command asks is the code's: no call is missing from it, and none is made up."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import orchbridge.cli.pe
from orchbridge.cli.pe import pe
from orchbridge.cli.pe.asks import ASKS
from orchbridge.orchestrator.access import ROOT
from orchbridge.orchestrator.endpoints import ENDPOINTS
from tests.api_coverage import same
from tests.cli.pe.stage import Stage
from tests.e2e.programs import simulator
from tests.orchestrator.lossy import losing

FOLDER = Path(orchbridge.cli.pe.__file__).parent
THROUGH = {  # what the client makes of several endpoints
    "jobs.follow": {"jobs.events", "jobs.get"},
    "plan_jobs.follow": {"plan_jobs.events", "plan_jobs.get", "plan_jobs.event"},
    "schedules.disable": {"schedules.update"},
}

HERE = ("--nodes", "web01.example.com")
LATER = ("--at", "2099-05-01T10:00:00Z", "--yes")
DEPLOY = (*HERE, "--environment", "production")
LOOKED_UP = ("rollout::drain", "--query", "node=nodes[certname]{}", "--yes")
PLAN = ("rollout::web", "batch=2", "token=nobodys")
# What makes each command ask all that it can: on which simulator, then its arguments. A word in braces is the
# number of what was made before. Without --yes it is asked on a terminal, and the answer is yes.
RUNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "root": (("stage",),),
    "status": (("stage",),),
    "jobs": (("past", "--json"),),
    "job": (("past", "1", "--nodes"), ("past", "2", "--follow"), *(("past", f"{n}", "--json") for n in range(1, 6))),
    "plan-jobs": (("past",),),
    "plan-job": tuple(("past", str(number), "--follow") for number in range(1, 4)),
    "report": tuple(("past", f"{n}", "--json") for n in range(1, 6)),
    "run-task": (("stage", "facts", *HERE, "--follow"), ("old", "facts", *HERE, *LATER)),
    "run-plan": (("stage", *PLAN, "--yes", "--follow"), ("stage", *LOOKED_UP), ("old", *PLAN, *LATER)),
    "deploy": (("stage", *DEPLOY, "--follow"), ("old", *DEPLOY, *LATER)),
    "stop": (("slow", "{job}", "--yes"),),
    "stop-plan": (("slow", "{plan}", "--yes"),),
    "unschedule": (("slow", "{schedule}", "--yes"), ("old", "1", "--yes")),
    "tasks": (("stage",),),
    "task": (("stage", "facts"),),
    "plans": (("stage",),),
    "plan": (("stage", "rollout::web"),),
    "inventory": (("stage",), ("stage", "web01.example.com")),
    "schedules": (("planned", "--json"), ("old",)),
    "usage": (("stage",),),
    "targets": (("stage",),),
    "target": (("stage", "{target}"),),
    "make-target": (("stage", "db", "--all-tasks", "--yes"),),
    "login": (("stage", "viewer"),),
    "token": (("stage",),),
    "activity": (("stage",), ("oldest",)),
}
MADE_BY = {
    "{job}": ("run-task", "facts", *HERE, "--yes"),
    "{plan}": ("run-plan", *PLAN, "--yes"),
    "{target}": ("make-target", "web", "--all-tasks", "--yes"),
    "{schedule}": ("run-task", "facts", *HERE, *LATER),
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server with the scheduling API of before."""
    folder = tmp_path_factory.mktemp("old")
    with simulator(folder, "quiet:jobs=12", "--version", "2021.6") as (url, _):
        yield Stage(folder, url)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server with the activity API of before."""
    folder = tmp_path_factory.mktemp("oldest")
    with simulator(folder, "quiet", "--version", "2016.4") as (url, _):
        yield Stage(folder, url)


@pytest.fixture(scope="module")
def planned(stage: Stage) -> Stage:
    """One with a scheduled job that has parameters."""
    stage.child("run-task", "package", "name=openssl", "action=status", *HERE, *LATER)
    return stage


@pytest.mark.parametrize("command", RUNS)
async def test_each_command_asks_what_its_row_says(
    command: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    heard: list[str] = []
    for name, *arguments in RUNS[command]:
        stage: Stage = request.getfixturevalue(name)
        for place, word in enumerate(arguments):
            if word in MADE_BY:
                made = await asyncio.to_thread(stage.child, *MADE_BY[word])
                arguments[place] = re.findall(r"\d+", made.stdout)[0]
        async with losing(stage.url, "") as lossy:
            folder = tmp_path if command == "login" else stage.folder  # a token is put there
            await _run(Stage(folder, lossy.url), command, *arguments)
            heard += lossy.heard
    assert {_call(line) for line in heard} == set(ASKS[command])


async def _run(stage: Stage, command: str, *arguments: str) -> None:
    if command in {"run-task", "deploy"} and "--yes" not in arguments:

        def asked() -> None:
            with stage.terminal(command, *arguments) as screen:
                screen.wait_for(r"Do it\?")
                screen.type("y\n")
                assert screen.end() in {0, 3}, screen.plain

        await asyncio.to_thread(asked)
        return
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchbridge", "pe", command, *arguments, *stage.place),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    await run.communicate(b"simulated\n")


def _call(line: str) -> str:
    """Return whose request this is, of the client's methods."""
    method, target, _ = line.split()
    path = urlsplit(target).path
    path = path.removeprefix(ROOT) or "/"
    return next((each.call for each in ENDPOINTS if same(method, path, each)), line)


def test_every_command_has_its_row() -> None:
    assert ASKS.keys() == pe.commands.keys() == RUNS.keys()


def test_the_calls_are_those_of_the_code() -> None:
    written = {
        call
        for path in FOLDER.glob("*.py")
        for call in re.findall(r"\bclient\.([a-z_]+(?:\.[a-z_0-9]+)?)\(", path.read_text(encoding="utf-8"))
    }
    assert len(written) > 20
    asked = {each for call in written for each in THROUGH.get(call, {call})}
    assert asked == {call for calls in ASKS.values() for call in calls}


def test_every_call_is_an_endpoint() -> None:
    assert {call for calls in ASKS.values() for call in calls} <= {endpoint.call for endpoint in ENDPOINTS}
