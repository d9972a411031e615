"""Cut `{"items": [...]}` into its items without understanding them.

A decoder refuses a whole body for one bad item, and cannot stop in the middle of one. This
looks at brackets and strings only: the other items survive, and a body can be read in parts.
It keeps a count instead of a stack or a path, so nesting of any depth costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]|"', re.DOTALL)
_BEFORE_LIST = re.compile(rb"\s*:\s*\[")
_UNCLOSED = b'"'


@dataclass(frozen=True, slots=True)
class Split:
    """The complete items of a body or of its beginning.

    found   a list named `items` was seen
    items   its complete items, each as its own bytes
    left    the body without these items: what comes next is to be added to it
    whole   the list is closed, so `left` is the body with an empty list
    """

    found: bool
    items: list[bytes]
    left: bytes
    whole: bool


def split(body: bytes) -> Split:
    """Return the items of the list named `items` in the outermost object."""
    depth = 0
    for token in _TOKEN.finditer(body):
        what = token[0]
        if what in b"{[":
            depth += 1
        elif what in b"]}":
            depth -= 1
        elif what == _UNCLOSED:
            break
        elif what == b'"items"' and depth == 1 and (opening := _BEFORE_LIST.match(body, token.end())):
            return _cut(body, opening.end())
    return Split(False, [], body, False)


def depth(body: bytes) -> int:
    """Return how deep the brackets of a JSON text are nested."""
    level = deepest = 0
    for token in _TOKEN.finditer(body):
        if token[0] in b"{[":
            level += 1
            deepest = max(deepest, level)
        elif token[0] in b"]}":
            level -= 1
    return deepest


def _cut(body: bytes, start: int) -> Split:
    """Walk the list that begins at `start`; depth 0 is the list itself."""
    items: list[bytes] = []
    depth, begin = 0, start
    for token in _TOKEN.finditer(body, start):
        what = token[0]
        if what in b"{[":
            depth += 1
        elif depth and what in b"]}":
            depth -= 1
        elif what == _UNCLOSED:
            break
        elif depth == 0 and what in b",]":
            if item := body[begin : token.start()].strip():
                items.append(item)
            if what == b"]":
                return Split(True, items, body[:start] + body[token.start() :], True)
            begin = token.end()
    return Split(True, items, body[:start] + body[begin:], False)
