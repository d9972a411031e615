"""The demo's folder: its own files may be cleared by the next demo, nobody else's ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from orchbridge.core.errors import ConfigError
from orchbridge.sinks.jsonl import disk, ledger

SOURCE = "demo"
MARKER = ".orchbridge-demo"
LOG = "demo.log"
SIMULATOR = "simulator"

_OURS = (
    *(MARKER, LOG, disk.LOCK, ledger.NAME, f"{ledger.NAME}.draft"),
    *(f"pe.{SOURCE}.*.jsonl", f"pe.{SOURCE}.*.draft"),
    *(f"{SIMULATOR}/truth.log", f"{SIMULATOR}/tls", f"{SIMULATOR}/tls/*.pem", SIMULATOR),
)
_ELSEWHERE = "name a new or empty folder with --data DIR"


def prepare(directory: Path) -> bool:
    """Make the folder ready for a demo; return whether an earlier demo's files were cleared.

    Raise ConfigError where it holds anything else, where a demo writes to it now, or where the
    system says no.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        found = list(_inside(directory))
        if found and not (directory / MARKER).exists():
            raise ConfigError(f"{directory} is not empty and no demo made it", hint=_ELSEWHERE)
        if strangers := [name for name in found if not _ours(directory, name)]:
            raise ConfigError(
                f"{directory} holds {sorted(strangers)[0]}, which no demo wrote",
                hint=f"move that away, or {_ELSEWHERE}",
            )
        if found and disk.locked(directory):
            raise ConfigError(
                f"a demo writes to {directory} now (process {disk.holder(directory)})", hint=f"stop it, or {_ELSEWHERE}"
            )
        for name in found:
            if name not in {MARKER, disk.LOCK} and not (directory / name).is_dir():
                (directory / name).unlink()
        (directory / MARKER).write_text("Made by orchbridge demo; the next demo clears its files and no others.\n")
        (directory / SIMULATOR).mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot use {directory}: {error.strerror}", hint=_ELSEWHERE) from error
    return any(name.endswith(".jsonl") for name in found)


def _inside(directory: Path) -> Iterator[str]:
    """Yield every file and folder below, as paths relative to the directory."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(directory, onerror=refuse):
        for name in (*folders, *files):
            yield str((Path(place) / name).relative_to(directory))


def _ours(directory: Path, name: str) -> bool:
    path = directory / name
    if path.is_symlink() or not any(fnmatch(name, pattern) for pattern in _OURS):
        return False
    return path.is_file() or (path.is_dir() and name in _OURS)
