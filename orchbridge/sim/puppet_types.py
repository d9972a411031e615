"""Whether a value fits a Puppet type such as `Optional[Array[Enum[a, b]]]`: as much of the language as parameters use.

A type that is not known here fits everything, as the author's own aliases must.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchbridge.sim.problems import Problem, invalid

_PLAIN: Mapping[str, tuple[type, ...]] = {
    "Boolean": (bool,),
    "Hash": (dict,),
    "Struct": (dict,),
    "Tuple": (list,),
    "Undef": (type(None),),
}
_NUMBERS: Mapping[str, tuple[type, ...]] = {"Integer": (int,), "Float": (float,), "Numeric": (int, float)}


def wrong(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> Problem | None:
    """Return what is wrong with parameters: one that nobody declared, or one of another type."""
    unknown = sorted(given.keys() - declared.keys())
    if unknown:
        return invalid(f"Undeclared parameters: {', '.join(unknown)}")
    for name, value in given.items():
        kind = str(declared[name].get("type", "Any"))
        if not fits(kind, value):
            return invalid(f"Parameter {name} must be of type {kind}")
    return None


def lacking(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """Return the parameters that are neither given, nor optional, nor have a default."""
    needed = (name for name, rules in declared.items() if not {"default", "default_value"} & rules.keys())
    return [name for name in needed if name not in given and not fits(str(declared[name].get("type", "Any")), None)]


def fits(kind: str, value: Any) -> bool:
    """Whether a value is of this type."""
    name, inner = _taken_apart(kind)
    match name:
        case "Optional":
            return value is None or not inner or fits(inner[0], value)
        case "Sensitive":
            return not inner or fits(inner[0], value)
        case "NotUndef":
            return value is not None and (not inner or fits(inner[0], value))
        case "Variant":
            return any(fits(one, value) for one in inner)
        case "Array":
            return isinstance(value, list) and (not inner or all(fits(inner[0], one) for one in value))
        case "Enum":
            return value in [one.strip("'\"") for one in inner]
        case "Pattern":
            return isinstance(value, str) and any(re.search(one.strip("/"), value) for one in inner)
        case "String":
            return isinstance(value, str) and _within(inner, len(value))
    if name in _NUMBERS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and type(value) in _NUMBERS[name] and _within(inner, value)
    return isinstance(value, _PLAIN.get(name, object))


def _within(borders: Sequence[str], size: float) -> bool:
    least, most = (*borders, "default", "default")[:2]
    return (least == "default" or size >= float(least)) and (most == "default" or size <= float(most))


def _taken_apart(kind: str) -> tuple[str, list[str]]:
    """Return a type's name and what stands between its brackets, split at the commas of this level."""
    name, bracket, rest = kind.strip().partition("[")
    if not bracket:
        return name, []
    parts, depth = [""], 0
    for letter in rest.rstrip()[:-1]:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return name, [part.strip() for part in parts]
