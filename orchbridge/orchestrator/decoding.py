"""Whole answers decoded for people: as tolerant as can be, since one odd value must not hide all the others."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

# Halves of escaped surrogate pairs, which no output could take; what is whole, or a backslash, stays.
_SURROGATES = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..")


def decoded(body: bytes) -> dict[str, Any] | None:
    """Return the object in a body, None where there is none.

    Bytes that are no UTF-8, control characters, NaN and broken surrogates are read as well as they can be.
    """
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        told = _leniently(body.decode("utf-8-sig", "replace"))
    return told if isinstance(told, dict) else None


def _leniently(text: str) -> Any:
    try:
        return json.loads(_SURROGATES.sub(_mended, text), strict=False)
    except (ValueError, RecursionError):
        return None


def _mended(found: re.Match[str]) -> str:
    return "\\ufffd" if len(found[0]) == 6 else found[0]
