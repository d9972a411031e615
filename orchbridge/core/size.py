"""The size ladder: what is too long is cut with a digest of the whole, never dropped in silence.

Whatever is cut here is redacted already, so no digest helps to guess a secret.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from orchbridge.core.masks import MASK, MASK_LENGTH_MAX

EVENT_MAX = 56_000  # of a record's data: with its envelope it stays below the 64 KB that every intermediary passes
RAW_MAX = 24_000  # of a result
LEAST = 200  # what the last step of the ladder needs
TEXT_ROOM = 12_000  # of one text among others, in bytes as JSON
MESSAGE_ROOM = 36_000  # of a plan's message, which stands alone
NOTE_ROOM = 3_000  # of a description, and of an error's message, which its detail has as well
FIELD_ROOM = 1_000  # of a name, state or stamp: none comes near
NOTE_MAX = 140
ITEMS_MAX = 50


def text_size(text: str) -> int:
    """Return how many bytes the text has as JSON."""
    try:
        return len(msgspec.json.encode(text))
    except UnicodeEncodeError:  # half a surrogate pair; six bytes a character is the most there can be
        return 6 * len(text) + 2


def cut_text(text: str, room: int = TEXT_ROOM) -> str:
    """Return the text, or its head and tail around a note of what was cut and its SHA-256; at most `room` bytes."""
    if len(text) * 6 + 2 <= room:
        return text
    size = text_size(text)
    if size <= room:
        return text
    shown = int((room - NOTE_MAX) * len(text) / size)  # as dense as the whole; if not, as dense as can be
    cut = _around(text, shown)
    return cut if text_size(cut) <= room else _around(text, (room - NOTE_MAX) // 6)


def cut_field(text: str | None) -> str | None:
    """Return a name, state or stamp, cut where it cannot be what it should be."""
    return text if not text or len(text) * 6 + 2 <= FIELD_ROOM else cut_text(text, FIELD_ROOM)


def _around(text: str, shown: int) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    head = _outside_mask(text, shown * 2 // 3, ahead=False)
    tail = len(text) - _outside_mask(text, len(text) - shown // 3, ahead=True)
    note = f"[{len(text) - head - tail} characters cut, sha256 of all {len(text)}: {digest}]"
    return f"{text[:head]}\n{note}\n{text[len(text) - tail :]}"


def _outside_mask(text: str, at: int, *, ahead: bool) -> int:
    """Return the place, moved out of a mask: half of one would look like data."""
    start = max(0, at - MASK_LENGTH_MAX)
    for found in MASK.finditer(text, start, at + MASK_LENGTH_MAX):
        if found.start() < at < found.end():
            return found.end() if ahead else found.start()
    return at


def cut_json(raw: bytes, limit: int) -> bytes:
    """Return JSON of at most `limit` bytes (at least LEAST); the very bytes given where they fit.

    First long texts are cut, then long lists and objects to their first members; if that is not
    enough the value is replaced by its size and digest.
    """
    if len(raw) <= limit:
        return raw
    try:
        value = _shorter_texts(msgspec.json.decode(raw), max(limit // 4, NOTE_MAX * 2))
    except msgspec.DecodeError:  # a number that no float can hold, such as 1e999
        value = None
    shorter = raw if value is None else msgspec.json.encode(value)
    if len(shorter) > limit and value is not None:
        shorter = msgspec.json.encode(_fewer_members(value))
    if len(shorter) > limit:
        shorter = msgspec.json.encode({"cut": True, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})
    return shorter


def _shorter_texts(value: Any, room: int) -> Any:
    if isinstance(value, str):
        return cut_text(value, room)
    if isinstance(value, list):
        return [_shorter_texts(item, room) for item in value]
    if isinstance(value, dict):
        return {key: _shorter_texts(item, room) for key, item in value.items()}
    return value


def _fewer_members(value: Any) -> Any:
    if isinstance(value, list):
        shown = [_fewer_members(item) for item in value[:ITEMS_MAX]]
        return shown if len(value) <= ITEMS_MAX else [*shown, f"[{len(value) - ITEMS_MAX} items cut]"]
    if isinstance(value, dict):
        some = {key: _fewer_members(item) for key, item in list(value.items())[:ITEMS_MAX]}
        return some if len(value) <= ITEMS_MAX else {**some, "[cut]": f"[{len(value) - ITEMS_MAX} members cut]"}
    return value
