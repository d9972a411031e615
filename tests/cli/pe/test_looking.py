"""Lists and details, as tables and as JSON, held against the simulator's truth and a server that tells odd things."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.cli.pe.telling import printable, took
from tests.cli.pe.stage import Stage, said
from tests.orchestrator.servers import answering, served


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def columns(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in text.splitlines()]


def test_jobs_newest_first(past: Stage) -> None:
    truth = past.facts("job")
    newest = [fact["id"] for fact in reversed(truth)]
    assert [each["id"] for each in lines(past.run("jobs", "--json").stdout)] == newest[:20]
    assert [each["id"] for each in lines(past.run("jobs", "--json", "--limit", "3").stdout)] == newest[:3]
    head, *rows = columns(past.run("jobs", "--limit", "5").stdout)
    assert head == ["job", "state", "what", "nodes", "by", "created (UTC)", "took"]
    assert [int(row[0]) for row in rows] == newest[:5]
    assert [row[4] for row in rows] == [fact["owner"] for fact in reversed(truth)][:5]


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("--state", "state", "finished"), ("--type", "type", "deploy"), ("--owner", "owner", "ops"),
        ("--environment", "environment", "staging"), ("--task", "task", "facts"),
    ],
)  # fmt: skip
def test_jobs_that_fit(past: Stage, option: str, key: str, value: str) -> None:
    everything = lines(past.run("jobs", "--json", "--limit", "100").stdout)
    found = lines(past.run("jobs", "--json", option, value).stdout)
    assert found == [each for each in everything if each[key] == value]
    assert len(found) < len(everything)


def test_no_such_jobs(past: Stage) -> None:
    done = past.run("jobs", "--task", "nope")
    assert (done.exit_code, done.stdout, said(done)) == (0, "", "no such jobs")
    assert past.run("jobs", "--task", "nope", "--json").output.count("\n") == 1
    assert past.run("jobs", "--type", "nope").exit_code == 2


def test_jobs_of_a_plan(past: Stage) -> None:
    fact = next(fact for fact in past.facts("job") if fact["plan"])
    found = lines(past.run("jobs", "--json", "--plan-job", str(fact["plan"])).stdout)
    assert fact["id"] in [each["id"] for each in found]
    assert {each["plan_job"] for each in found} == {fact["plan"]}


def test_a_job_and_its_nodes(past: Stage) -> None:
    for fact in past.facts("job"):
        told = lines(past.run("job", str(fact["id"]), "--nodes", "--json").stdout)[0]
        assert (told["task"], told["environment"], told["owner"]) == (fact["task"], fact["environment"], fact["owner"])
        assert sorted(row["node"] for row in told["nodes"]) == sorted(fact["nodes"])
        shown = past.run("job", str(fact["id"]), "--nodes").stdout
        assert shown.startswith(f"job {fact['id']}")
        assert all(re.search(rf"^{re.escape(node)} ", shown, re.MULTILINE) for node in fact["nodes"])


def test_parameters_of_a_task_nobody_knows_are_withheld(past: Stage) -> None:
    number = next(fact["id"] for fact in past.facts("job") if fact["task"] == "legacy::cleanup")
    told = lines(past.run("job", str(number), "--json").stdout)[0]
    assert set(told["parameters"].values()) == {"[redacted:unknown-task]"}


def test_plan_jobs(past: Stage) -> None:
    newest = [fact["id"] for fact in reversed(past.facts("plan"))]
    found = lines(past.run("plan-jobs", "--json").stdout)
    assert [each["id"] for each in found] == newest
    assert {each["jobs"] for each in found} == {None}  # a list does not tell them
    assert [each["id"] for each in lines(past.run("plan-jobs", "--limit", "1", "--json").stdout)] == newest[:1]
    name = found[0]["plan"]
    assert all(each["plan"] == name for each in lines(past.run("plan-jobs", "--plan", name, "--json").stdout))
    assert [row[0] for row in columns(past.run("plan-jobs").stdout)] == ["plan job", *map(str, newest)]


def test_tasks_and_plans(past: Stage) -> None:
    names = [each["name"] for each in lines(past.run("tasks", "--json").stdout)]
    assert names == sorted(names)
    assert {"package", "dbx::dump", "lockdown::wipe"} <= set(names)
    assert columns(past.run("tasks", "--name", "lockdown").stdout) == [["task", "may be run"], ["lockdown::wipe", "no"]]
    assert [each["name"] for each in lines(past.run("plans", "--name", "rollout", "--json").stdout)] == [
        "rollout::drain", "rollout::web",
    ]  # fmt: skip


def test_a_task_with_its_parameters(past: Stage) -> None:
    assert past.run("task", "dbx::dump").stdout == (
        "task dbx::dump  Dump a database\n"
        "environment     production\n"
        "may be run      yes\n"
        "\n"
        "parameter  type                 needed               what it is\n"
        "database   String[1]            required\n"
        "path       String               required\n"
        "password   Optional[String[1]]  optional, sensitive\n"
    )
    told = lines(past.run("task", "dbx::dump", "--json").stdout)[0]
    assert {each["name"] for each in told["parameters"] if each["sensitive"]} == {"password"}
    assert {each["name"] for each in told["parameters"] if each["required"]} == {"database", "path"}
    assert past.run("task", "adhoc::run").stdout.endswith("declares no parameters: it takes any\n")
    assert lines(past.run("task", "adhoc::run", "--json").stdout)[0]["parameters"] is None


def test_a_plan_with_its_parameters(past: Stage) -> None:
    told = lines(past.run("plan", "rollout::web", "--json").stdout)[0]
    batch = {"name": "batch", "type": "Integer", "required": False, "sensitive": False, "default": 5, "description": ""}
    assert batch in told["parameters"]
    assert "batch      Integer            default 5" in past.run("plan", "rollout::web").stdout


def test_inventory(past: Stage) -> None:
    here = {fact["node"] for fact in past.facts("node") if fact["change"] == "connected"}
    assert {each["node"] for each in lines(past.run("inventory", "--json").stdout) if each["connected"]} == here
    one = min(here)
    assert past.run("inventory", one).exit_code == 0
    done = past.run("inventory", one, "gone.example.com", "--json")
    assert done.exit_code == 3
    assert {each["node"]: each["connected"] for each in lines(done.stdout)} == {one: True, "gone.example.com": False}


def test_root_and_status(past: Stage) -> None:
    assert "deploy" in past.run("root").stdout
    assert lines(past.run("root", "--json").stdout)[0]["version"] == "0.1"
    assert [row[1] for row in columns(past.run("status").stdout)[1:]] == ["running"] * 3
    assert {each["state"] for each in lines(past.run("status", "--json").stdout)} == {"running"}


def test_schedules(past: Stage) -> None:
    found = lines(past.run("schedules", "--json").stdout)
    shown = columns(past.run("schedules").stdout)
    assert [row[0] for row in shown[1:]] == [str(each["id"]) for each in found]
    assert {each["kind"] for each in found} == {"schedule"}


SERVICES = {"orchestrator-service": {"state": "error", "active_alerts": [{"severity": "critical", "message": "db"}]}}
DAYS = [
    {"date": "2026-05-02", "total_nodes": 9, "nodes_with_agent": 7, "nodes_without_agent": 2,
     "corrective_agent_changes": 1, "intentional_agent_changes": 2, "nodes_affected_by_task_runs": 3,
     "nodes_affected_by_plan_runs": 4},
    {"date": "2026-05-01", "total_nodes": 8, "nodes_with_agent": 7, "nodes_without_agent": 1},
]  # fmt: skip
TARGETS = [
    {"name": "3", "display_name": "web\u001b[2J", "all_tasks": "true", "nodes": ["a", "b"], "node_groups": ["x"]},
    {"name": "4", "display_name": "db", "tasks": ["facts"], "nodes": [], "node_groups": [], "pql_query": "nodes {}"},
]
LAST = {
    "time": "2026-05-01T00:00:00Z",
    "job": {"name": 33, "submission_error": {"kind": "x/unknown-task", "msg": "no"}},
}
SCHEDULES = [
    {"name": "31", "type": "task", "input": {"name": "facts"}, "schedule": {"interval": {"value": 43200}},
     "next_run": {"time": "2026-05-02T00:00:00Z"}, "last_run": LAST, "owner": {"login": "ops"}},
]  # fmt: skip


def odd(request: Request) -> Response:
    path = request.url.path.removeprefix("/orchestrator/v1")
    answers: dict[str, tuple[Any, int]] = {
        "/status/v1/services": (SERVICES, 503),
        "/usage": ({"items": DAYS}, 200),
        "/scopes/task_targets": ({"items": TARGETS}, 200),
        "/scheduled_jobs/environment_jobs": ({"items": SCHEDULES, "pagination": {"total": 1}}, 200),
    }
    if path == "/usage":
        odd.asked = dict(request.query_params)  # type: ignore[attr-defined]
    return answering(*answers[path])


async def test_what_only_some_servers_tell(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0token\n")
    async with served(odd) as door:

        async def told(*arguments: str) -> tuple[int | None, str]:
            run = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "orchbridge", "pe", *arguments, *Stage(tmp_path, door.url).place),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await run.communicate()
            assert "bug" not in err.decode(), err.decode()
            return run.returncode, out.decode()

        assert await told("status") == (
            3, "service               state  version  alerts\norchestrator-service  error           db\n",
        )  # fmt: skip
        code, text = await told("usage", "--since", "2026-05-01", "--until", "2026-05-02")
        assert odd.asked == {"start_date": "2026-05-01", "end_date": "2026-05-02"}  # type: ignore[attr-defined]
        assert (code, columns(text)[1], columns(text)[2]) == (
            0, ["2026-05-02", "9", "7", "2", "1", "2", "3", "4"], ["2026-05-01", "8", "7", "1"],
        )  # fmt: skip
        assert [day["date"] for day in lines((await told("usage", "--json"))[1])] == ["2026-05-02", "2026-05-01"]
        code, text = await told("targets")
        assert columns(text)[1:] == [
            ["3", "web\N{REPLACEMENT CHARACTER}[2J", "all", "2 nodes, 1 node group"],
            ["4", "db", "facts", "query nodes {}"],
        ]
        assert [each["all_tasks"] for each in lines((await told("targets", "--json"))[1])] == [True, False]
        code, text = await told("schedules")
        assert columns(text)[1] == [
            "31", "task facts", "2026-05-02 00:00:00", "12 h", "NOT STARTED: x/unknown-task", "ops",
        ]  # fmt: skip
        assert lines((await told("schedules", "--json"))[1])[0]["last_run"]["error"] == "x/unknown-task"


def test_nothing_moves_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\nc\x07") == "a\N{REPLACEMENT CHARACTER}[2Jb c\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.42, "0.4 s"), (32.2, "32 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (259_200, "3 d 0 h")],
)
def test_times_that_things_take(seconds: float | None, text: str) -> None:
    assert took(seconds) == text


def test_usage_and_targets_of_the_simulator(past: Stage) -> None:
    days = lines(past.run("usage", "--json").stdout)
    assert {each["kind"] for each in days} == {"usage"}
    assert days[0]["date"] > days[-1]["date"]
    assert [row[0] for row in columns(past.run("usage").stdout)] == ["day", *(each["date"] for each in days)]
    one = days[0]["date"]
    assert [each["date"] for each in lines(past.run("usage", "--since", one, "--until", one, "--json").stdout)] == [one]
    body = {"display_name": "web", "tasks": ["facts"], "nodes": ["web01.example.com"], "node_groups": []}
    url = f"{past.url}/orchestrator/v1/command/task_target"
    answer = httpx.post(url, json=body, headers={"X-Authentication": "letmein"}, trust_env=False)
    assert answer.status_code == 200
    found = lines(past.run("targets", "--json").stdout)
    assert [(each["name"], each["tasks"], each["nodes"]) for each in found] == [
        ("web", ["facts"], ["web01.example.com"])
    ]
    assert columns(past.run("targets").stdout)[1][1:] == ["web", "facts", "1 node"]
