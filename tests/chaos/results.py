"""The results of all slices, one JSON line each, in a file that is committed with the rest."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.run import Outcome
from tests.chaos.verdict import WRONGS

HERE = Path(__file__).parent
FILE = HERE / "results.jsonl"
FINDINGS = HERE / "findings.jsonl"  # what was the cause of a run that was not well, written by who found it
TABLE = HERE.parent.parent / "docs" / "reliability.md"
GENERATED = (FILE, FINDINGS, TABLE)  # these change with every slice and say nothing about what was tested

Line = dict[str, Any]


def commit() -> tuple[str, bool]:
    """Return the commit that is tested, and whether anything in the tree differs from it."""
    root = HERE.parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    left_out = [f":(exclude){path.relative_to(root)}" for path in GENERATED]
    head = git("rev-parse", "--short=10", "HEAD")
    return head, not head or bool(git("status", "--porcelain", "--untracked-files=no", "--", ".", *left_out))


def line_of(outcome: Outcome, course: str, seed: int, asked_s: float, tested: tuple[str, bool]) -> Line:
    """Return what is kept of a run."""
    finding = asdict(outcome.finding)
    return {
        "kind": "chaos", "commit": tested[0], "dirty": tested[1], "when": now(), "course": course, "seed": seed,
        "asked_s": asked_s, "seconds": outcome.seconds, "settled_s": outcome.settled_s,
        "events": finding["events"], "records": finding["records"], **{name: finding[name] for name in WRONGS},
        "complaints": len(outcome.complaints), "faults": outcome.faults, "longest_s": outcome.longest,
        "times_s": {name: [round(value, 2) for value in values] for name, values in outcome.times.items()},
        "delay_s": outcome.delay,
    }  # fmt: skip


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(path: Path, line: Line) -> None:
    """Add a line; it is on disk when this returns."""
    with path.open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Line]:
    """Return all lines, none where there is no file yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
