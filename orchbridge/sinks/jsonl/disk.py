"""The few things a durable directory needs: a lock that dies with its holder, and writes that are all or nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path

from orchbridge.core.errors import OrchbridgeError, Refused, SinkLost

LOCK = ".lock"
PROBES, PROBE_S = 10, 0.02
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def lock(directory: Path) -> int:
    """Return a descriptor that holds the directory until it is closed; raise Refused where another holds it."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor)
    except BlockingIOError:
        os.close(descriptor)
        raise Refused(
            f"{directory} is being written by process {holder(directory)}",
            hint="one directory takes one writer: stop the other one, or give this one a directory of its own",
        ) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


def _take(descriptor: int) -> None:
    """Take the lock; somebody who only looks who has it (`locked`) holds it for an instant and must not stop us."""
    for _ in range(PROBES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PROBE_S)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def owner(directory: Path) -> str | None:
    """Return `process <id>` of who writes to the directory now, None for nobody."""
    return f"process {holder(directory)}" if locked(directory) else None


def locked(directory: Path) -> bool:
    """Whether somebody writes to the directory now."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(directory: Path) -> str:
    """Return the process id in the lock file."""
    with contextlib.suppress(OSError):
        return (directory / LOCK).read_text(errors="replace").strip() or "unknown"
    return "unknown"


def replace(path: Path, content: Iterable[bytes]) -> int:
    """Put a whole file in the place of `path` and return its size; readers and crashes see the old or the new one."""
    draft = path.with_name(f"{path.name}.draft")
    size = write(draft, content)
    draft.rename(path)
    sync(path.parent)
    return size


def write(path: Path, content: Iterable[bytes]) -> int:
    """Write a new file down to the disk and return its size."""
    with path.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def append(path: Path, size: int, data: bytes) -> int:
    """Add to a file of exactly `size` bytes, down to the disk; return its new size."""
    with path.open("ab") as file:
        found = file.tell()
        if found != size:
            raise OSError(errno.EIO, f"has {found} bytes where {size} were written; somebody else writes to it")
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def truncate(path: Path, size: int) -> None:
    """Cut a file down to `size`, on the disk as well."""
    with path.open("r+b") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """Make names that were created, renamed or removed in the directory last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def trouble(error: OSError, directory: Path, verb: str = "write to") -> OrchbridgeError:
    """Return what the system's error means for the sink."""
    message = f"cannot {verb} {directory}: {error}"
    if error.errno in _FORBIDDEN:
        return Refused(message, hint=f"let the user of orchbridge {verb} {directory}")
    if error.errno in _FULL:
        return SinkLost(message, hint="free some space; orchbridge goes on by itself")
    return SinkLost(message, hint="look at the disk and the system's log; orchbridge tries again by itself")
