"""What deploy/README.md tells people to type: the files are there, the commands exist, the facts are the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from orchbridge import __version__
from orchbridge.cli.main import main
from orchbridge.config import load
from tests.deploy.test_kafka_acls import RULES

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "deploy" / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line
]


def test_every_file_it_names_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("http") or (REPOSITORY / "deploy" / link).exists(), link
    named = {word for line in COMMANDS for word in shlex.split(line) if word.startswith("deploy/")}
    assert len(named) >= 7
    assert {word for word in named if not (REPOSITORY / word).exists()} == set()


@pytest.mark.parametrize("command", ["run", "check", "demo", "replay", "simulate"])
def test_the_commands_it_gives_exist(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_it_speaks_of_this_version_and_of_services_there_are() -> None:
    tagged = set(re.findall(r"orchbridge:(\d\S*?)(?=[`\s])", README))
    assert tagged == {__version__}
    services = yaml.safe_load((REPOSITORY / "deploy/compose/compose.yml").read_text())["services"]
    for line in COMMANDS:
        words = shlex.split(line)
        if words[:2] == ["docker", "compose"] and "exec" in words:
            assert words[words.index("exec") + 1] in services
    published = {port.split(":")[1] for service in services.values() for port in service.get("ports", [])}
    told = set(re.findall(r"<http://localhost:(\d+)", README))
    assert told
    assert told <= published


def test_the_table_of_rights_is_what_the_script_gives() -> None:
    table = README[README.index("| right | on |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    told = {(right, re.findall(r"`([^`]+)`", on)[0]) for rights, on in rows if "Create" not in rights
            for right in rights.split(", ")}  # fmt: skip
    assert told == {(rule.operation, rule.name) for rule in RULES}


def test_every_example_configuration_is_loaded_by_a_test() -> None:
    """Each is by the test of its own folder, with what goes with it; here, that none was forgotten."""
    found = {str(path.relative_to(REPOSITORY / "deploy")) for path in (REPOSITORY / "deploy").rglob("*.toml")}
    assert found == {
        "compose/orchbridge.toml",
        "kubernetes/base/config.toml",
        "kubernetes/overlays/example/config.toml",
        "systemd/orchbridge.toml",
    }
    for path in found - {"systemd/orchbridge.toml"}:
        load(REPOSITORY / "deploy" / path, {}, files_exist=False)
