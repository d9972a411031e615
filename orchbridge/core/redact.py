"""Secrets leave PE's JSON before anybody else sees it: fails closed, and costs a harmless event next to nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

import msgspec

from orchbridge.core.masks import REDACTED, TOO_DEEP, UNKNOWN_TASK, Rules, findable, flat, hinted, mask_text
from orchbridge.core.redact_pass import Pass, literal, paired, shallow

__all__ = [
    "REDACTED",
    "TOO_DEEP",
    "UNKNOWN_TASK",
    "Redacted",
    "Rules",
    "innocent",
    "redact",
    "redact_again",
    "redact_text",
]

TOGETHER_MAX = 1_000_000


class Redacted(msgspec.Struct, frozen=True):
    """JSON without its secrets, and where they were: `$.options.params.db_password`, at most 100 of them."""

    raw: bytes
    paths: tuple[str, ...] = ()


def redact(
    raw: bytes,
    rules: Rules,
    names: frozenset[str] = frozenset(),
    unknown_params: bool = False,
    secrets: tuple[str, ...] = (),
) -> Redacted:
    """Return JSON without what the rules call a secret; the very bytes given where there is none.

    names           keys whose values are secret at any depth: what a task's author declared sensitive
    unknown_params  the task's metadata cannot be read: nothing inside `options.params`, or
                    `parameters` of `options` or `input`, may pass, unless the rules say to keep it
    secrets         values that may not appear in any text, key or number; shorter ones than 4 are ignored

    Null, and under a mere key rule true and false, stay as they are. A key given twice keeps its last
    value. Twice is once. Raises ValueError where the bytes had to be read and are not JSON.
    """
    unknown = unknown_params and rules.unknown_task == "redact"
    if not unknown and not _suspicious(raw, rules, names, secrets):
        return Redacted(raw)
    text, cut = shallow(paired(raw.decode("utf-8")))
    walk = Pass(rules, names, secrets, unknown=unknown, cut=cut)
    document = json.loads(
        text, parse_int=literal, parse_float=literal, parse_constant=_no_constant, object_pairs_hook=walk.members
    )
    clean = walk.value(document, "$", unknown=False)
    if not walk.changed:
        return Redacted(raw)
    return Redacted(msgspec.json.encode(clean), tuple(walk.paths))


@lru_cache(maxsize=8)
def redact_again(
    raw: bytes, rules: Rules, names: frozenset[str], unknown_params: bool, secrets: tuple[str, ...]
) -> Redacted:
    """Return what `redact` does, for a job or plan that travels in several records, one soon after the other."""
    return redact(raw, rules, names, unknown_params, secrets)


def innocent(raws: Sequence[bytes], rules: Rules, names: frozenset[str], secrets: tuple[str, ...]) -> bool:
    """Return whether `redact` would return each of these as it is; False means only that nobody looked closely.

    Many small ones are looked at in a third of the time when they are looked at together.
    """
    return sum(map(len, raws)) <= TOGETHER_MAX and not _suspicious(b"\n".join(raws), rules, names, secrets)


def redact_text(text: str, rules: Rules, secrets: tuple[str, ...] = ()) -> tuple[str, bool]:
    """Return a message without its secrets, and whether it had any."""
    masked = mask_text(text, rules, secrets)
    return masked, masked != text


# What may be an address with a user in it; every job has a mail address and, elsewhere, addresses without one.
_ADDRESS = re.compile(rb"://[^\s\"'<>]{1,2100}@")


def _suspicious(raw: bytes, rules: Rules, names: frozenset[str], secrets: tuple[str, ...]) -> bool:
    """Return whether the bytes must be read. Every rule can be seen in them, unless escapes hide it."""
    if hinted(flat(raw), rules.keys) or (b"@" in raw and _ADDRESS.search(raw)):
        return True
    if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw):
        return True
    return bool(names or secrets) and any(needle in raw for needle in _needles(names, secrets))


@lru_cache(maxsize=512)  # a job's names come with each of its events
def _needles(names: frozenset[str], secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    wanted = [msgspec.json.encode(name) for name in names]
    return (*wanted, *(msgspec.json.encode(secret)[1:-1] for secret in findable(secrets)))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
