"""Numbers and moments as a person reads them."""

from __future__ import annotations

from orchbridge.core import times
from orchbridge.ops.page.html import Html, el


def span(seconds: float) -> str:
    """Return a length of time in its two largest units at most."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s" if whole < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def about(seconds: float) -> str:
    """Return a length of time as roughly as it is known."""
    minutes = seconds / 60
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.0f} h"


def took(seconds: float) -> str:
    """Return how long an answer took."""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def ago(moment: float | None, now: float) -> Html:
    """Return how long ago a moment (Unix seconds) was, with the moment itself for those who point at it."""
    if moment is None:
        return el("span", "–")
    stamp = times.text(moment)
    return el("time", f"{span(now - moment)} ago", datetime=stamp, title=stamp)


def since(stamp: str | None, now: float) -> Html:
    """Return how long it has been since PE's time text; the text itself where it is none."""
    moment = times.seconds(stamp)
    if moment is None:
        return el("bdi", stamp or "–")
    return el("time", span(now - moment), datetime=stamp, title=stamp)


def many(count: int, noun: str) -> str:
    """Return "1 node", "1,234 nodes"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")
