"""Putting a new token where the old one is, so that at every moment there is a whole one in the file."""

from __future__ import annotations

import contextlib
import errno
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
    with _drafted(target) as (handle, put):
        _give(handle, old)
        os.fchmod(handle, stat.S_IRUSR | stat.S_IWUSR | (stat.S_IMODE(old.st_mode) & stat.S_IRWXG))

        def put_unless_changed(token: str) -> bool:
            if mark(target) != before:
                return False
            put(f"{token}{tail}")
            return True

        yield put_unless_changed


@contextlib.contextmanager
def placing(path: Path) -> Iterator[Callable[[str], None]]:
    """Make room for a token where none need be yet; yield what puts it there, for nobody but its owner to read.

    Raise OSError where that cannot be: at once, not only when there is a token to be put. A file that is there
    keeps its owner: a bridge may read it.
    """
    target = path.expanduser().resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is there, and is no file")
    with _drafted(target) as (handle, put):
        if target.exists():
            _give(handle, target.stat())
        yield put


@contextlib.contextmanager
def _drafted(target: Path) -> Iterator[tuple[int, Callable[[str], None]]]:
    """Yield a draft beside the file, which only its owner can read, and what writes it and puts it in its place."""
    _sweep(target)
    handle, draft = tempfile.mkstemp(prefix=f".{target.name}.", suffix=SUFFIX, dir=target.parent)

    def put(text: str) -> None:
        with open(handle, "w", encoding="utf-8", closefd=False) as file:
            file.write(f"{text}\n")
        os.fsync(handle)
        os.replace(draft, target)  # noqa: PTH105 - as the system calls it
        with contextlib.suppress(OSError):  # the token is there, whatever the disk says
            _settle(target.parent)

    try:
        yield handle, put
    finally:
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # noqa: PTH108


def _give(handle: int, old: os.stat_result) -> None:
    found = os.fstat(handle)
    if (old.st_uid, old.st_gid) != (found.st_uid, found.st_gid):
        os.fchown(handle, old.st_uid, old.st_gid)


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
