"""Refusals in PE's terms, as values (reference 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_ID = 2**63


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal; `kind` without prefix belongs to the orchestrator."""

    status: int
    kind: str
    msg: str
    details: Mapping[str, Any] = field(default_factory=dict)


def invalid(msg: str) -> Problem:
    """Return 400 validation-error."""
    return Problem(400, "validation-error", msg)


def missing(kind: str, what: str, **details: Any) -> Problem:
    """Return 404 with kind `unknown-<kind>`."""
    return Problem(404, f"unknown-{kind}", f"Unknown {kind} {what}", details)


def denied(msg: str) -> Problem:
    """Return 403 not-permitted."""
    return Problem(403, "not-permitted", msg)


def integer(name: str, text: str) -> int | Problem:
    """Return the number a path or parameter holds, or what is wrong with it."""
    digits = text.lstrip("0") or text[:1]  # Python does not take thousands of digits, whatever they are
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_ID)) and int(digits) < MAX_ID:
        return int(digits)
    return invalid(f"{name} must be a non-negative integer, not {text[:200]!r}")


def typed(body: Any, kinds: Mapping[str, type]) -> Problem | None:
    """Return what is wrong with a body: it must be an object whose keys, where present, have these types."""
    if not isinstance(body, dict):
        return invalid("The body must be a JSON object")
    for key, kind in kinds.items():
        value = body.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            return invalid(f"{key} must be of type {WORDS[kind]}")
    return None


WORDS: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", dict: "object", list: "array"}
