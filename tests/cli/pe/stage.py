"""A simulator with a truth log, and `orchbridge pe` run against it: in process, as a child, or on a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from orchbridge.cli.main import main


@dataclass
class Stage:
    """The simulator at `url`; `folder` holds its token and its truth."""

    folder: Path
    url: str

    @property
    def place(self) -> tuple[str, ...]:
        return "--url", self.url, "--token-file", str(self.folder / "token")

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        """Run a command in this process, against the real server, without a terminal."""
        return CliRunner().invoke(main, ["pe", *arguments, *self.place], input=typed)

    def child(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "orchbridge", "pe", *arguments, *self.place],
            stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **environment},
        )  # fmt: skip

    def facts(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what the simulator knows to have happened."""
        lines = (self.folder / "truth.log").read_text().splitlines()
        return [fact for line in lines if (fact := json.loads(line))["fact"] in kinds]

    @property
    def started(self) -> int:
        """How many jobs and plan jobs there ever were."""
        return len(self.facts("job", "plan"))

    @contextmanager
    def terminal(self, *arguments: str, columns: int = 80) -> Iterator[Terminal]:
        """Run a command on a terminal of its own."""
        screen = Terminal(["pe", *arguments, *self.place], columns)
        try:
            yield screen
        finally:
            screen.close()


def said(result: Result) -> str:
    """Return what a command told the person, without the line that says which PE it was."""
    lines = result.stderr.splitlines()
    return "\n".join(line for line in lines if not line.startswith("orchbridge: http://127"))


class Terminal:
    """A process on a pseudo-terminal, which is its controlling one, and what it has shown so far."""

    def __init__(self, arguments: list[str], columns: int) -> None:
        self.shown = ""
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchbridge", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread is about
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"},
        )  # fmt: skip
        os.close(theirs)

    def wait_for(self, pattern: str, limit_s: float = 30.0) -> re.Match[str]:
        """Return the first match in what was shown; fail with all of it where it does not come."""
        ends = time.monotonic() + limit_s
        while (found := re.search(pattern, self.plain)) is None:
            more = self._read(0.2)
            if (time.monotonic() > ends or not more) and re.search(pattern, self.plain) is None:
                raise AssertionError(f"{pattern!r} never came in:\n{self.plain}")
        return found

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    def interrupt_until_it_ends(self) -> int:
        """Press Ctrl-C as a person does, again where nothing happens: one may come a moment before the waiting."""
        for _ in range(5):
            self.interrupt()
            ends = time.monotonic() + 4.0
            while time.monotonic() < ends:
                if not self._read(0.1):  # nobody is there any more
                    return self.end()
        return self.end()

    def end(self, limit_s: float = 30.0) -> int:
        """Read on until the process ends; return its exit code."""
        ends = time.monotonic() + limit_s
        while self._read(0.2) and time.monotonic() < ends:
            pass
        return self.process.wait(max(0.1, ends - time.monotonic()))

    @property
    def plain(self) -> str:
        """What was shown, without the codes that move and colour."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown).replace("\r", "")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._own)

    def _read(self, limit_s: float) -> bool:
        """Read a little; return whether more may come."""
        if not select.select([self._own], [], [], limit_s)[0]:
            return self.process.poll() is None
        try:
            piece = os.read(self._own, 65_536)
        except OSError:  # the other side is closed
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)
