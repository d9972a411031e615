"""Whether a JSON value fits a Puppet type.

What is not known here, such as an author's own alias, takes anything: the server has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchbridge.cli.pe.puppet_types import Kind


def fits(kind: Kind, value: Any) -> bool:
    """Whether a JSON value is of the type."""
    check = _CHECKS.get(kind.name)
    return check is None or check(kind, value)


def _within(kind: Kind, size: float) -> bool:
    least, most = kind.bounds
    return (least is None or size >= least) and (most is None or size <= most)


def _number(kind: Kind, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _within(kind, value)


def _list(kind: Kind, value: Any) -> bool:
    if not isinstance(value, list) or not _within(kind, len(value)):
        return False
    return not kind.inner or all(fits(kind.inner[0], item) for item in value)


def _tuple(kind: Kind, value: Any) -> bool:
    if not isinstance(value, list) or not kind.inner:
        return isinstance(value, list)
    least, most = kind.bounds
    least = len(kind.inner) if least is None else least
    most = max(least, len(kind.inner)) if most is None else most
    kinds = [*kind.inner, *[kind.inner[-1]] * max(0, len(value) - len(kind.inner))]
    return least <= len(value) <= most and all(fits(each, item) for each, item in zip(kinds, value, strict=False))


def _hash(kind: Kind, value: Any) -> bool:
    if not isinstance(value, dict) or not _within(kind, len(value)):
        return False
    if len(kind.inner) < 2:
        return True
    return all(fits(kind.inner[0], key) and fits(kind.inner[1], item) for key, item in value.items())


def _struct(kind: Kind, value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {name for name, _, _ in kind.members}:
        return isinstance(value, dict) and not kind.members
    return all(fits(member, value[name]) if name in value else optional for name, optional, member in kind.members)


def _pattern(kind: Kind, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    for text in kind.texts:
        written = text[1:-1] if text.startswith("/") else text
        try:  # Ruby's anchors, and its ^ and $ which mean lines
            found = re.search(written.replace(r"\Z", r"\n?\Z").replace(r"\z", r"\Z").replace(r"\/", "/"), value, re.M)
        except re.error:
            return True
        if found:
            return True
    return not kind.texts


def _optional(kind: Kind, value: Any) -> bool:
    return value is None or _wrapped(kind, value) or value in kind.texts


def _wrapped(kind: Kind, value: Any) -> bool:
    return fits(kind.inner[0], value) if kind.inner else not kind.texts


_CHECKS: Mapping[str, Callable[[Kind, Any], bool]] = {
    "Optional": _optional,
    "Sensitive": _wrapped,
    "NotUndef": lambda kind, value: value is not None and _wrapped(kind, value),
    "Variant": lambda kind, value: not kind.inner or any(fits(each, value) for each in kind.inner),
    "Undef": lambda _, value: value is None,
    "String": lambda kind, value: isinstance(value, str) and _within(kind, len(value)),
    "Enum": lambda kind, value: isinstance(value, str) and (not kind.texts or value in kind.texts),
    "Pattern": _pattern,
    "Boolean": lambda kind, value: isinstance(value, bool) and (not kind.texts or str(value).lower() in kind.texts),
    "Integer": lambda kind, value: isinstance(value, int) and _number(kind, value),
    "Float": lambda kind, value: isinstance(value, float) and _number(kind, value),
    "Numeric": _number,
    "Scalar": lambda _, value: isinstance(value, str | int | float),
    "ScalarData": lambda _, value: isinstance(value, str | int | float),
    "Array": _list,
    "Tuple": _tuple,
    "Hash": _hash,
    "Struct": _struct,
    "Collection": lambda _, value: isinstance(value, list | dict),
}
