"""How the process begins and ends: Ctrl-C where nobody expects it, and standard streams that are closed or full."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchbridge.cli.exits import CUT

# Ctrl-C comes when this module is looked for, or when Python is on its way out.
INTERRUPTED = """
import atexit, os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
word = sys.argv.pop(1)
interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
class Finder:
    def find_spec(self, name, *_):
        if name == word:
            interrupt()
sys.meta_path.insert(0, Finder())
if word == "exit":
    atexit.register(interrupt)
if word == "thread":
    threading.Thread(target=time.sleep, args=(60,)).start()
    threading.Timer(1.5, interrupt).start()
from orchbridge.__main__ import main
main()
"""
NOWHERE = ("pe", "jobs", "--url", "http://127.0.0.1:1", "--token-file", "/dev/null")


def interrupted(at: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED, at, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    "at", ["click", "orchbridge.cli.main", "orchbridge.core.masks", "orchbridge.cli.pe.session", "rich.live"]
)
def test_ctrl_c_while_it_starts(at: str) -> None:
    done = interrupted(at, "pe", "job", "1", "--follow", *NOWHERE[2:])
    assert (done.returncode, done.stdout, done.stderr.strip()) == (CUT, "", "")


def test_ctrl_c_once_the_outcome_stands() -> None:
    assert interrupted("exit", "--version").returncode == 0
    assert interrupted("exit", *NOWHERE).returncode == 2


def test_ctrl_c_does_not_wait_for_a_thread() -> None:
    done = interrupted("thread", "--version")
    assert (done.returncode, done.stdout.startswith("orchbridge, version"), done.stderr) == (0, True, "")


def by_shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("orchbridge", f"{sys.executable} -m orchbridge")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_standard_streams() -> None:
    assert by_shell("orchbridge --version <&-").stdout.startswith("orchbridge, version")
    done = by_shell("orchbridge pe run-task facts --nodes a --url http://127.0.0.1:1 <&-")
    assert (done.returncode, "add --yes" in done.stderr) == (2, True)
    assert by_shell(f"orchbridge {' '.join(NOWHERE)} <&- >&- 2>&-").returncode == 2


def test_a_command_that_is_none() -> None:
    done = by_shell("orchbridge pe nope")
    assert (done.returncode, "No such command 'nope'" in done.stderr) == (2, True)
