"""An item as a decoded object, or the reason why it cannot be one."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import Odd

_JSON = msgspec.json.Encoder(decimal_format="number")


def understood(raw: bytes) -> dict[str, Any] | Odd:
    """Return the object, or an Odd that keeps the bytes and says what is wrong with them."""
    try:
        told = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        return Odd(raw, "not UTF-8")
    except (ValueError, RecursionError) as error:
        return Odd(raw, f"not JSON that can be read: {error}")
    return told if isinstance(told, dict) else Odd(raw, f"not an object but {_kind(told)}")


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
