"""docs/cursors.md: what its examples print is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.cursors.stage import Stage

TEXT = (Path(__file__).parents[3] / "docs" / "cursors.md").read_text(encoding="utf-8")


def test_examples_print_what_they_say(tmp_path: Path) -> None:
    stage = Stage(tmp_path, f'type = "jsonl"\ndirectory = "{tmp_path}/records"')
    stage.configure()
    stage.furnish()
    steps = [
        (command, told)
        for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
        for command, told in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
    ]
    assert len(steps) > 6
    for command, told in steps:
        program, group, name, option, _, *rest = shlex.split(command)
        assert (program, group, option) == ("orchbridge", "cursors", "-c")
        done = stage.run(name, *(str(tmp_path / word) if word.endswith(".json") else word for word in rest))
        assert (done.exit_code, done.output) == (0, told), command
