"""Findings for people, part by part with what to fix, or for programs, one JSON object a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchbridge.core.ports import Finding

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failed": ("FAILED", "bold red")}
NAMES_MAX = 3
SUBJECT_MIN = 18


class Part(NamedTuple):
    """What was found of one thing. `prefix` is what its subjects begin with, which its title says already."""

    title: str
    place: str
    findings: tuple[Finding, ...]
    prefix: str = ""

    @property
    def failed(self) -> bool:
        return any(finding.level == "failed" for finding in self.findings)


def show(parts: Sequence[Part], *, as_json: bool) -> None:
    """Print them to standard output."""
    if as_json:
        for part in parts:
            for finding in part.findings:
                print(msgspec.json.encode({"part": part.title, **msgspec.structs.asdict(finding)}).decode())
        return
    # A pipe has no width: there lines stay whole, so that they can be searched.
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    for part in parts:
        console.print(Text.assemble((part.title, "bold"), ("  " + part.place if part.place else "", "dim")))
        console.print(_table(part, min(max(_widths(part), default=0), max(SUBJECT_MIN, console.width // 3))))
        console.print()
    console.print(_verdict(parts))


def _table(part: Part, width: int) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(width=max(len(word) for word, _ in MARKS.values()) + 2, justify="right")
    table.add_column(width=width, overflow="fold")
    table.add_column(overflow="fold")
    for finding, subjects in _alike(part):
        word, style = MARKS[finding.level]
        said = Text(finding.message, style="" if finding.level != "ok" else "dim")
        if finding.hint:
            said.append(f"\n→ {finding.hint}", style="bold" if finding.level == "failed" else "")
        table.add_row(Text(word, style=style), Text("\n".join(_told(subjects, finding.level))), said)
    return table


def _alike(part: Part) -> list[tuple[Finding, list[str]]]:
    """Return what is said of several things once, with their names."""
    found: dict[tuple[str, str, str], tuple[Finding, list[str]]] = {}
    for finding in part.findings:
        place = found.setdefault((finding.level, finding.message, finding.hint), (finding, []))
        place[1].append(finding.subject.removeprefix(part.prefix))
    return list(found.values())


def _told(subjects: list[str], level: str) -> list[str]:
    """Return all names of what must be fixed, else the first ones."""
    if level == "failed" or len(subjects) <= NAMES_MAX + 1:
        return subjects
    return [*subjects[:NAMES_MAX], f"and {len(subjects) - NAMES_MAX} more"]


def _widths(part: Part) -> Iterable[int]:
    return (len(name) for finding, subjects in _alike(part) for name in _told(subjects, finding.level))


def _verdict(parts: Sequence[Part]) -> Text:
    counts = dict.fromkeys(MARKS, 0)
    for part in parts:
        for finding in part.findings:
            counts[finding.level] += 1
    failed, warned = counts["failed"], counts["warning"]
    return Text.assemble(
        (f"{failed} to fix", "bold red" if failed else "green"), ", ",
        (f"{warned} to know", "yellow" if warned else "green"), f", {counts['ok']} well",
    )  # fmt: skip
