"""Putting a new token where the old one is, so that at every moment there is a whole one in the file."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchbridge.orchestrator.tokens import mark

SUFFIX = ".orchbridge-new"
NO_KEEPALIVE = "|no_keepalive"
LEFT_S = 600.0  # what is older was left by a process that died before it was done


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Callable[[str], bool]]:
    """Make room beside the file; yield what puts a token there, and answers False where another one came meanwhile.

    Raise OSError where the folder or the file's owner does not allow it: at once, not only when
    there is a token to be put. Owner and group stay, and the mode but for others' rights. What follows
    the token in the file (`|no_keepalive`) stays as well.
    """
    target = path.resolve(strict=True)
    old, before = target.stat(), mark(target)
    tail = NO_KEEPALIVE if target.read_text(encoding="utf-8", errors="replace").strip().endswith(NO_KEEPALIVE) else ""
    _sweep(target)
    handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", suffix=SUFFIX, dir=target.parent)
    try:
        if (old.st_uid, old.st_gid) != _owner(handle):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IRUSR | stat.S_IWUSR | (stat.S_IMODE(old.st_mode) & stat.S_IRWXG))

        def put(token: str) -> bool:
            if mark(target) != before:
                return False
            with open(handle, "w", encoding="utf-8", closefd=False) as file:
                file.write(f"{token}{tail}\n")
            os.fsync(handle)
            os.replace(draft, target)  # noqa: PTH105 - as the system calls it
            with contextlib.suppress(OSError):  # the token is there, whatever the disk says
                _settle(target.parent)
            return True

        yield put
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # noqa: PTH108


def _owner(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_uid, found.st_gid


def _settle(folder: Path) -> None:
    """Let the new name outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(target: Path) -> None:
    """Remove what a process left that was killed: a token is a secret, also one that nobody uses."""
    for left in target.parent.glob(f".{target.name}.*{SUFFIX}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_S:
                left.unlink()
