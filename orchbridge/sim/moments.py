"""Times as the orchestrator writes them, and chances that depend on nothing but their name."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=8192)
def second_text(moment: int) -> str:
    """Return Unix seconds as `2024-03-09T10:15:42Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def millisecond_text(moment: float) -> str:
    """Return Unix seconds as `2024-03-09T10:15:42.317Z`."""
    whole = int(moment // 1)
    return f"{second_text(whole)[:-1]}.{int((moment - whole) * 1000):03d}Z"


@lru_cache(maxsize=16)
def http_date(moment: int) -> str:
    """Return Unix seconds as an HTTP Date header."""
    return format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


def chance(*name: object) -> float:
    """Return a number in [0, 1) that is always the same for the same name."""
    digest = blake2b("/".join(map(str, name)).encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 0x1_0000_0000_0000
