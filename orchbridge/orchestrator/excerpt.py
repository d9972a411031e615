"""What of a stranger's text may be shown to a person: little, printable, and no data."""

from __future__ import annotations

import re

from orchbridge.core.redact import Rules, redact_text

_SPACE = re.compile(r"\s+")
SHOWN = 80


def one_line(text: str, limit: int = 200) -> str:
    """Return the text on one line, printable, cut to `limit` characters."""
    plain = _SPACE.sub(" ", text[: 4 * limit]).strip()
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in plain)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def excerpt(body: bytes) -> str:
    """Return what a body looks like.

    HTML and plain text show their beginning. JSON shows its size only: its values are
    somebody's data, and not redacted yet.
    """
    start = body[: 8 * SHOWN].lstrip()
    if not start:
        return "it is empty"
    markup = start[:1] == b"<"  # which has quotes as well
    if start[:1].isdigit() or (not markup and any(mark in start for mark in (b"{", b"[", b'"'))):
        return f"it is JSON or a part of it, {len(body)} bytes"
    return f"it begins with: {one_line(redact_text(start.decode('utf-8', 'replace'), Rules())[0], SHOWN)}"
