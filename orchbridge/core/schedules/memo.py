"""One schedule as it is remembered, and what its next and last run say about the one in between."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import LastRun, Schedule

TOLD_MAX = 5
NO_RUN, NOT_SUBMITTED = "no_run", "submission_error"

replace = msgspec.structs.replace


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a schedule's document says.

    revision  how often its definition was told
    parts     digests of what a person decides of it, after redaction, by name
    veiled    parameter values were hidden, as their task's metadata could not be read: they tell no change
    about     the `schedule` object of its records, for when it is gone
    enabled   it runs, as far as we know
    gone      since when it is not listed any more, Unix seconds
    planned   the run that is waited for
    last      what the last run looked like when that one was planned
    missed    planned times whose runs were told as missed, the newest few
    """

    v: int = 1
    revision: int = 1
    parts: dict[str, str] = {}
    veiled: bool = False
    about: dict[str, Any] = {}
    enabled: bool = True
    gone: float | None = None
    planned: str | None = None
    last: str = ""
    missed: tuple[str, ...] = ()


class Missed(msgspec.Struct, frozen=True):
    """A run that did not happen: when it was planned, why, and PE's error where there is one."""

    planned: str
    reason: str
    error: bytes | None = None


def signature(last: LastRun | None) -> str:
    """Return what tells one last run from another, "" where there was none."""
    if last is None:
        return ""
    return f"{last.stamp}|{last.kind}|{last.id}|{'' if last.error is None else 'error'}"


class Wait(msgspec.Struct, frozen=True):
    """For how many seconds a run that is due was looked for, up to the look of this moment (Unix seconds)."""

    planned: str
    seconds: float
    at: float

    @classmethod
    def longer(cls, before: Wait | None, planned: str, now: float, most_s: float) -> Wait:
        """Return the wait after another look. It begins with the first one, and grows by `most_s` at most: what is
        away runs nothing, and catches up only when it is back."""
        if before is None or before.planned != planned:
            return cls(planned, 0.0, now)
        return cls(planned, before.seconds + min(max(0.0, now - before.at), most_s), now)


def overdue(memo: Memo, now: float) -> str | None:
    """Return the planned run that should have begun, None where there is none; `now` by the server's clock."""
    due = times.seconds(memo.planned)
    return memo.planned if due is not None and due <= now else None


def awaited(  # one answer each
    memo: Memo, item: Schedule, now: float, *, over: bool, unseen: bool, changed: bool
) -> tuple[Memo, Missed | None]:
    """Return the memo after a look at the schedule's runs, and the run that did not happen, if one did not.

    A run that is due has a while to show as the last run, whatever is planned next meanwhile; `over` says that this
    is over, `unseen` that it was looked for until the one after it was due. Where the server tells of no runs, none
    can be missed. `now` is by the server's clock.
    """
    seen = signature(item.last)
    if not item.runs_told:
        return replace(memo, planned=item.planned), None
    if not item.enabled:
        return replace(memo, planned=None, last=seen), None
    ran = bool(seen) and seen != memo.last
    due = times.seconds(memo.planned)
    onward = replace(memo, planned=item.planned, last=seen)
    if ran and unseen and memo.planned is not None and _left_out(due, item):
        return _told(replace(memo, planned=item.last and item.last.stamp), Missed(memo.planned, NO_RUN))
    if ran and item.last is not None and item.last.error is not None:
        planned = (item.last.stamp if times.seconds(item.last.stamp) is not None else memo.planned) or "unknown"
        if memo.planned in memo.missed:
            return onward, None  # told already, when it had not come in time
        return _told(onward, Missed(planned, NOT_SUBMITTED, item.last.error))
    if ran or due is None or memo.planned is None or (changed and due <= now):
        return onward, None
    if due > now:
        return replace(onward, last=memo.last or seen), None
    if not over:
        return memo, None
    return _told(onward, Missed(memo.planned, NO_RUN))


def _left_out(due: float | None, item: Schedule) -> bool:
    """Whether the last run is a later one than that which was due."""
    ran = None if item.last is None else times.seconds(item.last.stamp)
    return ran is not None and due is not None and item.interval_s is not None and ran >= due + item.interval_s


def _told(memo: Memo, missed: Missed) -> tuple[Memo, Missed | None]:
    if missed.planned in memo.missed:
        return memo, None
    return replace(memo, missed=(*memo.missed, missed.planned)[-TOLD_MAX:]), missed


def first(item: Schedule, now: float, grace_s: float, *, past: bool) -> tuple[Memo, Missed | None]:
    """Return the memo of a schedule seen for the first time; with `past` what did not happen before is told too.
    `now` is by the server's clock."""
    memo = Memo(planned=item.planned, last=signature(item.last), enabled=item.enabled)
    due = times.seconds(item.planned)
    if not item.enabled:
        return replace(memo, planned=None), None
    if past and item.last is not None and item.last.error is not None:
        return _told(memo, Missed(item.last.stamp or "unknown", NOT_SUBMITTED, item.last.error))
    if not past and due is not None and item.planned is not None and due + grace_s < now:
        memo = replace(memo, missed=(item.planned,))
    return memo, None
