"""An item as a decoded object, or the reason why it cannot be one."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import Odd
from orchbridge.orchestrator.fields import own_id
from orchbridge.orchestrator.split import depth

DEPTH_MAX = 100  # whoever walks the object later does so by recursion
_LONG = 4_000
_JSON = msgspec.json.Encoder(decimal_format="number")


def understood(raw: bytes) -> dict[str, Any] | Odd:
    """Return the object, or an Odd that keeps the bytes and says what is wrong with them."""
    try:
        told = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return Odd(raw, "not UTF-8")
    except (ValueError, RecursionError) as error:
        return Odd(raw, f"not JSON that can be read: {error}")
    if not isinstance(told, dict):
        return Odd(raw, f"not an object but {_kind(told)}")
    if _many_brackets(raw) and depth(raw) > DEPTH_MAX:
        return Odd(raw, f"nested deeper than {DEPTH_MAX} levels", own_id(told))
    return told


def suspicious(raw: bytes) -> bool:
    """Whether JSON whose syntax is known to be right may still not be fit for use.

    A cheap look, for readers that do not decode everything: only a long item can hold a number
    with more digits than can be read, or brackets enough to be nested too deep.
    """
    return len(raw) > _LONG or _many_brackets(raw)


def _many_brackets(raw: bytes) -> bool:
    # Taking single bytes out is several times faster than counting them.
    return len(raw) > 2 * DEPTH_MAX and len(raw) - len(raw.replace(b"{", b"").replace(b"[", b"")) > DEPTH_MAX


def encoded(value: Any) -> bytes:
    """Return compact JSON of a decoded value."""
    return _JSON.encode(value)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "a list"
        case str():
            return "a string"
        case bool():
            return "a boolean"
        case _:
            return "a number"
