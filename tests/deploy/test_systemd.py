"""The unit of deploy/systemd: what systemd's own tools say of it, and whether its pieces fit together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchbridge.config import load
from tests.debian import program

HERE = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = HERE / "orchbridge.service"
EXPOSURE_MAX = 2.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder as the README lays it out: unit and program in their places."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "etc/systemd/system").mkdir(parents=True)
    (folder / "etc/systemd/system/orchbridge.service").write_text(UNIT.read_text())
    start = folder / "opt/orchbridge/bin/orchbridge"
    start.parent.mkdir(parents=True)
    start.write_text("#!/bin/sh\n")
    start.chmod(0o755)
    return folder


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def told(name: str) -> list[str]:
    """Return the values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.needs("systemd")
def test_systemd_understands_every_line(root: Path) -> None:
    assert problems(root) == ""
    unit = root / "etc/systemd/system/orchbridge.service"
    text = unit.read_text()
    try:
        unit.write_text(text.replace("RestrictRealtime=", "RestrictRealTime="))
        assert "RestrictRealTime" in problems(root), "else this test would believe anything"
    finally:
        unit.write_text(text)


def problems(root: Path) -> str:
    """Return what `verify` says of our unit; a root folder without the targets of a system lacks those."""
    done = analyze("verify", f"--root={root}", "--man=no", "--recursive-errors=no", "orchbridge.service")
    lines = done.stderr.splitlines()
    return "\n".join(line for line in lines if "orchbridge.service" in line and ".target not found" not in line)


@pytest.mark.needs("systemd")
def test_it_is_exposed_to_little() -> None:
    done = analyze("security", "--offline=true", f"--threshold={int(EXPOSURE_MAX * 10)}", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    print(found[0])
    assert float(found[1]) < EXPOSURE_MAX, done.stdout
    assert done.returncode == 0


@pytest.mark.needs("strace", "systemd")
def test_every_system_call_it_makes_is_allowed(tmp_path: Path) -> None:
    """Simulator, client, sink and endpoints of a demo, which make all the calls of a bridge and more."""
    trace = tmp_path / "trace"
    demo = [sys.executable, "-m", "orchbridge", "demo", "--for", "2s", "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [program("strace"), "-f", "-qq", "-o", str(trace), *demo], capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = set(re.findall(r"^\d+\s+(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    allowed, refused = (told("SystemCallFilter")[0], told("SystemCallFilter")[1].removeprefix("~").split())
    kept = calls(allowed) - {call for group in refused for call in calls(group)}
    assert {"socket", "openat", "epoll_wait"} <= made
    assert made <= kept, made - kept


def calls(group: str) -> set[str]:
    """Return the system calls of a group such as `@system-service`, with those of the groups in it."""
    done = analyze("syscall-filter", "--no-pager", group)
    lines = [line.strip() for line in done.stdout.splitlines()[1:]]
    names = {line for line in lines if line and not line.startswith("#")}
    groups = {name for name in names if name.startswith("@")}
    return (names - groups).union(*(calls(each) for each in groups))


def test_its_configuration_and_its_credentials_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = dict(each.split(":", 1) for each in told("LoadCredential"))
    folder = "/run/credentials/orchbridge.service"
    environment = dict(each.replace("%d", folder).split("=", 1) for each in told("Environment"))
    assert {Path(path).name for path in environment.values()} == set(handed), "each is handed over and used"
    settings = load(HERE / "orchbridge.toml", environment, files_exist=False)
    assert settings.warnings == ()
    (source,) = settings.sources
    assert str(source.token_file) == f"{folder}/pe-token"
    assert settings.sink.type == "kafka"
    assert str(settings.sink.sasl_plain_password_file) == f"{folder}/kafka-password"


def test_what_a_person_has_to_mend_is_not_tried_for_ever() -> None:
    from orchbridge.cli.exits import CHECK_FAILED, CONFIGURATION, CUT

    assert told("RestartPreventExitStatus") == [f"{CONFIGURATION} {CHECK_FAILED}"]
    assert told("SuccessExitStatus") == [str(CUT)]
    assert (told("Type"), told("NotifyAccess"), told("Restart")) == (["notify"], ["main"], ["always"])
    assert int(told("WatchdogSec")[0]) >= 60, "a blocked event loop is told after 30 s, before systemd acts"
