"""Work for later: what is sent, what is said, and a time that has passed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.cli.pe.timing import timing_of
from tests.cli.pe.stage import Stage
from tests.cli.pe.test_docs import ROWS
from tests.e2e.programs import simulator, wait_until
from tests.orchestrator.servers import answering, served

NEW = "/orchestrator/v1/scheduled_jobs/environment_jobs"
OLD = "/orchestrator/v1/scheduled_jobs"
TASKS = {
    "facts": {"name": "facts", "metadata": {"parameters": {"pin": {"type": "Optional[String]", "sensitive": True}}}}
}
ROW = {
    "name": "31", "type": "task", "input": {"name": "facts"}, "schedule": {"interval": {"value": 43200}},
    "next_run": {"time": "2099-05-02T00:00:00Z"}, "owner": {"login": "ops"},
}  # fmt: skip


@dataclass
class Server:
    """The scheduling API, newer or older; `sent` is what changed something."""

    older: bool = False
    row: dict[str, Any] = field(default_factory=lambda: ROW)
    url: str = ""
    sent: list[tuple[str, Any]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        if path.startswith("/orchestrator/v1/tasks"):
            known = TASKS.get(path.split("/")[4])
            return answering(known) if known else Response("Not Found", 404)
        if path == "/orchestrator/v1/inventory":
            return answering({"items": []})
        if path.startswith(NEW) and self.older:
            return Response("Not Found", 404)
        if request.method in {"POST", "PUT", "DELETE"}:
            body = await request.body()
            told = json.loads(body) if body else None
            if request.method == "POST" and told["schedule"]["start_time"] < "2020":
                kind = "puppetlabs.orchestrator/invalid-time"
                return answering({"kind": kind, "msg": f"too early for {told['input']}"}, 400)
            self.sent.append((f"{request.method} {path.removeprefix(OLD)}", told))
            if request.method == "DELETE":
                return Response(status_code=204)
            return answering({"scheduled_job": {"id": f"{path}/31", "name": "31"}})
        return answering(self.row if path.endswith("/31") else {"items": [self.row], "pagination": {"total": 1}})


@asynccontextmanager
async def scheduling(*, older: bool = False) -> AsyncIterator[Server]:
    server = Server(older)
    async with served(server.answer) as door:
        server.url = door.url
        yield server


async def told(folder: Path, server: Server, *arguments: str, yes: bool = True) -> tuple[int | None, str, str]:
    (folder / "token").write_text("0token\n")
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchbridge", "pe", *arguments, *["--yes"] * yes, *Stage(folder, server.url).place),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await run.communicate()
    return run.returncode, out.decode(), err.decode()


async def test_a_task_for_later(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("4711-PLANTED")
    async with scheduling() as server:
        code, out, err = await told(
            *(tmp_path, server, "run-task", "facts", f"pin=@{tmp_path / 'pin'}", "--nodes", "a,b"),
            *("--at", "2099-05-01T10:00:00+02:00", "--every", "12h", "--description", "nightly"),
        )
    assert (code, out) == (0, "schedule 31 made: task facts, at 2099-05-01 08:00:00 UTC, then every 12 h\n")
    assert "run task facts in production on 2 nodes: a, b, at 2099-05-01 08:00:00 UTC, then every 12 h" in err
    assert "PLANTED" not in out + err
    ((how, body),) = server.sent
    assert how == "POST /environment_jobs"
    assert (body["type"], body["description"], body["environment"]) == ("task", "nightly", "production")
    assert body["schedule"]["start_time"] == "2099-05-01T08:00:00Z"
    assert body["schedule"]["interval"]["value"] == 43_200
    assert body["input"]["parameters"] == {"pin": {"value": "4711-PLANTED"}}


async def test_a_time_that_has_passed(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("4711-PLANTED")
    async with scheduling() as server:
        code, out, err = await told(
            *(tmp_path, server, "run-task", "facts", f"pin=@{tmp_path / 'pin'}", "--nodes", "a"),
            *("--at", "2001-05-01T10:00:00Z"),
        )
    assert (code, out, server.sent) == (2, "", [])
    assert "400 puppetlabs.orchestrator/invalid-time" in err
    assert "give one in the future, with its zone" in err
    assert "PLANTED" not in err


async def test_a_deploy_for_later_as_json(tmp_path: Path) -> None:
    async with scheduling() as server:
        code, out, _ = await told(
            tmp_path, server, "deploy", "--environment", "staging", "--noop", "--nodes", "a", "--at", "+2h", "--json"
        )
    assert (code, json.loads(out)) == (0, {"kind": "started", "schedule": 31, "recovered": False})
    body = server.sent[0][1]
    assert (body["type"], body["input"]["noop"], body["schedule"]["interval"]) == ("deploy", True, None)


async def test_a_schedule_is_ended(tmp_path: Path) -> None:
    async with scheduling() as server:
        code, out, err = await told(tmp_path, server, "unschedule", "31")
        assert (code, out) == (0, "schedule 31 will not run any more\n")
        assert "disable schedule 31 (task facts, next 2099-05-02 00:00:00, every 12 h); that is for good" in err
        assert server.sent == [("PUT /environment_jobs/31", {"enabled": False})]


async def test_a_schedule_of_an_older_server_is_deleted(tmp_path: Path) -> None:
    async with scheduling(older=True) as server:
        code, out, err = await told(tmp_path, server, "unschedule", "31")
        assert (code, out) == (0, "schedule 31 will not run any more\n")
        assert "delete schedule 31" in err
        assert server.sent == [("DELETE /31", None)]


@pytest.mark.parametrize("version", ["2019.8", "2016.4"])
def test_older_servers_have_commands_for_it_or_nothing(tmp_path: Path, version: str) -> None:
    with simulator(tmp_path, "quiet", "--version", version) as (url, _):
        stage = Stage(tmp_path, url)
        done = stage.run("deploy", "--environment", "staging", "--nodes", "a", "--at", "+2h", "--every", "12h", "--yes")
        if version == "2016.4":
            assert (done.exit_code, done.stdout) == (3, "")
            assert "PE has it since 2019.8;" in done.stderr
            return
        number = made(done.stdout)
        rows = [json.loads(line) for line in stage.run("schedules", "--json").stdout.splitlines()]
        assert [row["environment"] for row in rows if row["id"] == number] == ["staging"]
        assert [row for row in rows if row.keys() - {"kind"} != ROWS["schedule"]] == []
        late = stage.run("run-task", "facts", "--nodes", "a", "--at", "2001-01-01T00:00:00Z", "--yes")
        assert (late.exit_code, "400 puppetlabs.orchestrator/invalid-time" in late.stderr) == (2, True)


@pytest.mark.parametrize("task", ["facts", "unreadable"])
async def test_parameters_of_a_schedule_are_shown_as_far_as_its_task_lets_them(tmp_path: Path, task: str) -> None:
    """The server marks none of them: the task's author did, or nobody can tell."""
    given = {"pin": {"value": "4711-PLANTED"}, "db_password": {"value": "4712-PLANTED"}, "plain": {"value": "harmless"}}
    async with scheduling() as server:
        server.row = {**ROW, "input": {"name": task, "parameters": given}}
        code, out, err = await told(tmp_path, server, "schedules", "--json", yes=False)
    (row,) = map(json.loads, out.splitlines())
    assert (code, row["parameters"].keys(), "PLANTED" in out + err) == (0, given.keys(), False)
    assert (row["parameters"]["plain"] == {"value": "harmless"}) == (task == "facts")


