"""The newest changes of reachability: which nodes came and went, from the live records that were committed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchbridge.core.records import REACHABILITY, Record
from orchbridge.ops.account import Where

CHANGES_MAX = 50  # of each stream
NAME_MAX = 300  # characters; certnames have up to 255
HOUR_MINUTES = 60
_WHAT = {f"node.{what}.v1": what for what in ("connected", "disconnected", "removed")}


@dataclass(frozen=True, slots=True)
class Change:
    """One node's change: `what` is connected, disconnected or removed; `time` as the record says (RFC 3339).

    `broker` is the one it is connected to, or was; `at` (Unix seconds) is when the change was committed.
    """

    certname: str
    what: str
    time: str
    at: float
    broker: str | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """The newest changes of a stream, newest first, and how many there were of each kind in the last hour."""

    newest: tuple[Change, ...] = ()
    last_hour: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Book:
    newest: deque[Change] = field(default_factory=lambda: deque(maxlen=CHANGES_MAX))
    minutes: deque[tuple[int, Counter[str]]] = field(default_factory=lambda: deque(maxlen=HOUR_MINUTES))


class Changes:
    """Keeps them for every stream, however many nodes move at once."""

    def __init__(self) -> None:
        self._books: dict[Where, _Book] = {}

    def committed(self, where: Where, records: Iterable[Record], now: float) -> None:
        """Learn from a batch's records; `now` (Unix seconds) is when it was committed."""
        for record in records:
            what = _WHAT.get(record.type)
            if what is None or record.channel != REACHABILITY or record.replay:
                continue
            book = self._books.setdefault(where, _Book())
            book.newest.appendleft(Change(record.key[:NAME_MAX], what, record.time, now, _broker(record.data or {})))
            minute = int(now // 60)
            if not book.minutes or book.minutes[-1][0] != minute:
                book.minutes.append((minute, Counter()))
            book.minutes[-1][1][what] += 1

    def told(self, where: Where, now: float) -> Moves:
        """Return what is known of a stream."""
        book = self._books.get(where)
        if book is None:
            return Moves()
        counts = Counter[str]()
        for minute, of_minute in book.minutes:
            if minute > now // 60 - HOUR_MINUTES:
                counts += of_minute
        return Moves(tuple(book.newest), dict(counts))

    def forget(self, where: Where) -> None:
        """Another worker tells of this stream now."""
        self._books.pop(where, None)


def _broker(data: Mapping[str, Any]) -> str | None:
    """Return the broker of the session that began or ended."""
    broker = data.get("broker") or (data.get("previous") or {}).get("broker")
    return broker[:NAME_MAX] if isinstance(broker, str) else None
