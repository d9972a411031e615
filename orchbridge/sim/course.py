"""The course of time: what is planned happens in order, and every fact is told as it happens."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Any

from orchbridge.sim.moments import millisecond_text, second_text

Fact = dict[str, Any]
FACTS_AT_ONCE = 1000


class Course:
    """Planned actions by time. It has no clock: `advance` says what time it is, in seconds since `start`.

    `start` is in Unix seconds or an aware datetime; negative times are the past. Time never
    goes back: an earlier `now` counts as the latest seen.
    """

    def __init__(self, start: datetime | float) -> None:
        self.start = start.timestamp() if isinstance(start, datetime) else float(start)
        self.now = float("-inf")
        self._ahead: list[tuple[float, int, int, Callable[[float], object]]] = []
        self._planned = 0
        self._listener: Callable[[list[Fact]], None] | None = None
        self._unheard: list[Fact] = []

    def listen(self, listener: Callable[[list[Fact]], None]) -> None:
        """Hand every fact to `listener`, some at a time, as time passes them; only before time first moves."""
        if self.now != float("-inf"):
            raise ValueError("the world already moves: a listener now would miss its first facts")
        self._listener = listener

    def at(self, when: float, action: Callable[[float], object], order: int = 0) -> None:
        """Plan an action; of actions at one time the lower `order`, then the earlier planned, comes first."""
        self._planned += 1
        heapq.heappush(self._ahead, (when, order, self._planned, action))

    def advance(self, now: float) -> float:
        """Let everything up to `now` happen; return the time it is."""
        while self._ahead and self._ahead[0][0] <= now:
            when, _, _, action = heapq.heappop(self._ahead)
            self.now = max(self.now, when)
            action(self.now)
        self.now = max(self.now, now)
        self._tell()
        return self.now

    def fact(self, kind: str, at: float, **values: Any) -> None:
        """Note one fact of the truth."""
        if self._listener is not None:
            self._unheard.append({"fact": kind, **values, "at": round(at, 3), "time": self.text(at)})
            if len(self._unheard) >= FACTS_AT_ONCE:
                self._tell()

    def _tell(self) -> None:
        if self._listener is not None and self._unheard:
            facts, self._unheard = self._unheard, []
            self._listener(facts)

    def text(self, at: float) -> str:
        """Return world seconds as PE prints them, cut to whole seconds."""
        return second_text(int((self.start + at) // 1))

    def text_ms(self, at: float) -> str:
        """Return world seconds as PE prints them in the inventory."""
        return millisecond_text(self.start + at)
