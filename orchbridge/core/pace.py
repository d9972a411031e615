"""How long to rest after something went wrong."""

from __future__ import annotations

import zlib

FIRST_S = 1.0
LONGEST_S = 60.0


def backoff(name: str, failures: int, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Return seconds to wait after so many failures in a row: doubling, then steady, with jitter.

    The jitter (up to a quarter less) comes from the name and the count, not from chance: workers that
    fail together still spread out, and the same history always gives the same pauses.
    """
    steps = min(max(failures, 1) - 1, 16)
    whole = min(longest_s, first_s * (1 << steps))
    spread = zlib.crc32(f"{name}#{failures}".encode()) % 1000 / 1000
    return whole * (1 - spread / 4)
