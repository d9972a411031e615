"""The demo from its first line to its verdict."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from orchbridge.cli.demo import lines
from orchbridge.cli.demo.audit import audit
from orchbridge.cli.demo.folder import LOG, prepare
from orchbridge.cli.demo.play import DemoOptions, Play
from orchbridge.cli.exits import CHECK_FAILED, CUT, DONE, say
from orchbridge.config import values
from orchbridge.core.errors import ConfigError
from orchbridge.ops.logs import configure
from orchbridge.runtime.stop import obeying_signals

GRACE_S = 20.0  # longer than a settled end ever takes


async def run_demo(options: DemoOptions) -> int:
    """Run until time is up or a signal comes, then print what happened.

    Return 0 where every finished job was delivered whole and once, 3 where not, 75 where a second
    signal cut it short. Raise ConfigError where folder or address cannot be used.
    """
    try:
        values.listen(options.listen)
    except ValueError as error:
        raise ConfigError(f"--listen {options.listen} {error}") from None
    console = Console(soft_wrap=True, highlight=False)
    if prepare(options.data):
        console.print(f"Cleared the files of an earlier demo from {options.data}.")
    play, begun = Play(options, console), time.monotonic()
    with _logging(options.data / LOG if play.lively else None):
        try:
            async with obeying_signals(play.ending, GRACE_S):
                await play.out()
        except TimeoutError:
            say("orchbridge: cut short; the files are sound, but jobs that just ended may lack their certificate")
            return CUT
    found = audit(options.data.glob("*.jsonl"), play.truth, play.due or ())
    for line in lines.verdict(found, time.monotonic() - begun, play.truth):
        console.print(line)
    log = options.data / LOG
    if log.exists() and log.stat().st_size:
        console.print(f"  There were warnings: {log}")
    console.print(f"\nLook at the newest event: {lines.shown(options.data)}")
    return DONE if found.sound else CHECK_FAILED


@contextlib.contextmanager
def _logging(path: Path | None) -> Iterator[None]:
    """Let warnings and errors through: to standard error, or to a file while a table is on the screen."""
    if path is None:
        configure("warning", "auto")
        yield
        return
    with path.open("w", encoding="utf-8") as file:
        configure("warning", "console", file)
        try:
            yield
        finally:
            configure("warning", "auto", sys.stderr)
