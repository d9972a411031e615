"""Puppet types, as far as parameters are declared with them: read, and held against a value.

What is not known here, such as an author's own alias, takes anything: the server has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Argument: TypeAlias = "Kind | str | float | None"  # a type, a quoted or bare text, a number, `default`
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<pattern>/(?:[^/\\]|\\.)*/)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>(?:::)?\w+(?:::\w+)*)|(?P<mark>=>|[\[\]{},]))"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: `Integer[1, 10]` is Kind("Integer", (1, 10)). A Struct's members are in `members`, with `optional`."""

    name: str
    arguments: tuple[Argument, ...] = ()
    members: tuple[tuple[str, bool, Kind], ...] = ()

    @property
    def inner(self) -> tuple[Kind, ...]:
        """Its arguments that are types."""
        return tuple(each for each in self.arguments if isinstance(each, Kind))

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Its arguments that are numbers: the least and the most."""
        numbers = [each for each in self.arguments if each is None or isinstance(each, int | float)]
        return (numbers[0] if numbers else None), (numbers[1] if len(numbers) > 1 else None)

    @property
    def texts(self) -> tuple[str, ...]:
        """Its arguments that are texts or patterns."""
        return tuple(each for each in self.arguments if isinstance(each, str))


ANY = Kind("Any")


def read(declared: str | None) -> Kind:
    """Return the type a text declares; what cannot be read takes anything."""
    if not declared:
        return ANY
    tokens = list(_tokens(declared))
    try:
        kind, rest = _kind(tokens)
    except (IndexError, ValueError):
        return ANY
    return ANY if rest else kind


def fits(kind: Kind, value: Any) -> bool:
    """Whether a JSON value is of the type."""
    check = _CHECKS.get(kind.name)
    return check is None or check(kind, value)


def takes_text(kind: Kind) -> bool:
    """Whether whatever the type takes is text, so that a text need not be read as JSON first."""
    if kind.name in {"Optional", "Sensitive", "NotUndef", "Variant"} and kind.arguments:
        return all(takes_text(each) for each in kind.inner)
    return kind.name in {"String", "Enum", "Pattern"}


def wish(kind: Kind) -> str:
    """Return what to write for a type, in words."""
    match kind:
        case Kind("Optional" | "Sensitive" | "NotUndef") if kind.inner:
            return wish(kind.inner[0])
        case Kind("Integer"):
            return f"a whole number{_range(kind, '')}"
        case Kind("Float" | "Numeric"):
            return f"a number{_range(kind, '')}"
        case Kind("Boolean"):
            return "true or false"
        case Kind("Enum"):
            return f"one of {', '.join(kind.texts)}"
        case Kind("Pattern"):
            return f"a text like {' or '.join(kind.texts)}"
        case Kind("String"):
            return "a text" + (_range(kind, " characters") if kind.bounds != (1, None) else " that is not empty")
        case Kind("Array" | "Tuple"):
            return 'a list as JSON: \'["a", "b"]\''
        case Kind("Hash" | "Struct"):
            return 'an object as JSON: \'{"key": "value"}\''
        case Kind("Variant"):
            return ", or ".join(wish(each) for each in kind.inner)
    return "a value of this type, as JSON"


def _range(kind: Kind, unit: str) -> str:
    least, most = kind.bounds
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least:g}{unit}"
    return f" of at most {most:g}{unit}" if least is None else f" of {least:g} to {most:g}{unit}"


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return ["?"]  # makes the type unreadable
        found.append(match[0].strip())
        at = match.end()
    return found


def _kind(tokens: Sequence[str]) -> tuple[Kind, Sequence[str]]:
    name, rest = tokens[0], tokens[1:]
    if not name.lstrip(":")[:1].isupper():
        raise ValueError(name)
    name = name.removeprefix("::")
    if not rest or rest[0] != "[":
        return Kind(name), rest
    arguments: list[Argument] = []
    members: tuple[tuple[str, bool, Kind], ...] = ()
    rest = rest[1:]
    while rest[0] != "]":
        if rest[0] == "{":
            members, rest = _members(rest[1:])
        else:
            argument, rest = _argument(rest, bare=name == "Enum")
            arguments.append(argument)
        if rest[0] == ",":
            rest = rest[1:]
        elif rest[0] != "]":
            raise ValueError(rest[0])
    return Kind(name, tuple(arguments), members), rest[1:]


def _argument(tokens: Sequence[str], *, bare: bool) -> tuple[Argument, Sequence[str]]:
    first = tokens[0]
    if first[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", first[1:-1]), tokens[1:]
    if first[0] == "/":
        return first, tokens[1:]
    if first[0].isdigit() or first[0] == "-":
        return (float(first) if "." in first else int(first)), tokens[1:]
    if first == "default":
        return None, tokens[1:]
    if bare or first in {"true", "false"}:
        return first, tokens[1:]
    return _kind(tokens)


def _members(tokens: Sequence[str]) -> tuple[tuple[tuple[str, bool, Kind], ...], Sequence[str]]:
    found = []
    while tokens[0] != "}":
        name, optional = tokens[0], False
        if name in {"Optional", "NotUndef"} and tokens[1] == "[":
            optional, name, tokens = name == "Optional", tokens[2], tokens[3:]
        if tokens[1] != "=>":
            raise ValueError(tokens[1])
        kind, tokens = _kind(tokens[2:])
        found.append((name.strip("'\""), optional or kind.name == "Optional", kind))
        tokens = tokens[1:] if tokens[0] == "," else tokens
    return tuple(found), tokens[1:]


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
