"""What hangs in this process, and whom it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Alarm(msgspec.Struct, frozen=True):
    """Something of this process that hangs.

    `kind` is "commit", "task", "question" or "loop"; `subject` a stream's name or "event loop".
    """

    kind: str
    subject: str
    reason: str


class Alarms(Protocol):
    """Told what hangs, once, and that it moves again."""

    def told(self, alarm: Alarm, stack: Sequence[str]) -> None:
        """Write it down, with lines of code; may be called from any thread."""

    def raised(self, alarm: Alarm) -> None:
        """Count it; the process is not healthy until it is cleared."""

    def cleared(self, alarm: Alarm) -> None: ...
