"""How quickly a source answers, held against how often it is asked and how long we wait. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from orchbridge.core.ports import Finding
from orchbridge.orchestrator.doctor.findings import ok, warning

LARGE_BYTES = 4_000_000


def latency(seconds: Sequence[float], poll_s: float) -> Finding:
    """Return the median of some cheap requests, judged against the interval between two looks."""
    middle = median(seconds)
    said = f"{_ms(middle)} for a cheap request, the median of {len(seconds)}"
    if middle > poll_s:
        hint = f"raise poll_interval_s above {middle:.1f}, and look at the load of the primary"
        return warning("latency", f"{said}: longer than poll_interval_s = {poll_s:g}", hint)
    return ok("latency", said)


def listing(items: int, size: int, seconds: float, poll_s: float, timeout_s: float) -> Finding:
    """Return how the request that is sent at every tick does."""
    said = f"the newest {items} jobs came in {_ms(seconds)}, {_size(size)}"
    if seconds > timeout_s / 2:
        hint = f"raise timeout_s to {max(60, round(seconds * 4))}: a busier hour would break it off"
        return warning("job list", f"{said}; timeout_s = {timeout_s:g} is near", hint)
    if seconds > poll_s:
        hint = f"raise poll_interval_s above {seconds:.1f}: news come that late at best"
        return warning("job list", f"{said}: longer than poll_interval_s = {poll_s:g}", hint)
    if size > LARGE_BYTES:
        hint = "jobs with long parameters or lists of nodes are behind it; a longer poll_interval_s spares the primary"
        return warning("job list", f"{said} at every tick", hint)
    return ok("job list", said)


def _ms(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds * 1000:.0f} ms"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
