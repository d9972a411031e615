"""A clean Debian root folder with Python, made once with debootstrap and kept: what stands in for a base image.

`python:3.13-slim-trixie` is Debian trixie with a CPython 3.13 of its makers' own build under /usr/local and a pip
beside it. Here Debian's own python3 takes its place, which in that release is the same 3.13, and a virtual environment
at /usr/local gives it the names `python` and `pip` and a pip that no package manager owns. Nothing else is in either.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.debian import Lack, program

PACKAGES = "python3,python3-venv,ca-certificates"
NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")
LIMIT_S = 600


def base(image: str, into: Path) -> None:
    """Make `into` the root folder that stands for an image such as `python:3.13-slim-trixie`."""
    version, suite = re.fullmatch(r"python:(3\.\d+)-slim-([a-z]+)", image).groups()  # type: ignore[union-attr]
    into.mkdir(parents=True)
    _run("tar", "-C", str(into), "-xzf", str(_kept(suite)))
    told = _run("chroot", str(into), "/usr/local/bin/python", "-V").strip()
    assert told.startswith(f"Python {version}."), f"{suite} has {told}, the image has {version}: other libraries, too"


def _kept(suite: str) -> Path:
    """Return the packed root of a Debian release, made the first time; raise Lack."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchbridge"
    packed = cache / f"root-{suite}-1.tar.gz"
    if packed.exists():
        return packed
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="root-", dir=cache))
    try:
        root, pack = draft / "root", draft / "packed"
        try:
            _run(program("debootstrap"), "--variant=minbase", f"--include={PACKAGES}", suite, str(root))
        except AssertionError as error:
            raise Lack(f"no root folder of Debian {suite} could be made: {error}") from None
        _run("chroot", str(root), "python3", "-m", "venv", "/usr/local")
        for folder in NEEDLESS:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir()
        _run("tar", "-C", str(root), "--exclude=./dev/*", "-czf", str(pack), ".")
        with contextlib.suppress(OSError):
            pack.rename(packed)  # somebody else was faster
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return packed


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-1500:]}"
    return done.stdout
