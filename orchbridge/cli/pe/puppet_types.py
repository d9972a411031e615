"""Puppet types, as far as parameters are declared with them: read, and said in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
