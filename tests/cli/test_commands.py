"""The commands as a person meets them: exit codes, and lines that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchbridge.cli.main import duration_of
from orchbridge.core.errors import ConfigError
from tests.e2e.programs import simulator


def orchbridge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchbridge", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def config(folder: Path, url: str, *more: str, token: str = "token") -> Path:
    path = folder / "config.toml"
    lines = [f'[[sources]]\nname = "prod"\nurl = "{url}"\ntoken_file = "{folder}/{token}"', *more]
    lines += [f'[sink]\ntype = "jsonl"\ndirectory = "{folder}/records"']
    path.write_text("\n".join(lines))
    return path


def test_help_names_every_command_and_exit_code() -> None:
    told = orchbridge("--help").stdout
    for word in ("run", "check", "demo", "simulate", "75", "69"):
        assert word in told


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    done = orchbridge(command, "-c", str(tmp_path / "nowhere.toml"))
    assert done.returncode == 2
    assert "nowhere.toml" in done.stdout + done.stderr


def test_check_finds_everything_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[[sources]]\nname = "Prod!"\nurl = "http://pe.example.com"\n[sink]\ntype = "kafke"\n[htp]\n')
    done = orchbridge("check", "-c", str(path), "--json")
    assert done.returncode == 2
    told = [json.loads(line)["message"] for line in done.stdout.splitlines()]
    for key in ("sources[0].name", "sources[0].url", "sink", "htp"):
        assert any(key in line for line in told), told


def test_check_offline_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o600)
    done = orchbridge("check", "-c", str(config(tmp_path, "https://127.0.0.1:1")), "--offline")
    assert (done.returncode, "0 to fix" in done.stdout) == (0, True), done.stdout


def test_check_finds_everything_elsewhere_in_one_pass(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet") as (url, _):
        (tmp_path / "wrong").write_text("not this one")
        (tmp_path / "records").write_text("a file where a folder should be")
        done = orchbridge("check", "-c", str(config(tmp_path, url, token="wrong")), "--json")
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    failed = {finding["subject"] for finding in findings if finding["level"] == "failed"}
    assert done.returncode == 3
    assert "prod: token accepted" in failed
    assert any("records" in subject for subject in failed)
    assert all(finding["hint"] for finding in findings if finding["level"] == "failed")
    assert "not this one" not in done.stdout + done.stderr


def test_check_is_content_with_what_works(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet") as (url, _):
        done = orchbridge("check", "-c", str(config(tmp_path, url)))
    assert done.returncode == 0, done.stdout
    assert "0 to fix" in done.stdout
    assert not (tmp_path / "records").exists()


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet") as (url, _):
        (tmp_path / "token").unlink()
        done = orchbridge("check", "-c", str(config(tmp_path, url)))
    assert done.returncode == 2
    assert "token_file" in done.stdout


def test_the_simulator_tells_what_it_can_play() -> None:
    done = orchbridge("simulate", "--list")
    assert done.returncode == 0
    for word in ("reference", "backlog", "event_visibility", "shape_version"):
        assert word in done.stdout


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20.0), ("5m", 300.0), ("1h", 3600.0), ("7", 7.0), (None, None)])
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-3s", "soon", "nan", "0"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        duration_of(text)
