"""A login, once, and what becomes of the token; whose it is and when it ends; who did what."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import httpx
import pytest

from tests.cli.pe.stage import Stage, said


def logins(stage: Stage) -> int:
    return int(httpx.get(f"{stage.url}/sim/requests").json()["requests"].get("POST auth/token", 0))


def test_a_token_is_kept_where_nobody_else_reads_it(stage: Stage, tmp_path: Path) -> None:
    mine = Stage(tmp_path / "new" / "folder", stage.url)
    done = mine.run("login", "ops", "--lifetime", "2d", "--label", "by hand", typed="simulated\n")
    assert done.exit_code == 0, done.stderr
    assert re.match(r"logged in as ops; the token is in .*/token and ends .* UTC, in [12] d \d+ h\n", done.stdout)
    kept = mine.folder / "token"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().strip() not in done.output
    assert [path.name for path in mine.folder.iterdir()] == ["token"]
    told = json.loads(mine.run("token", "--json").stdout)
    assert (told["login"], told["label"], told["superuser"]) == ("ops", "by hand", False)
    assert mine.run("jobs").exit_code == 0
    kept.chmod(0o644)
    assert mine.run("login", "viewer", "--json", typed="simulated\n").exit_code == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "token of   viewer\n" in mine.run("token").stdout


def test_the_password_is_asked_for_and_not_shown(stage: Stage, tmp_path: Path) -> None:
    with Stage(tmp_path, stage.url).terminal("login", "ops") as screen:
        screen.wait_for(r"password of ops at http://127\.0\.0\.1:\d+: ")
        screen.type("simulated\n")
        assert screen.end() == 0
        assert "simulated" not in screen.shown


@pytest.mark.parametrize(
    ("typed", "code", "told", "asked"),
    [
        ("PLANTED\n", 3, "401 puppetlabs.rbac/user-unauthenticated", 1),
        ("", 2, "no password — write it to standard input", 0),
    ],
)
def test_a_login_is_tried_once_and_leaves_the_token_there_is(
    stage: Stage, tmp_path: Path, typed: str, code: int, told: str, asked: int
) -> None:
    (tmp_path / "token").write_text("0mine\n")
    before = logins(stage)
    done = Stage(tmp_path, stage.url).run("login", "ada", typed=typed)
    assert (done.exit_code, told in done.stderr, "PLANTED" in done.output) == (code, True, False)
    assert logins(stage) - before == asked
    assert ((tmp_path / "token").read_text(), len(list(tmp_path.iterdir()))) == ("0mine\n", 1)


def test_where_no_token_can_be_kept_nobody_logs_in(stage: Stage, tmp_path: Path) -> None:
    before = logins(stage)
    os.mkfifo(tmp_path / "token")
    done = Stage(tmp_path, stage.url).run("login", "ops", typed="simulated\n")
    assert (done.exit_code, "it is there, and is no file; there is no new one" in said(done)) == (2, True)
    assert logins(stage) == before


def test_a_token_that_has_ended(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0nobodys-PLANTED\n")
    done = Stage(tmp_path, stage.url).run("token")
    assert (done.exit_code, "puppet-access login" in done.stderr, "PLANTED" in done.output) == (3, True, False)


def test_who_did_what(stage: Stage) -> None:
    stage.run("run-task", "facts", "--nodes", "web01.example.com", "--yes", "--follow")
    rows = [json.loads(line) for line in stage.run("activity", "--service", "pe-console", "--json").stdout.splitlines()]
    assert rows
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert any("web01.example.com" in text for row in rows for text in row["messages"])
    assert len(stage.run("activity", "--limit", "1").stdout.splitlines()) == 2
    assert stage.run("activity", "--since", "2001-01-01", "--until", "2001-01-02").stderr.endswith("no such activity\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_that_is_anothers_stays_his(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0old\n")
    os.chown(tmp_path / "token", 12_345, 12_345)
    assert Stage(tmp_path, stage.url).run("login", "ops", typed="simulated\n").exit_code == 0
    found = (tmp_path / "token").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12_345, 12_345, 0o600)


def test_where_rbac_does_not_answer_its_own_service_and_address_are_named(stage: Stage) -> None:
    result = stage.run("token", "--rbac-url", "http://localhost:1")
    assert result.exit_code == 69
    assert "pe-console-services" in result.stderr
    assert "rbac_url" in result.stderr
