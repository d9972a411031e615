"""Every bad file, with the exact lines its author gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchbridge.config import load
from orchbridge.core.errors import ConfigError

BAD = Path(__file__).parent / "bad"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda path: path.stem)
def test_all_problems_in_one_go(path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(path, {}, files_exist=path.stem == "missing_files")
    told = "\n".join(filter(None, [str(refusal.value), refusal.value.hint])).replace(str(BAD), "<folder>")
    assert told + "\n" == path.with_suffix(".txt").read_text()
    assert "hunter2" not in told
    assert "31337" not in told


def test_the_error_drags_no_values_along() -> None:
    with pytest.raises(ConfigError) as refusal:
        load(BAD / "secrets.toml", {}, files_exist=False)
    assert refusal.value.__suppress_context__
    assert "hunter2" not in str(refusal.value.__context__)


def test_each_expectation_has_its_file() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.toml")}
