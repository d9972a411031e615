"""Events of one job or plan job to its end: each once, and an end even where the last event never comes.

Events become visible out of order, and a terminal state may be visible before the last events are
(orchestrator API, section 16.4). So every read overlaps the one before, and the end is the state's,
not an event's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from orchbridge.orchestrator.errors import Malformed, Unavailable, UnknownJob
from orchbridge.orchestrator.odd import encoded

OVERLAP = 200
SMALL = 1_000
MISSES_MAX = 3


class Event(Protocol):
    """What can be followed."""

    @property
    def id(self) -> int | None:
        """Its number, None in the few that have none."""

    @property
    def raw(self) -> dict[str, Any]:
        """The event as it came."""


E = TypeVar("E", bound=Event)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tempo:
    """How often to look, in seconds.

    poll      between two looks; grows to three times that where nothing happens
    grace     for so long after the end nothing new may have come before it is believed to be complete
    patience  for so long the server may be away
    """

    poll_s: float = 1.0
    grace_s: float = 5.0
    patience_s: float = 300.0


class Followed(Protocol[E]):
    """One job or plan job that is being followed."""

    async def events(self, start: int | None) -> Sequence[E]:
        """Return the events with this id or a higher one."""

    async def over(self) -> bool:
        """Return whether it has ended, asking for its state."""

    def ends(self, event: E) -> bool:
        """Take note of an event; return whether it is one that comes last."""

    def explained(self) -> bool:
        """Return whether the events seen account for the state last asked for."""


async def follow(thing: Followed[E], tempo: Tempo) -> AsyncGenerator[E, None]:
    """Yield the events of a thing, each once, in the order in which they become visible."""
    seen: set[int | bytes] = set()
    last, said_end, over = 0, False, False
    quiet_since, rest_s = time.monotonic(), tempo.poll_s
    while True:
        # Of what is over everything is read again, unless it is large and nothing is missing: others' events take
        # numbers as well, so what shows late can be far below the overlap.
        whole = over and (len(seen) <= SMALL or not thing.explained())
        start = None if whole else max(0, last - OVERLAP) or None
        found = await _patiently(lambda start=start: thing.events(start), tempo)  # type: ignore[misc]
        fresh = [event for event in sorted(found, key=_number) if _mark(event) not in seen]
        for event in fresh:
            seen.add(_mark(event))
            last = max(last, event.id or 0)
            said_end = thing.ends(event) or said_end
            yield event
        now = time.monotonic()
        if fresh:
            quiet_since, rest_s = now, tempo.poll_s
        if over:
            complete = said_end and thing.explained() and not fresh
            if complete or now - quiet_since >= tempo.grace_s:
                return
        elif not fresh or said_end:
            over = await _patiently(thing.over, tempo)
            if over:
                quiet_since = time.monotonic()
                continue  # what was written before the end is read after it was seen
        rest_s = min(rest_s * 1.25, 3 * tempo.poll_s) if not over else min(tempo.poll_s, tempo.grace_s / 3)
        await asyncio.sleep(rest_s)


async def _patiently(ask: Callable[[], Awaitable[T]], tempo: Tempo) -> T:
    """Ask until there is an answer: a server that restarts does not end what is being followed."""
    since, misses, pause_s = time.monotonic(), 0, tempo.poll_s
    while True:
        try:
            return await ask()
        except (Unavailable, Malformed) as error:
            if time.monotonic() - since >= tempo.patience_s:
                raise
            pause_s = error.retry_after_s or min(30.0, pause_s * 2)
        except UnknownJob:
            misses += 1  # one that was just made may not be visible yet
            if misses >= MISSES_MAX:
                raise
        await asyncio.sleep(pause_s)


def _number(event: Event) -> int:
    return event.id or 0


def _mark(event: Event) -> int | bytes:
    """Return what tells an event from others; by its content where it has no id."""
    return event.id if event.id is not None else encoded(event.raw)
