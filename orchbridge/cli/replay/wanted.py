"""What a replay is asked for: ranges of ids, times, and the arguments that say the same again."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from orchbridge.config import values
from orchbridge.core import times
from orchbridge.core.errors import ConfigError

_RANGE = re.compile(r"(\d{1,18})(?:(\.\.)(\d{1,18})?)?", re.ASCII)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$", re.ASCII | re.IGNORECASE)
_OPEN = 1 << 62  # above every id, where a range has no end


class Span(NamedTuple):
    """Ids from `first` to `last`, both inside; None is without an end."""

    first: int
    last: int | None

    def __str__(self) -> str:
        if self.last is None:
            return f"{self.first}.."
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


class Holes(Collection[int]):
    """The ids between spans, which are ascending and apart; nothing is counted out, however wide they are."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._ranges = tuple(range((left.last or _OPEN) + 1, right.first) for left, right in pairwise(spans))

    def __contains__(self, id_: object) -> bool:
        return any(id_ in hole for hole in self._ranges)

    def __iter__(self) -> Iterator[int]:
        return (id_ for hole in self._ranges for id_ in hole)

    def __len__(self) -> int:
        return sum(map(len, self._ranges))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Jobs and plans by id (ascending spans that do not touch), or both by creation time (Unix seconds, inclusive).

    `since` None means by id.
    """

    jobs: tuple[Span, ...] = ()
    plans: tuple[Span, ...] = ()
    since: float | None = None
    until: float | None = None

    def spans(self, kind: str) -> tuple[Span, ...]:
        """Return the ids wanted of "jobs" or "plans"; by time any id may do."""
        return (Span(1, None),) if self.since is not None else self.jobs if kind == "jobs" else self.plans

    def words(self, kind: str) -> str:
        """Return what is wanted of a kind: `jobs 350..400, 412` or `jobs created since 2026-05-01T00:00:00.000Z`."""
        if self.since is None:
            return f"{kind} {', '.join(map(str, self.spans(kind)))}"
        until = "" if self.until is None else f" until {times.text(self.until)}"
        return f"{kind} created since {times.text(self.since)}{until}"

    def arguments(self) -> list[str]:
        """Return the options that want just this, whenever they are given; times are absolute in them."""
        if self.since is not None:
            until = [] if self.until is None else ["--until", times.text(self.until)]
            return ["--since", times.text(self.since), *until]
        jobs = [argument for span in self.jobs for argument in ("--jobs", str(span))]
        return jobs + [argument for span in self.plans for argument in ("--plan-jobs", str(span))]


def wanted(
    jobs: Iterable[str], plans: Iterable[str], since: str | None, until: str | None, now: float | None = None
) -> Wanted:
    """Return what these options ask for; raise ConfigError naming the one that cannot be meant."""
    by_id = Wanted(spans("--jobs", jobs), spans("--plan-jobs", plans))
    if since is None:
        if until is not None:
            raise ConfigError("--until needs --since beside it", hint="say from when on: --since 2d --until 1d")
        if not by_id.jobs and not by_id.plans:
            raise ConfigError(
                "nothing is asked for",
                hint="name jobs (--jobs 350..400), plans (--plan-jobs 10..20) or a time (--since 2h)",
            )
        return by_id
    if by_id.jobs or by_id.plans:
        raise ConfigError("--since stands beside ids", hint="ask for ids or for a time, one after the other")
    now = time.time() if now is None else now
    first = moment("--since", since, now)
    last = None if until is None else moment("--until", until, now)
    if first > now:
        raise ConfigError(f"--since {since} is still to come", hint="name a time that has passed")
    if last is not None and last < first:
        raise ConfigError(f"--until {until} is before --since {since}", hint="exchange them")
    return Wanted(since=first, until=last)


def spans(option: str, texts: Iterable[str]) -> tuple[Span, ...]:
    """Return ranges in order, those that overlap or touch as one."""
    merged: list[Span] = []
    for span in sorted((_span(option, text) for text in texts), key=lambda span: span.first):
        before = merged[-1] if merged else None
        if before is None or (before.last is not None and before.last + 1 < span.first):
            merged.append(span)
            continue
        ends = (before.last, span.last)
        merged[-1] = Span(before.first, None if None in ends else max(end for end in ends if end is not None))
    return tuple(merged)


def _span(option: str, text: str) -> Span:
    found = _RANGE.fullmatch(text.strip())
    hint = "write 412 for one, 350..400 for a range, 350.. for all from there on"
    if found is None:
        raise ConfigError(f"{option} {text!r} is no range", hint=hint)
    first = int(found[1])
    last = first if found[2] is None else None if found[3] is None else int(found[3])
    if first == 0:
        raise ConfigError(f"{option} {text}: ids begin with 1", hint=hint)
    if last is not None and last < first:
        raise ConfigError(f"{option} {text} goes backwards", hint=f"write {last}..{first}")
    return Span(first, last)


def moment(option: str, text: str, now: float) -> float:
    """Return Unix seconds of an RFC 3339 time, or of `2h` or `3d` before `now` (then whole ones)."""
    try:
        return float(int(now - values.duration(text.strip()).total_seconds()))
    except ValueError:
        pass
    seconds = times.seconds(text.strip()) if _ZONE.search(text.strip()) else None
    if seconds is None:
        raise ConfigError(
            f"{option} {text!r} is no time",
            hint='write so long ago ("45m", "2h", "3d") or a time with its offset ("2026-05-01T08:00:00Z")',
        )
    return seconds


def patience_of(text: str) -> float:
    """Return seconds of `2m` and its like."""
    try:
        return values.duration(text).total_seconds()
    except ValueError:
        raise ConfigError(f"--patience {text!r} is no time", hint="write it as 30s, 2m or 1h") from None


def share_of(share: float) -> float:
    """Return the share of a request budget."""
    if not 0 < share <= 1:
        raise ConfigError(f"--share {share:g} is no share", hint="write a number above 0, up to 1: 0.25 is a quarter")
    return share
