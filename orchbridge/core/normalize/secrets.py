"""Which values of a job's parameters are secrets, so that they can be hidden where they are repeated in texts."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.masks import Rules, is_masked, sensitivity

SHORTEST = 6  # a shorter value would hide innocent words everywhere
VALUES_MAX = 50


def secret_values(raw: bytes, rules: Rules, names: frozenset[str]) -> tuple[str, ...]:
    """Return texts under sensitive names in the parameters and user data of PE's own job or plan object.

    Servers before 2021.7.0 could show sensitive plan parameters in clear text, and nothing stops a
    person from putting a password into a parameter that its author did not mark.
    """
    try:
        job = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return ()
    options = (job.get("options") or job.get("input")) if isinstance(job, dict) else None  # of a job; of a schedule
    if not isinstance(options, dict):
        return ()
    found: list[str] = []
    for part in (options.get("params"), options.get("parameters"), job.get("userdata")):
        _collect(part, rules, names, found, 0)
    return tuple(dict.fromkeys(found))[:VALUES_MAX]


def _collect(  # what lies below a sensitive key is secret as a whole: `inside`
    value: Any, rules: Rules, names: frozenset[str], found: list[str], depth: int, *, inside: bool = False
) -> None:
    if depth > 8:
        return
    if isinstance(value, list):
        for item in value:
            _collect(item, rules, names, found, depth + 1, inside=inside)
    elif isinstance(value, dict):
        for key, item in value.items():
            secret = key in names or sensitivity(key, rules.keys) != "none"
            _collect(item, rules, names, found, depth + 1, inside=inside or secret)
    elif inside and not isinstance(value, bool) and isinstance(value, str | int):
        text = str(value)
        if len(text) >= SHORTEST and not is_masked(text):
            found.append(text)
