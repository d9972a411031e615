"""The size ladder: what is too long is cut with a digest of the whole, never dropped in silence."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

EVENT_MAX = 60_000  # of a record's data: with its headers it stays below the 64 KB that every intermediary passes
RAW_MAX = 24_000  # of a result
LEAST = 200  # what the last step of the ladder needs
TEXT_MAX = 4_000
HEAD, TAIL = 2_400, 1_200
ITEMS_MAX = 50


def cut_text(text: str) -> str:
    """Return the text, or its head and tail around a note of what was cut and its SHA-256."""
    if len(text) <= TEXT_MAX:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    note = f"[{len(text) - HEAD - TAIL} characters cut, sha256 of all {len(text)}: {digest}]"
    return f"{text[:HEAD]}\n{note}\n{text[-TAIL:]}"


def cut_json(raw: bytes, limit: int) -> bytes:
    """Return JSON of at most `limit` bytes (at least LEAST); the very bytes given where they fit.

    First long texts are cut, then long lists and objects to their first members; if that is not
    enough the value is replaced by its size and digest.
    """
    if len(raw) <= limit:
        return raw
    value = _shorter_texts(msgspec.json.decode(raw))
    shorter = msgspec.json.encode(value)
    if len(shorter) > limit:
        shorter = msgspec.json.encode(_fewer_members(value))
    if len(shorter) > limit:
        shorter = msgspec.json.encode({"cut": True, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})
    return shorter


def _shorter_texts(value: Any) -> Any:
    if isinstance(value, str):
        return cut_text(value)
    if isinstance(value, list):
        return [_shorter_texts(item) for item in value]
    if isinstance(value, dict):
        return {key: _shorter_texts(item) for key, item in value.items()}
    return value


def _fewer_members(value: Any) -> Any:
    if isinstance(value, list):
        shown = [_fewer_members(item) for item in value[:ITEMS_MAX]]
        return shown if len(value) <= ITEMS_MAX else [*shown, f"[{len(value) - ITEMS_MAX} items cut]"]
    if isinstance(value, dict):
        some = {key: _fewer_members(item) for key, item in list(value.items())[:ITEMS_MAX]}
        return some if len(value) <= ITEMS_MAX else {**some, "[cut]": f"[{len(value) - ITEMS_MAX} members cut]"}
    return value