@pytest.mark.parametrize(("text", "seconds"), [("+90s", 90), ("+30m", 1_800), ("+2h", 7_200), ("+7d", 604_800)])
def test_times_from_now(text: str, seconds: int) -> None:
    found = timing_of(text, None)
    assert found is not None
    assert abs(found.at - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=5)
    assert found.every_s is None


def made(text: str) -> int:
    return int(text.split()[1])


def test_what_is_planned_runs_when_it_is_due(stage: Stage) -> None:
    before = stage.started
    later = stage.run("run-task", "facts", "--nodes", "web01.example.com", "--at", "+2h", "--every", "12h", "--yes")
    soon = stage.run("run-task", "facts", "--nodes", "db01.example.com", "--at", "+1s", "--yes")
    shown = {row["id"]: row for row in map(json.loads, stage.run("schedules", "--json").stdout.splitlines())}
    assert (shown[made(later.stdout)]["interval_s"], shown[made(later.stdout)]["name"]) == (43_200, "facts")
    wait_until("the planned job", lambda: stage.started == before + 1)
    assert stage.facts("job")[-1]["nodes"] == ["db01.example.com"]
    ended = stage.run("unschedule", str(made(later.stdout)), "--yes")
    assert (ended.exit_code, made(soon.stdout)) == (0, made(later.stdout) + 1)
    left = [json.loads(row)["id"] for row in stage.run("schedules", "--json").stdout.splitlines()]
    assert made(later.stdout) not in left


def test_a_time_that_has_passed_plans_nothing(stage: Stage) -> None:
    before = stage.run("schedules", "--json").stdout
    done = stage.run("run-task", "facts", "--nodes", "web01.example.com", "--at", "2001-01-01T00:00:00Z", "--yes")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "400 puppetlabs.orchestrator/invalid-time" in done.stderr
    assert stage.run("schedules", "--json").stdout == before
