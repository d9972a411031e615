"""A thread that notices when the event loop does not turn, and writes down where it stands."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from orchbridge.core.alarms import Alarm, Alarms
from orchbridge.runtime.trail import Trail, line

TICK_S = 1.0
BLOCKED_S = 30.0


class Stillness(NamedTuple):
    """For how long the loop has not turned, in seconds in which the onlooker itself could run."""

    turns: int = -1
    still_s: float = 0.0

    def after(self, turns: int, passed_s: float, tick_s: float = TICK_S) -> Stillness:
        """Return what another look shows; a pause of the whole process counts as one short look."""
        if turns != self.turns:
            return Stillness(turns)
        return Stillness(turns, self.still_s + min(passed_s, 2 * tick_s))


@contextlib.contextmanager
def guarding(trail: Trail, alarms: Alarms, blocked_s: float = BLOCKED_S) -> Iterator[None]:
    """Guard the loop that runs in this thread while the block runs.

    A blocked loop can answer nobody, so the thread only writes; the loop counts it once it turns again.
    """
    loop, blocked = asyncio.get_running_loop(), threading.get_ident()
    ended = threading.Event()

    def bark(still_s: float) -> None:
        reason = f"the event loop has not turned for {still_s:.0f} s: no stream moves and no endpoint answers"
        alarm = Alarm("loop", "event loop", reason)
        alarms.told(alarm, _stack_of(blocked))

        def over() -> None:
            alarms.raised(alarm)
            alarms.cleared(alarm)

        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(over)

    guard = threading.Thread(
        target=_guard, args=(lambda: trail.turns, blocked_s, ended, bark), name="orchbridge-watchdog", daemon=True
    )
    guard.start()
    try:
        yield
    finally:
        ended.set()


def _guard(turns: Callable[[], int], blocked_s: float, ended: threading.Event, bark: Callable[[float], None]) -> None:
    seen, before, barked = Stillness(), time.monotonic(), False
    tick_s = min(TICK_S, blocked_s / 4)
    while not ended.wait(tick_s):
        now = time.monotonic()
        seen = seen.after(turns(), now - before, tick_s)
        before = now
        if seen.still_s < blocked_s:
            barked = False
        elif not barked:
            barked = True
            bark(seen.still_s)


def _stack_of(thread: int) -> tuple[str, ...]:
    """Return where a thread stands: lines of code, outermost first, without the values of variables."""
    frame = sys._current_frames().get(thread)
    frames = [] if frame is None else traceback.extract_stack(frame)
    return tuple(line(Path(each.filename), each.lineno or 0, each.name, each.line or "") for each in frames)
