"""What is said while nobody answers: once that it is waited for, and once that it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchbridge.cli.exits import say
from orchbridge.orchestrator import Asked

SILENCE_S = 3.0  # shorter ones are mended by the next try


class Heard:
    """Takes note of every request that ended, well or not."""

    def __init__(self, tell: Callable[[str], None] = say, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._since: float | None = None
        self._told = False

    def note(self, asked: Asked) -> None:
        """Take note of one."""
        if asked.code.isdigit() and asked.code < "500" and asked.code != "429":
            if self._told:
                self._tell("orchbridge: the orchestrator answers again")
            self._since, self._told = None, False
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        if not self._told and now - self._since >= SILENCE_S:
            self._told = True
            self._tell(f"orchbridge: the orchestrator does not answer ({asked.code}); waiting for it")
