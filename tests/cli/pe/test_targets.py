"""Nodes without an agent, task targets, and parameters that PE looks nodes up for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchbridge.cli.pe.agentless import secrets, targets_of
from orchbridge.cli.pe.params import lookups_of
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Scope
from tests.cli.pe.stage import Stage, said

SWITCH = {"hostnames": ["switch01.example.com"], "user": "root", "transport": "ssh", "password": "PLANTED-of-it"}
BOTH = ("--nodes", "web01.example.com,switch01.example.com", "--yes")


def test_nodes_without_an_agent_are_reached_as_a_file_says(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text(json.dumps([SWITCH]))
    targets = ("--targets", str(tmp_path / "targets.json"))
    done = stage.run("run-task", "facts", *BOTH, *targets, "--follow")
    assert "  1 of them without an agent" in said(done)
    assert "not connected" not in done.output
    assert "PLANTED" not in done.output
    with stage.terminal("run-task", "facts", *BOTH[:2], *targets) as screen:
        screen.wait_for(r"Do it\? ")
        assert "not connected now" not in screen.plain
        screen.type("n\n")
        assert screen.end() == 3


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ('[{"hostnames": PLANTED', "is not a list of targets"),
        ({"hostnames": ["a"]}, "is not a list of targets"),
        (["PLANTED"], "is no object"),
        ([{**SWITCH, "pasword": "PLANTED"}], "has no pasword"),
        ([{"user": "root", "password": "PLANTED"}], "needs hostnames and transport"),
        ([{**SWITCH, "password": ["PLANTED"]}], "password cannot be that"),
        ([{**SWITCH, "port": "PLANTED"}], "port cannot be that"),
        ([{**SWITCH, "transport": "PLANTED"}], "transport is ssh or winrm"),
        ([{**SWITCH, "hostnames": ["elsewhere"]}], "elsewhere"),
    ],
)
def test_targets_that_are_none(tmp_path: Path, told: object, why: str) -> None:
    (tmp_path / "targets.json").write_text(told if isinstance(told, str) else json.dumps(told))
    with pytest.raises(ConfigError) as error:
        targets_of(str(tmp_path / "targets.json"), Scope(nodes=["switch01.example.com"]))
    assert why in str(error.value)
    assert "PLANTED" not in error.value.line()


def test_secrets_of_targets_are_known(tmp_path: Path) -> None:
    (tmp_path / "targets.json").write_text(json.dumps([{**SWITCH, "sudo-password": "0more"}]))
    (found,) = targets_of(str(tmp_path / "targets.json"), Scope(query="nodes {}"))
    assert set(secrets([found])) == {"PLANTED-of-it", "0more"}
    assert "PLANTED" not in repr(found)


def test_a_target_is_made_and_shown(stage: Stage) -> None:
    done = stage.run(
        *("make-target", "the web", "--task", "facts", "--nodes", "web01.example.com", "--query", "nodes {}", "--yes")
    )
    number = done.stdout.split()[2]
    assert done.stdout == f"task target {number} made: the web\n"
    assert "it cannot be changed or deleted" in said(done)
    told = json.loads(stage.run("target", number, "--json").stdout)
    assert (told["name"], told["tasks"], told["nodes"]) == ("the web", ["facts"], ["web01.example.com"])
    assert "query     nodes {}" in stage.run("target", number).stdout
    assert f"{number}       the web" in stage.run("targets").stdout


@pytest.mark.parametrize("which", [(), ("--task", "facts", "--all-tasks")])
def test_which_tasks_has_one_answer(stage: Stage, which: tuple[str, ...]) -> None:
    done = stage.run("make-target", "x", *which, "--yes")
    assert (done.exit_code, "nothing was made" in said(done)) == (2, True)


def test_a_parameter_is_looked_up_by_the_server(stage: Stage) -> None:
    before = stage.started
    done = stage.run("run-plan", "rollout::drain", "--query", "node=nodes[certname] {}", "--yes")
    assert "  node: the nodes of query nodes[certname] {}" in said(done)
    assert "POST /command/environment_plan_run: 400 puppetlabs.orchestrator/validation-error" in said(done)  # no list
    twice = stage.run("run-plan", "rollout::drain", "node=a", "--node-group", "node=x", "--yes")
    assert (twice.exit_code, "parameter node is given twice" in said(twice)) == (2, True)
    assert stage.started == before


def test_lookups_name_their_parameter() -> None:
    assert lookups_of(["a=nodes {}"], ["b=1-2"]) == {
        "a": {"value": "nodes {}", "type": "query"},
        "b": {"value": "1-2", "type": "node_group"},
    }
    for wrong in (["nodes {}"], ["nodes[x]=1"], ["a="]):
        with pytest.raises(ConfigError):
            lookups_of(wrong, [])
