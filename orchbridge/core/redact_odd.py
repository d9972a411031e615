"""The same for bytes that need not be right JSON, nor text: what could not be understood goes into quarantine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec

from orchbridge.core.masks import Rules, findable, flat, hinted
from orchbridge.core.redact_pass import Pass, letters, literal, paired, shallow, undisguised

__all__ = ["redact_odd"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PRIVATE = 0xE700  # stands for U+DC00 while JSON is written, which takes no half of a pair
_TO_PRIVATE = {0xDC00 + byte: _PRIVATE + byte for byte in range(0x80, 0x100)}
_FROM_PRIVATE = {private: byte for byte, private in _TO_PRIVATE.items()}


def redact_odd(
    raw: bytes,
    rules: Rules,
    names: frozenset[str] = frozenset(),
    unknown_params: bool = False,
    secrets: tuple[str, ...] = (),
) -> bytes | None:
    """Return what need not be right JSON or UTF-8 without its secrets, None where nobody can be sure of that.

    The arguments are those of `redact`. What only breaks finer rules (NaN, bytes that are no text, control
    characters, an endless nesting) is still read and loses its secrets one by one. What has no
    structure left is shown as it is where nothing in it so much as hints at a secret, else not at all:
    in torn text nothing tells where a secret ends.
    """
    unknown = unknown_params and rules.unknown_task == "redact"
    rules = replace(rules, keys=(*rules.keys, *sorted(names)))
    text = raw.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape")
    kept, cut = shallow(paired(text))
    walk = Pass(rules, names, secrets, unknown=unknown, cut=cut, strict=True)
    try:
        document = json.loads(
            kept,
            strict=False,
            parse_int=literal,
            parse_float=literal,
            parse_constant=literal,
            object_pairs_hook=walk.members,
        )
    except (ValueError, RecursionError):
        return None if _hints(text, rules, secrets, unknown=unknown) else raw
    clean = walk.value(document, "$", unknown=False)
    return _bytes_of(clean, text) if walk.changed else raw


def _hints(text: str, rules: Rules, secrets: tuple[str, ...], *, unknown: bool) -> bool:
    """Whether text without structure may hold a secret: where its beginning is lost, its name may be as well."""
    plain = undisguised(text)
    if not plain.lstrip().startswith("{") or "@" in plain or (unknown and "param" in plain):
        return True
    loose = letters(plain)  # a tear may be in the midst of a name or of a secret
    return hinted(flat(loose), rules.keys) or any(letters(secret) in loose for secret in findable(secrets))


def _bytes_of(clean: Any, text: str) -> bytes | None:
    """Return the document as JSON with the bytes that are no text where they were."""
    if any(_PRIVATE + 0x80 <= ord(char) < _PRIVATE + 0x100 for char in text if char >= "\ue780"):
        return None
    try:
        written = msgspec.json.encode(_translated(clean)).decode()
    except (UnicodeEncodeError, RecursionError):
        return None
    return written.translate(_FROM_PRIVATE).encode("utf-8", "surrogateescape")


def _translated(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_TO_PRIVATE)
    if isinstance(value, list):
        return [_translated(item) for item in value]
    if isinstance(value, dict):
        return {_translated(key): _translated(item) for key, item in value.items()}
    return value
