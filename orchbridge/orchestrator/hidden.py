"""What a request holds that may not be shown: parameters, passwords, keys, tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from orchbridge.core.redact import REDACTED, Rules, redact_text

_SURE = 4  # a shorter value is looked for as a whole word only: it is in too many others
_LINE = 8


class Hidden:
    """Values that never reach a text for people. Its own repr shows none of them."""

    __slots__ = ("_pattern",)

    def __init__(self, *values: Any) -> None:
        found = sorted({text for value in values for text in _texts(value) if text.strip()}, key=len, reverse=True)
        parts = [re.escape(text) if len(text) >= _SURE else rf"(?<!\w){re.escape(text)}(?!\w)" for text in found]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def text(self, text: str) -> str:
        """Return the text without these values, nor what else looks like a secret in it."""
        known = self._pattern.sub(REDACTED, text) if self._pattern else text
        return redact_text(known, Rules())[0]


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Return a decoded value with every text and number in it cleaned, keys included."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(key)): cleaned(item, clean) for key, item in value.items()}
        case list():
            return [cleaned(item, clean) for item in value]
        case bool() | None:
            return value
        case _:
            return value if clean(str(value)) == str(value) else REDACTED


def _texts(value: Any) -> Iterator[str]:
    """Yield every way in which the leaves of a value may be written in a message."""
    match value:
        case bool() | None:
            return
        case str():
            yield value
            yield msgspec.json.encode(value).decode()[1:-1]
            yield " ".join(value.split())
            yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= _LINE)
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _texts(item)
        case _:
            yield str(value)
