"""When work is to start, as options say it: at a time, or in a while, once or again and again."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchbridge.cli.pe.telling import interval, when
from orchbridge.core import times
from orchbridge.core.errors import ConfigError

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_ZONE = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class Timing:
    """When to start, and after how many seconds again; None is once."""

    at: datetime
    every_s: int | None

    def words(self) -> str:
        """Return `at 2026-05-01 08:00:00 UTC, then every 12 h`."""
        again = "" if self.every_s is None else f", then every {interval(self.every_s)}"
        return f"at {when(self.at)} UTC{again}"


def timing_of(at: str | None, every: str | None) -> Timing | None:
    """Return what --at and --every mean, None where neither is given; raise ConfigError where they mean nothing."""
    if at is None:
        if every is not None:
            raise ConfigError("--every needs a first time", hint="give --at as well")
        return None
    every_s = None if every is None else _span(every)
    if every is not None and not every_s:
        raise ConfigError(f"--every {every!r} is no time", hint="write it as 30m, 12h or 7d")
    ahead_s = _span(at.removeprefix("+")) if at.startswith("+") else None
    moment = times.parse(at) if _ZONE.search(at) else None
    if ahead_s is not None:
        moment = datetime.fromtimestamp(time.time(), UTC).replace(microsecond=0) + timedelta(seconds=ahead_s)
    if moment is None:
        raise ConfigError(
            f"--at {at!r} is no time", hint="write it with its zone, 2026-05-01T08:00:00Z, or as a time from now, +2h"
        )
    return Timing(moment, every_s)


def _span(text: str) -> int | None:
    found = _SPAN.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None
