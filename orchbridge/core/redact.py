"""Secrets leave PE's JSON before anybody else sees it: fails closed, and costs a harmless event next to nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from orchbridge.core.masks import (
    REDACTED,
    TOO_DEEP,
    UNKNOWN_TASK,
    Rules,
    findable,
    flat,
    hinted,
    is_masked,
    mask,
    mask_text,
    sensitivity,
)

__all__ = [
    "REDACTED",
    "TOO_DEEP",
    "UNKNOWN_TASK",
    "Redacted",
    "Rules",
    "innocent",
    "redact",
    "redact_again",
    "redact_odd",
    "redact_text",
]

PATHS_MAX = 100
PATH_LENGTH_MAX = 200
TOGETHER_MAX = 1_000_000
DEPTH_MAX = 64  # no answer of PE's comes near; a bomb must not exhaust the stack
_PARAMETERS = ("params", "parameters")
_PARAMETERS_IN = ("$.options", "$.input")  # of jobs and plans; of schedules


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
    text, cut = _shallow(_paired(raw.decode("utf-8")))
    walk = _Walk(rules, names, secrets, unknown=unknown, cut=cut)
    document = json.loads(
        text, parse_int=_literal, parse_float=_literal, parse_constant=_no_constant, object_pairs_hook=walk.members
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
    shallow, cut = _shallow(_paired(text))
    walk = _Walk(rules, names, secrets, unknown=unknown, cut=cut, strict=True)
    try:
        document = json.loads(
            shallow,
            strict=False,
            parse_int=_literal,
            parse_float=_literal,
            parse_constant=_literal,
            object_pairs_hook=walk.members,
        )
    except (ValueError, RecursionError):
        return None if _hints(text, rules, secrets, unknown=unknown) else raw
    clean = walk.value(document, "$", unknown=False)
    return _bytes_of(clean, text) if walk.changed else raw


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ESCAPED = re.compile(r"\\+u00([2-7][0-9a-fA-F])")
_PRIVATE = 0xE700  # stands for U+DC00 while JSON is written, which takes no half of a pair
_TO_PRIVATE = {0xDC00 + byte: _PRIVATE + byte for byte in range(0x80, 0x100)}
_FROM_PRIVATE = {private: byte for byte, private in _TO_PRIVATE.items()}


def undisguised(text: str) -> str:
    """Return the text without what does not show, and with plain letters for their escapes."""
    if "\\u" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _hints(text: str, rules: Rules, secrets: tuple[str, ...], *, unknown: bool) -> bool:
    """Whether text without structure may hold a secret: where its beginning is lost, its name may be as well."""
    plain = undisguised(text)
    if not plain.lstrip().startswith("{") or "@" in plain or (unknown and "param" in plain):
        return True
    loose = _letters(plain)  # a tear may be in the midst of a name or of a secret
    return hinted(flat(loose), rules.keys) or any(_letters(secret) in loose for secret in findable(secrets))


def _letters(text: str) -> bytes:
    return "".join(filter(str.isalnum, text)).encode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return False
    return True


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


_SURROGATES = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..")
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def _paired(text: str) -> str:
    """Replace halves of escaped surrogate pairs, which no UTF-8 can carry."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _SURROGATES.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], text)


def _shallow(text: str) -> tuple[str, bool]:
    """Replace what lies deeper than DEPTH_MAX; tell whether anything did."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return text, False
    depth = kept = 0
    pieces: list[str] = []
    for found in _STRUCTURE.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth == DEPTH_MAX + 1:
                pieces.append(text[kept : found.start()])
                kept = len(text)  # until it closes
        elif found[0] in "]}":
            if depth == DEPTH_MAX + 1:
                pieces.append(f'"{TOO_DEEP}"')
                kept = found.end()
            depth -= 1
    return "".join([*pieces, text[kept:]]), bool(pieces)


def _literal(text: str) -> msgspec.Raw:
    """Keep a number as it was written."""
    return msgspec.Raw(text.encode())


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Walk:
    """One pass over one document."""

    __slots__ = ("changed", "cut", "names", "paths", "rules", "secrets", "strict", "unknown")

    def __init__(
        self,
        rules: Rules,
        names: frozenset[str],
        secrets: tuple[str, ...],
        *,
        unknown: bool,
        cut: bool,
        strict: bool = False,
    ) -> None:
        self.rules, self.names, self.secrets, self.unknown, self.cut = rules, names, secrets, unknown, cut
        self.strict = strict  # look through what was put between letters to hide a name
        self.changed = cut
        self.paths: dict[str, None] = {}

    def members(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Build an object; a key given twice could hide its first value from us, but not from every reader."""
        made = dict(pairs)
        self.changed = self.changed or len(made) != len(pairs)
        return made

    def value(self, value: Any, path: str, *, unknown: bool) -> Any:
        """Return the value without its secrets; `unknown` where no leaf may pass."""
        if isinstance(value, dict):
            return self._object(value, path, unknown=unknown)
        if isinstance(value, list):
            return [self.value(item, f"{path}[{at}]", unknown=unknown) for at, item in enumerate(value)]
        if unknown:
            return value if isinstance(value, str) and is_masked(value) else self._note(path, UNKNOWN_TASK)
        if isinstance(value, str):
            clean = mask_text(value, self.rules, self.secrets)
            if self.strict and self._disguised(clean):
                clean = REDACTED
            return self._note(path, clean) if clean != value or (self.cut and value == TOO_DEEP) else value
        if isinstance(value, msgspec.Raw) and self.secrets and bytes(value).decode() in self.secrets:
            return self._note(path, mask(value, self.rules))
        return value

    def _object(self, members: dict[str, Any], path: str, *, unknown: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in members.items():
            plain = key.isidentifier() and not self.secrets  # no text rule finds a secret in one word
            name = key if plain else mask_text(key, self.rules, self.secrets)
            if self.strict and self._disguised(name):
                name = REDACTED
            while name in out:  # two keys may look alike once masked; neither may be lost
                name += "'"
            here = f"{path}.{name}" if name.isidentifier() else f"{path}[{json.dumps(name, ensure_ascii=False)}]"
            if name != key:
                self._note(here, name)
            if self._hides(key, value):
                out[name] = self._note(here, mask(value, self.rules))
            else:
                inside = unknown or (self.unknown and path in _PARAMETERS_IN and key in _PARAMETERS)
                out[name] = self.value(value, here, unknown=inside)
        return out

    def _disguised(self, text: str) -> bool:
        """Whether a secret shows once the text is read without what does not show, or may be in torn JSON in it."""
        plain = undisguised(text)
        if plain != text and mask_text(plain, self.rules, self.secrets) != plain:
            return True
        return '"' in plain and not _is_json(plain) and hinted(flat(_letters(plain)), self.rules.keys)

    def _hides(self, key: str, value: Any) -> bool:
        """Return whether the whole value goes because of its key."""
        if self.strict:
            key = undisguised(key)
        if value is None or value in ("", [], {}) or (isinstance(value, str) and is_masked(value)):
            return False
        if key in self.names or key == "_sensitive":
            return True
        kind = sensitivity(key, self.rules.keys)
        return (kind == "all" and not isinstance(value, bool)) or (kind == "text" and isinstance(value, str))

    def _note(self, path: str, replacement: str) -> str:
        self.changed = True
        if len(self.paths) < PATHS_MAX:
            self.paths[path[:PATH_LENGTH_MAX]] = None
        return replacement
