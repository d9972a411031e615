"""A Dockerfile as data, and what of the repository its build is given."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath

_FLAG = re.compile(r"^--([a-z-]+)(?:=(\S+))?\s+")


@dataclass(frozen=True)
class Step:
    """One instruction: `flags` are its `--name=value` in order, `rest` what follows them."""

    word: str
    rest: str
    flags: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """Return the arguments of an instruction, from its exec form or split as a shell would."""
        if self.rest.startswith("["):
            return [str(each) for each in json.loads(self.rest)]
        return shlex.split(self.rest)


@dataclass
class Stage:
    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def last(self, word: str) -> Step | None:
        return next((step for step in reversed(self.steps) if step.word == word), None)


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile; arguments before the first FROM are filled in."""
    told: dict[str, str] = {}
    found: list[Stage] = []
    for line in _logical(text):
        word, _, rest = line.partition(" ")
        step = _step(word.upper(), rest.strip())
        if step.word == "FROM":
            base, _, name = re.sub(r"\$\{(\w+)\}", lambda match: told[match[1]], step.rest).partition(" AS ")
            found.append(Stage(base.strip(), name.strip()))
        elif step.word == "ARG" and not found:
            name, _, value = step.rest.partition("=")
            told[name] = value
        else:
            found[-1].steps.append(step)
    return found


def _logical(text: str) -> list[str]:
    """Return the lines with comments left out and continued lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in re.sub(r"\\\n", " ", kept).splitlines() if line.strip()]


def _step(word: str, rest: str) -> Step:
    flags = []
    while match := _FLAG.match(rest):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    return Step(word, rest, tuple(flags))


def given(ignore: str, files: list[str]) -> list[str]:
    """Return the files that a .dockerignore lets through: of the patterns that match, the last one counts."""
    patterns = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
    return [file for file in files if not _ignored(file, patterns)]


def _ignored(file: str, patterns: list[str]) -> bool:
    ignored = False
    for pattern in patterns:
        if _matches(file, pattern.removeprefix("!")):
            ignored = not pattern.startswith("!")
    return ignored


def _matches(file: str, pattern: str) -> bool:
    """Whether the pattern is the file or a folder above it; `**/` means at any depth."""
    parts = PurePosixPath(file).parts
    heads = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern[3:]) for part in parts)
    return any(head.count("/") == pattern.count("/") and fnmatch(head, pattern) for head in heads)
