"""RFC 3339 times as milliseconds; servers write some that are none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# datetime.fromisoformat takes far more than RFC 3339: week dates, no offset, no separators.
_SHAPE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(text: str) -> int | None:
    """Return Unix milliseconds, or None where the text is no RFC 3339 time.

    A fraction beyond the millisecond is cut, as Kafka does.
    """
    if not _SHAPE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment - _EPOCH) // _MILLISECOND
