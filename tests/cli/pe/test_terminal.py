"""What a person sees: the question, the table that follows a job, tables at 80 columns, Ctrl-C."""

from __future__ import annotations

import pytest

from tests.cli.pe.stage import Stage

HERE = ("--nodes", "web01.example.com,db01.example.com,gone.example.com")


def test_no_means_no(stage: Stage) -> None:
    before = stage.started
    with stage.terminal("run-task", "package", "name=openssl", "action=status", *HERE) as screen:
        screen.wait_for(r"Do it\? \[y/N\]: ")
        assert "run task package in production on 3 nodes: web01.example.com, db01.example.com" in screen.plain
        assert "  with name=openssl, action=status\n" in screen.plain
        assert "1 of them not connected now, which will fail: gone.example.com" in screen.plain
        screen.type("\n")
        assert screen.end() == 3
        assert screen.plain.endswith("nothing was started\n")
    assert stage.started == before


def test_ctrl_c_at_the_question_starts_nothing(stage: Stage) -> None:
    before = stage.started
    with stage.terminal("deploy", *HERE) as screen:
        screen.wait_for(r"Do it\? \[y/N\]: ")
        assert screen.interrupt_until_it_ends() == 75
        assert screen.plain.endswith("orchbridge: nothing was done\n")
    assert stage.started == before


def test_a_job_is_followed_in_a_table(brisk: Stage) -> None:
    with brisk.terminal("run-task", "facts", *HERE, "--follow") as screen:
        screen.wait_for(r"Do it\? \[y/N\]: ")
        screen.type("y\n")
        screen.wait_for(r"job \d+ started: task facts on 3 nodes")
        screen.wait_for(r"job \d+  \d of 3 nodes")
        screen.wait_for(r"(web|db)01\.example\.com +running +\d\.\d s")
        screen.wait_for("Ctrl-C stops watching, not the job")
        screen.wait_for(r"job \d+: failed after [\d.]+ s: .*1 errored")
        assert screen.end() == 3


def test_ctrl_c_ends_the_watching_only(slow: Stage) -> None:
    with slow.terminal("run-task", "facts", "--nodes", "web01.example.com", "--yes", "--follow") as screen:
        number = screen.wait_for(r"job (\d+) started")[1]
        screen.wait_for(r"web01\.example\.com +running +\d")
        screen.interrupt()
        assert screen.end() == 75
        assert f"job {number} goes on" in screen.plain
    states = [fact["state"] for fact in slow.facts("job_state") if fact["job"] == int(number)]
    assert states[-1] == "running"


def test_stopping_asks_too(slow: Stage) -> None:
    slow.run("run-task", "facts", "--nodes", "web01.example.com", "--yes")
    number = slow.facts("job")[-1]["id"]
    with slow.terminal("stop", str(number)) as screen:
        screen.wait_for(rf"stop job {number} \(task facts, \w+\): 1 of 1 node not through yet")
        screen.wait_for(r"Do it\? \[y/N\]: ")
        screen.type("n\n")
        assert screen.end() == 3
        assert screen.plain.endswith("nothing was stopped\n")
    assert not [f for f in slow.facts("job_state") if f["job"] == number and f["state"].startswith("stop")]


@pytest.mark.parametrize(
    "command",
    [
        ("jobs",), ("plan-jobs",), ("job", "1", "--nodes"), ("tasks",), ("task", "dbx::dump"), ("inventory",),
        ("schedules",), ("status",),
    ],
)  # fmt: skip
def test_tables_fit_80_columns(past: Stage, command: tuple[str, ...]) -> None:
    with past.terminal(*command) as screen:
        assert screen.end() == 0
        shown = screen.plain.splitlines()
    assert len(shown) > 3
    tables = [line for line in shown[1:] if "  " in line.strip()]
    assert [
        line for line in tables if len(line) > 80 and not line.startswith(("scope", "userdata", "parameters"))
    ] == []
