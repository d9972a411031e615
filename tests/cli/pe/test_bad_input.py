"""Bad input: the server's kind, a sentence that says what to do, the exit code, and nothing started."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.cli.pe.stage import Stage, said
from tests.e2e.programs import simulator

N = ("--nodes", "web01.example.com,db01.example.com", "--yes")


class Case(NamedTuple):
    arguments: tuple[str, ...]
    code: int
    told: str


BEFORE = {
    "no terminal": Case(
        ("run-task", "facts", "--nodes", "web01.example.com"), 2,
        "orchbridge: this starts or stops something, and there is no terminal to ask on; nothing was done — add --yes",
    ),
    "no terminal to stop on": Case(
        ("stop", "1"), 2,
        "orchbridge: this starts or stops something, and there is no terminal to ask on; nothing was done — add --yes",
    ),
    "no nodes": Case(
        ("run-task", "facts", "--yes"), 2,
        "orchbridge: on which nodes? — name them with one of --nodes a,b, --query PQL or --node-group UUID",
    ),
    "two scopes": Case(
        ("run-task", "facts", "--query", "nodes {}", *N), 2,
        "orchbridge: --nodes and --query both say on which nodes; nothing was started"
        " — give one of --nodes a,b, --query PQL or --node-group UUID",
    ),
    "two scopes of a deploy": Case(
        ("deploy", "--query", "nodes {}", "--node-group", "x", "--yes"), 2,
        "orchbridge: --query and --node-group both say on which nodes; nothing was started"
        " — give one of --nodes a,b, --query PQL or --node-group UUID",
    ),
    "a file of nodes that is not there": Case(
        ("run-task", "facts", "--nodes", "@/nowhere", "--yes"), 2,
        "orchbridge: --nodes @/nowhere: the file cannot be read: No such file or directory — --nodes @FILE reads FILE",
    ),
    "nodes that are none": Case(
        ("run-task", "facts", "--nodes", " , ", "--yes"), 2,
        "orchbridge: --nodes names no node — write --nodes a.example.com,b.example.com",
    ),
    "no parameter": Case(
        ("run-task", "package", "openssl", *N), 2,
        "orchbridge: argument 1 after the name is no parameter — write parameters as key=value, and quote spaces:"
        " 'key=two words'",
    ),
    "a parameter twice": Case(
        ("run-task", "package", "name=a", "name=b", *N), 2,
        "orchbridge: parameter name is given twice — give it once; a list is written as JSON",
    ),
    "both kinds of noop": Case(
        ("deploy", "--noop", "--no-noop", *N), 2,
        "orchbridge: --noop and --no-noop exclude each other; nothing was started — give one of them",
    ),
    "no time": Case(
        ("deploy", "--at", "2026-05-01T08:00:00", *N), 2,
        "orchbridge: --at '2026-05-01T08:00:00' is no time"
        " — write it with its zone, 2026-05-01T08:00:00Z, or as a time from now, +2h",
    ),
    "later, in no environment": Case(
        ("deploy", "--at", "+2h", *N), 2,
        "orchbridge: a deploy for later needs an environment; nothing was started — give --environment NAME",
    ),
    "again without a first time": Case(
        ("run-task", "facts", "--every", "12h", *N), 2, "orchbridge: --every needs a first time — give --at as well"
    ),
    "again and again, at no interval": Case(
        ("run-task", "facts", "--at", "+2h", "--every", "0d", *N), 2,
        "orchbridge: --every '0d' is no time — write it as 30m, 12h or 7d",
    ),
    "to be followed, though it is later": Case(
        ("run-plan", "rollout::drain", "--at", "+2h", "--follow", "--yes"), 2,
        "orchbridge: --at and --follow exclude each other; nothing was started — leave --follow out",
    ),
    "days the wrong way round": Case(
        ("usage", "--since", "2026-05-02", "--until", "2026-05-01"), 2,
        "orchbridge: --until 2026-05-01 is before --since 2026-05-02 — give the earlier day as --since",
    ),
    "days of activity the wrong way round": Case(
        ("activity", "--since", "2026-05-02", "--until", "2026-05-01"), 2,
        "orchbridge: --until 2026-05-01 is before --since 2026-05-02 — give the earlier as --since",
    ),
}  # fmt: skip
PARAMETERS = {
    "undeclared": Case(
        ("run-task", "package", "name=a", "action=status", "colour=red", *N), 2,
        "orchbridge: task package has no parameter colour; it takes name, action; nothing was started"
        " — see `orchbridge pe task package`",
    ),
    "undeclared, and it takes none": Case(
        ("run-task", "facts", "colour=red", *N), 2,
        "orchbridge: task facts has no parameter colour; it takes none; nothing was started"
        " — see `orchbridge pe task facts`",
    ),
    "missing": Case(
        ("run-task", "package", *N), 2,
        "orchbridge: task package needs name (String[1]), action (Enum[status, upgrade]); nothing was started"
        " — see `orchbridge pe task package`",
    ),
    "wrong type": Case(
        ("run-task", "package", "name=", "action=remove", *N), 2,
        "orchbridge: parameter name takes String[1]: write a text that is not empty;"
        " parameter action takes Enum[status, upgrade]: write one of status, upgrade; nothing was started"
        " — see `orchbridge pe task package`",
    ),
    "all of it at once": Case(
        ("run-plan", "rollout::web", "batch=many", "colour=red", "--yes"), 2,
        "orchbridge: plan rollout::web has no parameter colour; it takes batch, token;"
        " parameter batch takes Integer: write a whole number; plan rollout::web needs token (Sensitive[String]);"
        " nothing was started — see `orchbridge pe plan rollout::web`",
    ),
    "no noop": Case(
        ("run-task", "facts", "--noop", *N), 2,
        "orchbridge: task facts does not support --noop; nothing was started"
        " — leave --noop out, or its author can add it",
    ),
    "parameters that are no object": Case(
        ("run-task", "package", "--params-file", "-", *N), 2,
        "orchbridge: the parameters in standard input are not a JSON object"
        ' — give a JSON object: {"name": value, ...}',
    ),
    "parameters that are not there": Case(
        ("run-task", "package", "--params-file", "/nowhere.json", *N), 2,
        "orchbridge: the parameters in /nowhere.json cannot be read: No such file or directory"
        ' — give a JSON object: {"name": value, ...}',
    ),
    "standard input twice": Case(
        ("run-task", "dbx::dump", "password=-", "--params-file", "-", *N), 2,
        "orchbridge: password=- and --params-file - would both read standard input"
        " — give one of them as a file: key=@FILE",
    ),
    "a secret's file that is not there": Case(
        ("run-task", "dbx::dump", "database=x", "path=y", "password=@/nowhere", *N), 2,
        "orchbridge: the file of the sensitive parameter password cannot be read: No such file or directory"
        " — password=@FILE reads FILE; a value that begins with @ goes into a file itself",
    ),
}  # fmt: skip
SERVER = {
    "unknown task": Case(
        ("run-task", "nope", *N), 2,
        "orchbridge: GET /tasks/:module/:task: 404 puppetlabs.orchestrator/unknown-task: Unknown task nope — check its"
        " spelling (module::name) and the environment: a task exists where its module is deployed;"
        " `orchbridge pe tasks` lists them",
    ),
    "unknown plan": Case(
        ("run-plan", "no::such", "--yes"), 2,
        "orchbridge: GET /plans/:module/:plan: 404 puppetlabs.orchestrator/unknown-plan: Unknown plan no::such — check",
    ),
    "unknown environment": Case(
        ("deploy", "--environment", "nope", *N), 2,
        "orchbridge: POST /command/deploy: 404 puppetlabs.orchestrator/unknown-environment: Unknown environment nope"
        " — check its spelling; if it is new, deploy it first: puppet code deploy ENVIRONMENT --wait",
    ),
    "not permitted": Case(
        ("run-task", "lockdown::wipe", "device=sda", *N), 3,
        "orchbridge: POST /command/task: 403 puppetlabs.orchestrator/not-permitted:"
        " You are not permitted to run the task lockdown::wipe — give a role of the token's user the permission Tasks",
    ),
    "nobody there": Case(
        ("run-task", "facts", "--query", 'nodes[certname] { certname = "nobody" }', "--yes"), 2,
        "orchbridge: POST /command/task: 400 puppetlabs.orchestrator/empty-target:",
    ),
    "unknown job": Case(
        ("job", "4711"), 2,
        "orchbridge: GET /jobs/:id: 404 puppetlabs.orchestrator/unknown-job: Unknown job 4711 — check the number: jobs"
        " and plan jobs are counted apart, and both are deleted after a while, 30 days by default",
    ),
    "unknown job to stop": Case(
        ("stop", "4711", "--yes"), 2, "orchbridge: GET /jobs/:id: 404 puppetlabs.orchestrator/unknown-job:"
    ),
    "unknown schedule": Case(
        ("unschedule", "4711", "--yes"), 2,
        "orchbridge: GET /scheduled_jobs/environment_jobs/:id: 400 puppetlabs.orchestrator/query-error: No scheduled"
        " job 4711 — `orchbridge pe schedules` lists them; one that was ended is not shown any more",
    ),
    "unknown plan job": Case(
        ("stop-plan", "4711", "--yes"), 2, "orchbridge: GET /plan_jobs/:id: 404 puppetlabs.orchestrator/unknown-job:"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_wrong_before_anybody_is_asked(stage: Stage, name: str) -> None:
    case = BEFORE[name]
    done = stage.run(*case.arguments)
    assert (done.exit_code, said(done), done.stdout) == (case.code, case.told, "")
    assert stage.started == 0


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_that_do_not_fit_are_not_sent(stage: Stage, name: str) -> None:
    case = PARAMETERS[name]
    done = stage.run(*case.arguments, typed="[1]")
    assert (done.exit_code, said(done), done.stdout) == (case.code, case.told, "")
    assert stage.started == 0


@pytest.mark.parametrize("name", SERVER)
def test_what_the_server_refuses_has_its_kind_and_what_to_do(stage: Stage, name: str) -> None:
    case = SERVER[name]
    done = stage.run(*case.arguments)
    assert (done.exit_code, done.stdout) == (case.code, "")
    assert said(done).splitlines()[-1].startswith(case.told)
    assert " — " in said(done).splitlines()[-1]
    assert stage.started == 0


def test_a_number_is_a_number(stage: Stage) -> None:
    done = stage.run("job", "last")
    assert (done.exit_code, "not a valid integer" in done.stderr) == (2, True)


def test_a_token_that_is_refused(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0wrong-token-PLANTED\n")
    done = Stage(tmp_path, stage.url).run("jobs")
    assert done.exit_code == 3
    assert "401 puppetlabs.rbac/" in done.stderr
    assert "puppet-access login" in done.stderr
    assert "PLANTED" not in done.output


def test_a_token_that_is_not_there(stage: Stage, tmp_path: Path) -> None:
    done = Stage(tmp_path, stage.url).run("jobs")
    assert (done.exit_code, "token-file: the token file" in done.stderr) == (2, True)


def test_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0token\n")
    done = Stage(tmp_path, "http://127.0.0.1:9").run("run-task", "facts", *N)
    assert done.exit_code == 69
    assert "127.0.0.1:9 cannot be reached: Connection refused — check the url" in done.stderr


def test_a_port_without_tls(stage: Stage) -> None:
    done = Stage(stage.folder, stage.url.replace("http:", "https:")).run("jobs")
    assert done.exit_code == 69
    assert "what listens there does not speak TLS" in done.stderr


@pytest.mark.parametrize(
    ("command", "kind", "wanted"),
    [
        (("schedules",), "400 puppetlabs.orchestrator/query-error", "orchestrator:view:*"),
        (("run-task", "facts", "--at", "+2h", *N), "403 puppetlabs.orchestrator/not-permitted", "Run tasks"),
        (("inventory",), "403 puppetlabs.orchestrator/not-permitted", "orchestrator:view:*"),
    ],
)
def test_a_right_that_is_missing(
    stage: Stage, tmp_path: Path, command: tuple[str, ...], kind: str, wanted: str
) -> None:
    httpx.post(f"{stage.url}/sim/tokens", json={"login": "nobody", "token": "0nobodys-own"})
    (tmp_path / "token").write_text("0nobodys-own\n")
    done = Stage(tmp_path, stage.url).run(*command)
    told, _, todo = said(done).splitlines()[-1].partition(" — ")
    assert (done.exit_code, kind in told, wanted in todo, "touch" in todo) == (3, True, True, False)


def test_a_dead_broker_is_no_answer_about_nodes(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--knob", "inventory=500") as (url, _):
        done = Stage(tmp_path, url).run("inventory", "web01.example.com")
    assert (done.exit_code, done.stdout) == (69, "")
    assert "the PCP broker cannot be reached, so it is unknown which nodes are connected" in done.stderr


def test_a_version_that_has_no_such_thing(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--version", "2016.4") as (url, _):
        stage = Stage(tmp_path, url)
        assert [stage.run(*words).exit_code for words in (("tasks",), ("plan-jobs",), ("schedules",))] == [3, 3, 3]
        assert "no such route here: PE has it since 2017.3" in stage.run("tasks").stderr
        assert stage.run("jobs").exit_code == 0
