"""The size ladder: long texts are cut head and tail with a digest, never dropped in silence."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

RAW_MAX = 48_000  # one CloudEvent should stay below the 64 KB that every intermediary passes
TEXT_MAX = 4_000
HEAD, TAIL = 2_400, 1_200


def cut_text(text: str) -> str:
    """Return the text, or its head and tail around a note of what was cut and its SHA-256."""
    if len(text) <= TEXT_MAX:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    note = f"[{len(text) - HEAD - TAIL} characters cut, sha256 of all {len(text)}: {digest}]"
    return f"{text[:HEAD]}\n{note}\n{text[-TAIL:]}"


def cut_json(raw: bytes, limit: int = RAW_MAX) -> tuple[bytes, bool]:
    """Return JSON of at most about `limit` bytes and whether anything was cut.

    First long strings are cut; if that is not enough the value is replaced by its size and digest.
    """
    if len(raw) <= limit:
        return raw, False
    shorter = msgspec.json.encode(_cut(msgspec.json.decode(raw)))
    if len(shorter) <= limit:
        return shorter, True
    return msgspec.json.encode({"cut": True, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}), True


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return cut_text(value)
    if isinstance(value, list):
        return [_cut(item) for item in value]
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    return value
