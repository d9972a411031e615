"""Scheduled runs that did not happen lately, from the records that were committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from orchbridge.core.records import Record
from orchbridge.ops.account import Where
from orchbridge.ops.bounds import clean

RECENT_S = 3_600.0
RUNS_MAX = 200  # of each stream
TEXT_MAX = 200  # characters
TYPE = "schedule.run.missed.v1"


@dataclass(frozen=True, slots=True)
class MissedRun:
    """A run of a schedule that was planned and did not happen.

    `type` and `name` are what it would have run; `planned` is PE's text; `reason` and `error` (PE's kind of
    error, where it told one) say why; `at` (Unix seconds) is when the record was committed.
    """

    schedule: int
    type: str
    name: str
    planned: str
    reason: str
    at: float
    error: str = ""


def missed_runs(records: Iterable[Record], now: float) -> list[MissedRun]:
    """Return those that these live records tell of."""
    return [_run(record.data, now) for record in records if record.type == TYPE and not record.replay and record.data]


class Missed:
    """Keeps the newest of every stream for an hour."""

    def __init__(self) -> None:
        self._books: dict[Where, deque[MissedRun]] = {}

    def committed(self, where: Where, records: Iterable[Record], now: float) -> None:
        """Learn from a batch's records; `now` (Unix seconds) is when it was committed."""
        for run in missed_runs(records, now):
            self._books.setdefault(where, deque(maxlen=RUNS_MAX)).appendleft(run)

    def recent(self, where: Where, now: float) -> tuple[MissedRun, ...]:
        """Return those of the last hour, newest first."""
        return tuple(run for run in self._books.get(where, ()) if now - run.at < RECENT_S)

    def forget(self, where: Where) -> None:
        """Another worker tells of this stream now."""
        self._books.pop(where, None)


def _run(data: Mapping[str, Any], now: float) -> MissedRun:
    schedule = data.get("schedule")
    told: Mapping[str, Any] = schedule if isinstance(schedule, Mapping) else {}
    number = told.get("id")

    def text(value: object) -> str:
        return clean(value, TEXT_MAX) if isinstance(value, str) else ""

    return MissedRun(
        schedule=number if isinstance(number, int) else 0,
        type=text(told.get("type")),
        name=text(told.get("name")),
        planned=text(data.get("planned_at")),
        reason=text(data.get("reason")),
        at=now,
        error=text(_kind(data.get("error"))),
    )


def _kind(error: object) -> object:
    """Return PE's kind of error, from JSON that was redacted and perhaps cut."""
    if not isinstance(error, msgspec.Raw):
        return None
    try:
        told = msgspec.json.decode(error)
    except msgspec.MsgspecError:
        return None
    return told.get("kind") if isinstance(told, dict) else None
