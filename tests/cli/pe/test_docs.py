"""docs/pe.md: what its examples print is what the commands print; every command, option and key is told."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchbridge.cli.main import main
from orchbridge.cli.pe import pe
from tests.cli.pe.stage import Stage
from tests.e2e.programs import simulator

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "pe.md").read_text(encoding="utf-8")
STEPS = [
    (command, told)
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for command, told in re.findall(r"^\$ (.*)\n((?:[^$].*\n|\n)*)", block, re.MULTILINE)
]
CODES = {"gone.example.com": 3, "colour=red": 2}  # by a word of the command; 0 otherwise
ELSEWHERE = {"--config", "--source", "--json", "--help", "--force", "--name", "--since", "--until", "--plan", "--limit"}


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A simulator that PE's own tools would find."""
    tools = tmp_path / ".puppetlabs/client-tools"
    tools.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    with simulator(tmp_path, "quiet:jobs=6,nodes=5") as (url, _):
        options = {"service-url": url, "token-file": str(tmp_path / "token")}
        (tools / "orchestrator.conf").write_text(json.dumps({"options": options}))
        yield Stage(tmp_path, url)


def steady(text: str) -> str:
    """Return a text without what time it was, how long it took, and how wide that made a column."""
    lines = [line for line in text.splitlines() if not line.startswith("orchbridge: http://127.0.0.1")]
    bare = re.sub(
        r"((\d{4}-)?\d\d-\d\d.)?\d\d:\d\d:\d\dZ?|\b\d+(\.\d+)? s\b|(?<=duration_s\":)[\d.]+", "T", "\n".join(lines)
    )
    return re.sub(r" +", " ", bare).strip()


def test_examples_print_what_they_say(played: Stage) -> None:
    assert len(STEPS) > 6
    for command, told in STEPS:
        program, group, *arguments = shlex.split(command)
        assert (program, group) == ("orchbridge", "pe")
        done = CliRunner().invoke(main, [group, *arguments])
        code = next((code for word, code in CODES.items() if word in arguments), 0)
        assert (done.exit_code, steady(done.stderr + done.stdout)) == (code, steady(told)), command


def test_every_command_is_told_and_has_its_help() -> None:
    for name, command in pe.commands.items():
        assert re.search(rf"`pe {name}[ `]|`{name}`|\bpe {name}\b", TEXT), name
        assert command.short_help, name
        assert command.help, name
        assert CliRunner().invoke(main, ["pe", name, "--help"]).exit_code == 0


def test_every_option_is_told() -> None:
    options = {
        name
        for command in pe.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }
    assert {name for name in options if f"{name}`" not in TEXT and f"{name} " not in TEXT} <= ELSEWHERE
    assert all(option.help for command in pe.commands.values() for option in command.params if _told(option))


def _told(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and "--environment" not in option.opts


def test_the_help_tells_every_exit_code() -> None:
    told = CliRunner().invoke(main, ["pe", "--help"]).output
    assert {"0", "2", "3", "69", "75"} <= set(re.findall(r"\d+", told.partition("Exit codes")[2]))
    assert {"0", "2", "3", "69", "75"} == set(re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE))


ROWS = {
    kind: set(re.findall(r"`(\w+)`", keys))
    for kind, keys in re.findall(r"^\| `(\w+)` \| (?!from).*? \| (.*) \|$", TEXT, re.MULTILINE)
}
PRINTING = (
    ("jobs",), ("job", "1", "--nodes"), ("job", "1", "--follow"), ("plan-jobs",), ("plan-job", "1", "--follow"),
    ("tasks",), ("task", "package"), ("plans",), ("plan", "rollout::web"), ("inventory",), ("schedules",),
    ("status",), ("root",), ("usage",), ("report", "1"), ("token",), ("activity",),
    ("make-target", "web", "--all-tasks", "--yes"), ("targets",),
    ("run-task", "facts", "--nodes", "web01.example.com", "--yes"), ("stop", "1", "--yes"),
)  # fmt: skip


def test_every_key_is_told(played: Stage) -> None:
    seen: dict[str, set[str]] = {}
    for command in PRINTING:
        for line in CliRunner().invoke(main, ["pe", *command, "--json"]).stdout.splitlines():
            told = json.loads(line)
            seen.setdefault(told["kind"], set()).update(told)
            for node in told.get("nodes") or [] if told["kind"] == "job" else []:
                seen.setdefault("node", set()).update(node)
    assert seen.keys() == ROWS.keys() - {"login"}
    for kind, keys in seen.items():
        assert keys - {"kind"} - ROWS[kind] == set(), kind
        assert ROWS[kind] - keys <= {"plan_job", "schedule", "task_target", "stopped", "state", "nodes"}, kind


def test_the_readme_leads_here() -> None:
    assert "docs/pe.md" in (ROOT / "README.md").read_text(encoding="utf-8")
