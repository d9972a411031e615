"""The events of one job or plan, kept as the bytes in which they are served."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec


@dataclass(frozen=True, slots=True)
class Event:
    """One event and when it shows: from `seen_at` (world seconds), or earlier once the id `seen_from` was given out."""

    id: int
    encoded: bytes
    seen_at: float
    seen_from: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of a log: the events joined with commas, and their lowest and highest id (None where empty)."""

    items: bytes
    first: int | None = None
    last: int | None = None


class EventLog:
    """Events by ascending id. Old ones are packed into one block of bytes, so that large logs are small and quick."""

    __slots__ = ("_body", "_ends", "_ids", "_recent")

    def __init__(self) -> None:
        self._ids = array("q")
        self._ends = array("q")
        self._body = b""
        self._recent: list[Event] = []

    @classmethod
    def packed(cls, first: int, encoded: Sequence[bytes]) -> EventLog:
        """Return a log of these events, with ids from `first` on without gaps, all of them visible."""
        log = cls()
        log._ids = array("q", range(first, first + len(encoded)))
        log._ends = array("q", accumulate((len(one) for one in encoded), lambda end, size: end + 1 + size))
        log._body = b",".join(encoded)
        return log

    @property
    def last(self) -> int | None:
        """The highest id ever appended, shown or not."""
        if self._recent:
            return self._recent[-1].id
        return self._ids[-1] if self._ids else None

    def append(self, event: Event) -> None:
        """Add an event; its id is above all before it."""
        self._recent.append(event)

    def pack(self, shown: Callable[[Event], bool]) -> None:
        """Turn everything into one block, if all of it is shown by now."""
        if not self._recent or not all(map(shown, self._recent)):
            return
        parts = [self._body] if self._body else []
        end = len(self._body)
        for event in self._recent:
            end += len(event.encoded) + (1 if parts else 0)
            parts.append(event.encoded)
            self._ids.append(event.id)
            self._ends.append(end)
        self._body = b",".join(parts)
        self._recent = []

    def since(self, start: int, shown: Callable[[Event], bool]) -> Slice:
        """Return the shown events whose id is `start` or higher."""
        first = bisect_left(self._ids, start)
        parts: list[bytes] = []
        ids: list[int] = []
        if first < len(self._ids):
            parts.append(self._body[self._ends[first - 1] + 1 :] if first else self._body)
            ids += [self._ids[first], self._ids[-1]]
        for event in self._recent:
            if event.id >= start and shown(event):
                parts.append(event.encoded)
                ids.append(event.id)
        return Slice(b",".join(parts), ids[0], ids[-1]) if ids else Slice(b"")

    def find(self, wanted: int, shown: Callable[[Event], bool]) -> bytes | None:
        """Return one event's bytes, or None where it is not there or not shown."""
        place = bisect_left(self._ids, wanted)
        if place < len(self._ids) and self._ids[place] == wanted:
            return self._body[self._ends[place - 1] + 1 if place else 0 : self._ends[place]]
        return next((event.encoded for event in self._recent if event.id == wanted and shown(event)), None)


class JobEventWire(msgspec.Struct, frozen=True):
    """A job's event as the API writes it (reference 6.5)."""

    id: str
    type: str
    timestamp: str
    details: dict[str, object]
    message: str


class PlanEventWire(msgspec.Struct, frozen=True):
    """A plan's event as the API writes it (reference 7): no message."""

    id: str
    type: str
    timestamp: str
    details: dict[str, object]
