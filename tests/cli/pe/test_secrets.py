"""Sensitive parameters: from files, standard input and a silent prompt; found nowhere in what is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchbridge.sim.catalogue import PLANTED
from tests.cli.pe.stage import Stage, said
from tests.orchestrator.servers import answering, served

SECRET = "Xy7-PLANTED-secret"
HERE = ("--nodes", "web01.example.com", "--yes")
DUMP = ("run-task", "dbx::dump", "database=orders", "path=/tmp")


def test_from_a_file_it_is_shown_nowhere(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    done = stage.run(*DUMP, f"password=@{tmp_path / 'password'}", *HERE, "--follow")
    assert done.exit_code in {0, 3}
    assert "password=[redacted]" in done.stderr
    assert "warning" not in done.stderr
    assert PLANTED not in done.output


def test_from_standard_input(stage: Stage) -> None:
    done = stage.run(*DUMP, "password=-", *HERE, "--follow", "--json", typed=f"{SECRET}\n")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1]["sensitive"] == ["password"]
    assert told[-1]["parameters"] == {"database": "orders", "path": "/tmp"}
    assert PLANTED not in done.output


def test_in_clear_on_the_command_line_it_is_warned_about(stage: Stage) -> None:
    done = stage.run(*DUMP, f"password={SECRET}", *HERE)
    assert said(done).splitlines()[0] == (
        "orchbridge: warning: password is sensitive, and stood on the command line, where others on this machine"
        " and the shell's history can see it; give password=@FILE, or password=- to be asked"
    )
    assert PLANTED not in done.output


def test_at_a_prompt_nothing_shows(stage: Stage) -> None:
    with stage.terminal(*DUMP, "password=-", "--nodes", "web01.example.com") as screen:
        screen.wait_for("password: ")
        screen.type(f"{SECRET}\n")
        screen.wait_for(r"Do it\? \[y/N\]: ")
        assert SECRET not in screen.shown
        assert "password=[redacted]" in screen.plain
        screen.type("y\n")
        assert screen.end() == 0
        assert PLANTED not in screen.shown


def test_a_wrong_value_is_not_repeated(stage: Stage) -> None:
    before = stage.started
    done = stage.run("run-task", "vault::rotate", "role=", f"token={SECRET}", f"passwort={SECRET}", SECRET, *HERE)
    assert (done.exit_code, PLANTED in done.output) == (2, False)
    done = stage.run("run-task", "vault::rotate", f"role={SECRET}", f"passwort={SECRET}", *HERE)
    assert (done.exit_code, PLANTED in done.output) == (2, False)
    assert stage.started == before


def test_results_of_the_past_are_shown_without_their_secrets(past: Stage) -> None:
    for number in range(1, 13):
        done = past.run("job", str(number), "--nodes")
        assert (done.exit_code, PLANTED in done.output) == (0, False)
        done = past.run("job", str(number), "--nodes", "--json")
        assert (done.exit_code, PLANTED in done.output) == (0, False)
        past.run("job", str(number), "--follow")
    for command in ("jobs", "plan-jobs"):
        assert PLANTED not in past.run(command, "--json").output
    for number in range(1, 4):
        for more in ((), ("--json",), ("--follow",), ("--follow", "--json")):
            done = past.run("plan-job", str(number), *more)
            assert done.exit_code in ({0, 3} if "--follow" in more else {0})
            assert PLANTED not in done.output


TASK = {
    "name": "echo",
    "environment": {"name": "production"},
    "metadata": {"parameters": {"pin": {"type": "Integer", "sensitive": True}, "list": {"type": "Array[String]"}}},
}
JOB = {"name": "7", "state": "finished", "type": "task", "options": {"task": "echo", "sensitive": ["pin"]}}


async def echoing(request: Request) -> Response:
    """Answer as a server and a task that repeat whatever they are told."""
    if request.method == "POST":
        if request.url.path.endswith("/inventory"):
            return answering({"items": []})
        echoing.told = (await request.json())["params"]  # type: ignore[attr-defined]
        return answering({"job": {"id": "x/7", "name": "7"}}, 202)
    told = getattr(echoing, "told", {})
    event = {
        "id": "1", "type": "node_finished", "message": f"said {told}",
        "details": {"node": "a", "detail": {"_output": f"got {told.get('pin')}", "deep": [told]}},
    }  # fmt: skip
    match request.url.path.removeprefix("/orchestrator/v1"):
        case "/tasks/echo/init":
            return answering(TASK)
        case "/jobs":
            return answering({"items": [], "pagination": {"total": 0}})
        case "/jobs/7/events":
            return answering({"items": [event, {"id": "2", "type": "job_finished", "details": {}}]})
        case "/jobs/7":
            return answering({**JOB, "description": f"with {told}"})
    return answering({"kind": "puppetlabs.orchestrator/validation-error", "msg": f"bad {told}"}, 400)


async def test_what_was_sent_is_known_wherever_it_comes_back(tmp_path: Path) -> None:
    import asyncio

    (tmp_path / "token").write_text("0token\n")
    (tmp_path / "pin").write_text("73519024\n")
    async with served(echoing) as door:
        for more in ((), ("--json",)):
            run = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orchbridge", "pe", "run-task", "echo", f"pin=@{tmp_path / 'pin'}"),
                *('list=["harmless"]', "--nodes", "a", "--yes", "--follow", *more),
                *Stage(tmp_path, door.url).place,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            told = (await run.communicate())[0].decode()
            assert echoing.told == {"pin": 73519024, "list": ["harmless"]}  # type: ignore[attr-defined]
            assert run.returncode == 0, told
            assert "harmless" in told
            assert "73519024" not in told


def test_no_process_shows_it(slow: Stage, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    command = [*DUMP, f"password=@{tmp_path / 'password'}", *HERE, "--follow"]
    with subprocess.Popen(
        [sys.executable, "-m", "orchbridge", "pe", *command, *slow.place],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert re.match(r"job \d+ started", run.stdout.readline())
        seen: dict[str, Any] = {}
        for name in ("cmdline", "environ", "comm"):
            seen[name] = Path(f"/proc/{run.pid}/{name}").read_bytes()
        assert not [name for name, content in seen.items() if SECRET.encode() in content]
        run.terminate()
        told = run.communicate(timeout=30)
    assert run.returncode == 75
    assert PLANTED not in "".join(told)
