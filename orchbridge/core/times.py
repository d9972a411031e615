"""Timestamps as PE writes them and as we write them; reading never fails, it only finds nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

# Narrower than fromisoformat, whose taste differs between Python versions (week dates, 24:00, bare dates).
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,](\d{1,12}))?\s?([Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


def parse(text: str | None) -> datetime | None:
    """Return the moment in UTC, None where the text is absent or malformed.

    A stamp without a zone is taken as UTC, which is what PE means everywhere. Digits beyond
    microseconds are cut.
    """
    match = _STAMP.fullmatch(text) if text else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February; the first and last hours of the calendar
        return None


@lru_cache(maxsize=2048)  # events come in crowds that share their second, and jobs are asked again and again
def seconds(text: str | None) -> float | None:
    """Return Unix seconds, None where the text is absent or malformed."""
    moment = parse(text)
    return None if moment is None else moment.timestamp()


def text(unix_seconds: float) -> str:
    """Return RFC 3339 in UTC with milliseconds: `2024-03-09T10:15:42.317Z`."""
    millis = round(unix_seconds * 1000)
    moment = datetime.fromtimestamp(millis // 1000, UTC).replace(microsecond=millis % 1000 * 1000)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"
