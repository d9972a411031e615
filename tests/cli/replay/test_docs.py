"""docs/replay.md: what its examples print is what the command prints, and every option is told."""

from __future__ import annotations

import logging
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchbridge.cli.main import main
from orchbridge.cli.replay import replay
from tests.e2e.programs import simulator
from tests.e2e.replays import Place

TEXT = (Path(__file__).parents[3] / "docs" / "replay.md").read_text(encoding="utf-8")
STEPS = [
    (command, told)
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for command, told in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
]


def steady(text: str) -> str:
    """Return a text without how long it took, and how often a job's document was written anew meanwhile."""
    return re.sub(r"\d+ records", "N records", re.sub(r"(about|done in) \d+ s", r"\1 N s", text))


def test_examples_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(STEPS) > 2
    place = Place(tmp_path, "pe", "")
    monkeypatch.chdir(tmp_path)
    with simulator(tmp_path, "backlog:jobs=400,events=4") as (url, _):
        place.configure(url)
        place.config.rename("orchbridge.toml")
        for command, told in STEPS:
            program, *arguments = shlex.split(command)
            assert program == "orchbridge"
            try:
                done = CliRunner().invoke(main, arguments)
            finally:
                logging.disable(logging.NOTSET)
            assert (done.exit_code, steady(done.stdout)) == (0, steady(told)), command


def test_every_option_is_told() -> None:
    options = {name for option in replay.params for name in option.opts if name.startswith("--")}
    assert {name for name in options if f"{name}`" not in TEXT and f"{name} " not in TEXT} == {"--config"}
