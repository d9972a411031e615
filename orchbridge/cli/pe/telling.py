"""How things are written for people and for programs: times, tables, JSON, and nothing secret in any of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orchbridge.core.masks import UNKNOWN_TASK
from orchbridge.core.redact import Rules, redact, redact_text

RULES = Rules()
STYLES = {
    **dict.fromkeys(("finished", "success", "yes"), "green"),
    **dict.fromkeys(("failed", "failure", "errored", "error"), "bold red"),
    **dict.fromkeys(("stopped", "stopping", "skipped", "no"), "yellow"),
}


@dataclass(frozen=True, slots=True)
class Veil:
    """What may not be shown besides what looks like a secret.

    names     what is under these names
    secrets   these texts, wherever they are
    unknown   nobody can tell which parameters are secret, so none of them is shown
    """

    names: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    unknown: bool = False

    def over(self, names: Iterable[str], *, unknown: bool = False) -> Veil:
        """Return a veil that covers these names too."""
        return Veil(self.names | frozenset(names), self.secrets, self.unknown or unknown)

    def parameters(self, value: Any) -> Any:
        """Return the parameters of a task or plan without its secrets."""
        if self.unknown and isinstance(value, dict):
            return dict.fromkeys(map(self.text, value), UNKNOWN_TASK)
        return self.value(value)

    def value(self, value: Any) -> Any:
        """Return any JSON without its secrets."""
        raw = redact(msgspec.json.encode(value), RULES, self.names, secrets=self.secrets).raw
        return msgspec.json.decode(raw)

    def text(self, text: str) -> str:
        """Return a server's text on one line, without secrets and without what would move a terminal's cursor."""
        known = redact_text(" ".join(text.split()), RULES, self.secrets)[0]
        return "".join(char if char.isprintable() else "\ufffd" for char in known)


PLAIN = Veil()


def printable(text: str) -> str:
    """Return what a plain veil makes of a text."""
    return PLAIN.text(text)


def short(text: str, limit: int) -> str:
    """Return the text, cut to so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def json_line(value: Mapping[str, Any]) -> None:
    """Print one object on one line."""
    print(msgspec.json.encode(value).decode(), flush=True)


def when(moment: datetime | None) -> str:
    """Return a time as people read it, UTC; "" for none."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def lately(moment: datetime | None) -> str:
    """Return a time of the last weeks, UTC, without its year: a list is narrow, and jobs are kept for a month."""
    return when(moment)[5:]


def took(seconds: float | None) -> str:
    """Return a time that something took: `0.4 s`, `32 s`, `3 min 5 s`, `2 h 10 min`; "" for none."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def interval(seconds: int) -> str:
    """Return `7 d`, `12 h`, `90 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return took(seconds)


def counted(number: int, noun: str) -> str:
    """Return `1 node` or `3 nodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def states(nodes: Mapping[str, int]) -> str:
    """Return `3 finished, 1 failed`."""
    return ", ".join(f"{number} {state}" for state, number in nodes.items() if number)


def value_of(value: Any) -> str:
    """Return any JSON as text for people: text bare, the rest as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, state: str = "state", none: str) -> None:
    """Print rows: coloured and folded to its width on a terminal, whole lines in columns elsewhere.

    `state` names the column whose words have colours; `none` is said where there are no rows.
    """
    if not rows:
        print(none, file=sys.stderr)
        return
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    whole = {name for name in columns if name.endswith("(UTC)") or name in {"state", "took", "every"}}
    heads = (Column(name, overflow="fold", no_wrap=name in whole) for name in columns)
    made = Table(*heads, box=None, pad_edge=False)
    made.columns[0].min_width = min(30, max(len(row[0]) for row in rows))  # a name cut short names nothing
    place = columns.index(state) if state in columns else None
    for row in rows:
        cells = [Text(cell) for cell in row]
        if place is not None:
            cells[place].stylize(STYLES.get(row[place], ""))
        made.add_row(*cells)
    Console().print(made)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are, one a line; what is empty is left out, but for the first, the thing itself."""
    told = [(name, value) for number, (name, value) in enumerate(pairs) if value or not number]
    width = max(len(name) for name, _ in told)
    for name, value in told:
        print(f"{name.ljust(width)}  {value}".rstrip())
