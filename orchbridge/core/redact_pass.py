"""One pass over one JSON document that takes its secrets out, and what the document is made ready with."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from orchbridge.core.masks import (
    REDACTED,
    TOO_DEEP,
    UNKNOWN_TASK,
    Rules,
    flat,
    hinted,
    is_masked,
    mask,
    mask_text,
    sensitivity,
)

__all__ = ["Pass", "letters", "literal", "paired", "shallow", "undisguised"]

PATHS_MAX = 100
PATH_LENGTH_MAX = 200
DEPTH_MAX = 64  # no answer of PE's comes near; a bomb must not exhaust the stack
_PARAMETERS = ("params", "parameters")
_PARAMETERS_IN = ("$.options", "$.input")  # of jobs and plans; of schedules
_ESCAPED = re.compile(r"\\+u00([2-7][0-9a-fA-F])")


class Pass:
    """One pass over one document: `value` returns it clean, `changed` and `paths` tell what it lost."""

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
        return '"' in plain and not _is_json(plain) and hinted(flat(letters(plain)), self.rules.keys)

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


def undisguised(text: str) -> str:
    """Return the text without what does not show, and with plain letters for their escapes."""
    if "\\u" in text:
        text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def letters(text: str) -> bytes:
    """Return only the letters and digits: a tear may be in the midst of a name."""
    return "".join(filter(str.isalnum, text)).encode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return False
    return True


_SURROGATES = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..")
_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def paired(text: str) -> str:
    """Replace halves of escaped surrogate pairs, which no UTF-8 can carry."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _SURROGATES.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], text)


def shallow(text: str) -> tuple[str, bool]:
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


def literal(text: str) -> msgspec.Raw:
    """Keep a number as it was written."""
    return msgspec.Raw(text.encode())
