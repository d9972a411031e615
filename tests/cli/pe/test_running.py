"""Work started, followed and stopped on the simulator, by processes of their own; the truth is the simulator's log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.pe.stage import Stage, said
from tests.e2e.programs import simulator, wait_until

HERE = "web01.example.com,db01.example.com"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def job_of(stage: Stage, number: int) -> dict[str, Any]:
    return next(fact for fact in stage.facts("job") if fact["id"] == number)


def state_of(stage: Stage, number: int) -> str:
    return str([fact["state"] for fact in stage.facts("job_state") if fact["job"] == number][-1])


def test_a_task_to_its_end(stage: Stage) -> None:
    done = stage.child(
        *("run-task", "package", "name=openssl", "action=status", "--nodes", HERE, "--description", "by hand"),
        *("--yes", "--follow"),
    )
    number = int(re.match(r"job (\d+) started: task package on 2 nodes\n", done.stdout)[1])  # type: ignore[index]
    told = [re.split(r"\s{2,}", line, maxsplit=3) for line in done.stdout.splitlines()[1:-1]]
    truth = [fact for fact in stage.facts("job_event") if fact["job"] == number]
    assert [(row[1], row[2]) for row in told] == [
        (fact["node"] or "the job", fact["type"].split("_")[1]) for fact in truth
    ]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", row[0]) for row in told)
    end = state_of(stage, number)
    assert done.returncode == (0 if end == "finished" else 3)
    assert re.search(rf"^job {number}: {end} after [0-9.]+ s: ", done.stdout, re.MULTILINE)
    assert said_by(done) == (
        "run task package in production on 2 nodes: web01.example.com, db01.example.com\n"
        "  with name=openssl, action=status"
    )
    job = job_of(stage, number)
    assert (job["task"], job["nodes"]) == ("package", HERE.split(","))


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(line for line in done.stderr.splitlines() if not line.startswith("orchbridge: http://127"))


def test_json_has_one_object_a_line_to_the_outcome(stage: Stage) -> None:
    done = stage.run("run-task", "facts", "--nodes", HERE, "--yes", "--follow", "--json")
    told = lines(done.stdout)
    number = told[0]["job"]
    assert told[0] == {"kind": "started", "job": number, "recovered": False}
    assert [each["kind"] for each in told] == ["started", *["event"] * (len(told) - 2), "job"]
    truth = [fact["id"] for fact in stage.facts("job_event") if fact["job"] == number]
    assert [each["id"] for each in told[1:-1]] == truth
    assert (told[-1]["id"], told[-1]["state"]) == (number, state_of(stage, number))
    assert (done.exit_code == 0) == (told[-1]["state"] == "finished")


def test_what_fails_ends_with_3(stage: Stage) -> None:
    done = stage.run("run-task", "facts", "--nodes", "gone.example.com", "--yes", "--follow")
    assert done.exit_code == 3
    assert re.search(r"  gone\.example\.com  errored   .*not connected", done.stdout)
    number = int(re.findall(r"^job (\d+): failed after .*: 1 errored$", done.stdout, re.MULTILINE)[0])
    shown = stage.run("job", str(number), "--nodes")
    assert shown.exit_code == 0  # it was shown; only what is followed has an outcome
    assert re.search(r"^gone\.example\.com +errored", shown.stdout, re.MULTILINE)
    again = stage.run("job", str(number), "--follow", "--nodes", "--json")
    assert again.exit_code == 3
    assert [each["node"] for each in lines(again.stdout)[-1]["nodes"]] == ["gone.example.com"]


def test_without_follow_it_says_how_to(stage: Stage) -> None:
    done = stage.run("run-task", "facts", "--nodes", HERE, "--yes")
    number = int(re.fullmatch(r"job (\d+) started: task facts on 2 nodes\n", done.stdout)[1])  # type: ignore[index]
    assert said(done).splitlines()[-1] == f"follow it with `orchbridge pe job {number} --follow`"


def test_puppet_runs(stage: Stage) -> None:
    done = stage.run("deploy", "--environment", "staging", "--noop", "--nodes", HERE, "--yes", "--json")
    job = job_of(stage, lines(done.stdout)[0]["job"])
    assert (job["type"], job["environment"], job["nodes"]) == ("deploy", "staging", HERE.split(","))
    assert said(done).startswith("run Puppet (noop) in staging on 2 nodes: web01.example.com, db01.example.com")


def test_puppet_runs_in_each_nodes_own_environment(stage: Stage) -> None:
    done = stage.run("deploy", "--query", 'nodes[certname] { certname ~ "web" }', "--yes", "--json")
    job = job_of(stage, lines(done.stdout)[0]["job"])
    assert (job["type"], job["environment"]) == ("deploy", "")
    assert "in each node's own environment on every node the query finds (only PuppetDB knows how many)" in said(done)


def test_nodes_from_a_file_each_once(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text("web01.example.com\ndb01.example.com, web01.example.com\n")
    done = stage.run("run-task", "facts", "--nodes", f"@{tmp_path / 'nodes'}", "--yes", "--json")
    assert job_of(stage, lines(done.stdout)[0]["job"])["nodes"] == HERE.split(",")


def test_parameters_from_a_file_and_arguments_over_it(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"name": "openssl", "action": "status"}')
    done = stage.run(
        *("run-task", "package", "action=upgrade", "--params-file", str(tmp_path / "params.json")),
        *("--nodes", HERE, "--yes", "--json"),
    )
    number = lines(done.stdout)[0]["job"]
    shown = lines(stage.run("job", str(number), "--json").stdout)[0]
    assert shown["parameters"] == {"name": "openssl", "action": "upgrade"}


def test_a_task_that_declares_nothing_takes_anything(stage: Stage) -> None:
    done = stage.run("run-task", "adhoc::run", "count=5", 'list=["a"]', "text=five", "--nodes", HERE, "--yes", "--json")
    number = lines(done.stdout)[0]["job"]
    shown = lines(stage.run("job", str(number), "--json").stdout)[0]
    assert shown["parameters"] == {"count": 5, "list": ["a"], "text": "five"}
    assert "count=[redacted]" in said(done)  # nobody says which of them is a secret


def test_a_plan_to_its_end(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0wave-token\n")
    done = stage.run("run-plan", "rollout::web", "batch=2", f"token=@{tmp_path / 'secret'}", "--yes", "--follow")
    number = int(re.match(r"plan job (\d+) started: plan rollout::web\n", done.stdout)[1])  # type: ignore[index]
    truth = [fact for fact in stage.facts("plan_event") if fact["plan"] == number]
    assert len(done.stdout.splitlines()) == len(truth) + 2
    assert re.search(r"  says +rollout::web", done.stdout)
    child = next(fact["job"] for fact in truth if fact["job"])
    assert re.search(rf"  task_start +job {child}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^plan job {number}: success after ", done.stdout, re.MULTILINE)
    assert done.exit_code == 0
    assert str(child) in stage.run("plan-job", str(number)).stdout
    told = lines(stage.run("plan-job", str(number), "--json").stdout)[0]
    assert (told["jobs"], told["state"], told["parameters"]) == ([child], "success", {"batch": 2})


def test_stopping_says_what_is_stopped(slow: Stage) -> None:
    number = lines(slow.run("run-task", "facts", "--nodes", HERE, "--yes", "--json").stdout)[0]["job"]
    with subprocess.Popen(
        [sys.executable, "-m", "orchbridge", "pe", "job", str(number), "--follow", *slow.place],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as follower:  # fmt: skip
        assert follower.stdout is not None
        assert "running" in follower.stdout.readline()
        done = slow.run("stop", str(number), "--force", "--yes")
        assert said(done).splitlines()[0] == (f"stop job {number} (task facts, running): 2 of 2 nodes not through yet")
        assert (done.exit_code, done.stdout.startswith(f"job {number} is told to stop: ")) == (0, True)
        told, _ = follower.communicate(timeout=30)
    assert (follower.returncode, f"job {number}: stopped after" in told) == (3, True)
    assert state_of(slow, number) == "stopped"
    again = slow.run("stop", str(number), "--yes")
    assert (again.exit_code, again.stdout) == (0, f"job {number} has ended: stopped\n")


def test_a_plan_is_stopped_and_its_jobs_go_on(brisk: Stage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0wave-token\n")
    made = brisk.run("run-plan", "rollout::web", f"token=@{tmp_path / 'secret'}", "--yes", "--json")
    number = lines(made.stdout)[0]["plan_job"]
    wait_until("its first job", lambda: [f for f in brisk.facts("plan_event") if f["plan"] == number and f["job"]])
    job = next(f["job"] for f in brisk.facts("plan_event") if f["plan"] == number and f["job"])
    done = brisk.run("stop-plan", str(number), "--yes")
    assert f"jobs it started go on by themselves: {job}" in said(done)
    assert done.stdout == f"plan job {number} is told to stop\n"
    wait_until("its end", lambda: brisk.run("plan-job", str(number), "--follow").exit_code == 3)
    assert brisk.run("stop-plan", str(number), "--yes").stdout == f"plan job {number} has ended: failure\n"
    wait_until("the job's end", lambda: state_of(brisk, job) in {"finished", "failed"})


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_cut_short_the_job_goes_on(slow: Stage, how: signal.Signals) -> None:
    number = lines(slow.run("run-task", "facts", "--nodes", HERE, "--yes", "--json").stdout)[0]["job"]
    with subprocess.Popen(
        [sys.executable, "-m", "orchbridge", "pe", "job", str(number), "--follow", *slow.place],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    ) as follower:  # fmt: skip
        assert follower.stdout is not None
        follower.stdout.readline()
        follower.send_signal(how)
        _, told = follower.communicate(timeout=30)
    assert follower.returncode == 75
    assert told.splitlines()[-1] == (
        f"orchbridge: job {number} goes on; watch it again with `orchbridge pe job {number} --follow`,"
        f" stop it with `orchbridge pe stop {number}`"
    )
    assert state_of(slow, number) == "running"


def test_a_job_that_is_deleted_meanwhile_does_not_go_on(tmp_path: Path) -> None:
    with simulator(tmp_path, "empty:nodes=5,shortest=50,longest=60") as (url, _):
        alone = Stage(tmp_path, url)
        alone.run("run-task", "facts", "--nodes", HERE, "--yes")
        with subprocess.Popen(
            [sys.executable, "-m", "orchbridge", "pe", "job", "1", "--follow", *alone.place],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as follower:  # fmt: skip
            assert follower.stdout is not None
            follower.stdout.readline()
            httpx.post(f"{url}/sim/prune", json={"oldest": 1})
            _, told = follower.communicate(timeout=30)
    assert follower.returncode == 75
    assert "job 1 was deleted while it was followed: its outcome is not known" in told
    assert "goes on" not in told


def test_a_reader_that_goes_away_is_no_bug(past: Stage) -> None:
    command = f"{sys.executable} -m orchbridge pe jobs --json {' '.join(past.place)} | head -n 1 >/dev/null"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.returncode in {0, 75}
    assert "bug" not in done.stderr


@pytest.mark.parametrize(("where", "why"), [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")])
@pytest.mark.parametrize("more", ["", "--json"])
def test_output_that_cannot_be_written_is_no_bug(past: Stage, where: str, why: str, more: str) -> None:
    command = f"{sys.executable} -m orchbridge pe jobs {more} {' '.join(past.place)} >{where}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, said_by(done)) == (75, f"orchbridge: the output cannot be written: {why}")


def test_what_was_started_is_told_even_if_nobody_reads_it(stage: Stage) -> None:
    command = (
        f"{sys.executable} -m orchbridge pe run-task facts --nodes {HERE} --yes {' '.join(stage.place)} >/dev/full"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    number = stage.facts("job")[-1]["id"]
    assert (done.returncode, f"orchbridge: job {number} started" in done.stderr) == (75, True)
