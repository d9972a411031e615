"""Single fields of PE's answers, whatever type this version wrote them in."""

from __future__ import annotations

import math
import re
from typing import Any

from orchbridge.core.facts import Owner

ID_MAX = 2**63 - 1
WORD_MAX = 100
_DIGITS = re.compile(r"[0-9]{1,19}")


def to_id(value: Any) -> int | None:
    """Return the id in a number, a decimal string or the last segment of a URL; None where there is none."""
    match value:
        case bool():
            return None
        case int():
            return value if 0 <= value <= ID_MAX else None
        case float():
            return int(value) if value.is_integer() and 0 <= value <= ID_MAX else None
        case str():
            last = value.strip().split("?", 1)[0].rstrip("/").rpartition("/")[2]
            return to_id(int(last)) if _DIGITS.fullmatch(last) else None
        case _:
            return None


def text(value: Any) -> str | None:
    """Return a non-empty string, None for anything else."""
    return value if isinstance(value, str) and value else None


def word(value: Any) -> str:
    """Return a word that becomes part of ids, at most WORD_MAX characters; "" for anything else."""
    return value[:WORD_MAX] if isinstance(value, str) else ""


def seconds(value: Any) -> float | None:
    """Return a finite number, whether PE wrote it as number or as string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def count(value: Any) -> int | None:
    """Return a whole number, whether PE wrote it as number or as string."""
    number = seconds(value)
    return int(number) if number is not None and abs(number) <= ID_MAX else None


def flag(value: Any) -> bool | None:
    """Return a boolean, None where there is none."""
    return value if isinstance(value, bool) else None


def mapping(value: Any) -> dict[str, Any]:
    """Return an object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def names(value: Any) -> tuple[str, ...]:
    """Return the strings of a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def counts(value: Any) -> dict[str, int] | None:
    """Return numbers by name, None where there is no object."""
    if not isinstance(value, dict):
        return None
    read = {name: count(number) for name, number in value.items()}
    return {name: number for name, number in read.items() if number is not None}


def own_id(thing: dict[str, Any]) -> int | None:
    """Return the id of a job or plan: its name, else the end of its URL. Some answers have them swapped."""
    by_name = to_id(thing.get("name"))
    return by_name if by_name is not None else to_id(thing.get("id"))


def environment(thing: dict[str, Any]) -> str | None:
    """Return the environment's name from the options, else from the deprecated place beside them."""
    deprecated = thing.get("environment")
    if isinstance(deprecated, dict):
        deprecated = deprecated.get("name")
    return text(mapping(thing.get("options")).get("environment")) or text(deprecated)


def scheduled_id(options: dict[str, Any]) -> int | None:
    """Return the scheduled job's id; jobs and plans spell the key differently."""
    hyphens = to_id(options.get("scheduled-job-id"))
    return hyphens if hyphens is not None else to_id(options.get("scheduled_job_id"))


def created(thing: dict[str, Any]) -> str | None:
    """Return when it was created; manuals since 2021.6 print another key than servers send."""
    return text(thing.get("created_timestamp")) or text(thing.get("started_timestamp"))


def owner(value: Any) -> Owner:
    """Return who started it, empty where not told."""
    told = mapping(value)
    return Owner(id=text(told.get("id")), login=text(told.get("login")))
