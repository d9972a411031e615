"""Tools that tests run for real and Debian packages: found on the PATH, or installed where that needs nobody's word."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fetching import fetch

# What a package brings, where that is not a program of its own name. Another spelling of the same program follows
# after a bar, as its makers name it where no packager had to avoid a clash.
BRINGS = {
    "prometheus": ("prometheus", "promtool"),
    "prometheus-alertmanager": ("prometheus-alertmanager|alertmanager", "amtool"),
    "openjdk-17-jre-headless": ("java",),
    "openjdk-21-jre-headless": ("java",),
    "maven": ("mvn",),
    "systemd": ("systemd-analyze",),
    "acl": ("setfacl",),
}
SYSTEM = ("/usr/sbin", "/sbin")  # not on everybody's PATH
_POLICY = Path("/usr/sbin/policy-rc.d")


class Lack(Exception):
    """A tool is missing and cannot be had here; the message says what to install."""


def need(*packages: str) -> None:
    """Have the programs of these Debian packages, installing what is missing; raise Lack."""
    missing = [package for package in packages if not _there(package)]
    if missing:
        install(missing)
    missing = [package for package in missing if not _there(package)]
    if missing:
        raise Lack(f"{', '.join(missing)} missing; install with: apt-get install {' '.join(missing)}")


def program(name: str) -> str:
    """Return the path of a program; `a|b` is whichever there is. Raise Lack."""
    path = _find(name)
    if path is None:
        raise Lack(f"{name} is not on the PATH")
    return path


def install(*alternatives: list[str]) -> bool:
    """Install the first of these sets of packages that can be had; no service of theirs is started.

    Only as root, on Debian and its kin, where nobody is asked anything; False where that is not so or failed.
    """
    if os.geteuid() or not shutil.which("apt-get"):
        return False
    with _nothing_starts():
        if not _quietly("apt-get", "update", "-q"):
            return False
        flags = ("-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")
        return any(_quietly("apt-get", "install", *flags, *names) for names in alternatives)


def _there(package: str) -> bool:
    return all(_find(name) for name in BRINGS.get(package, (package,)))


def _find(name: str) -> str | None:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM))
    return next((found for each in name.split("|") if (found := shutil.which(each, path=path))), None)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Tell packages not to start their services; a policy that is already there stays in charge."""
    try:
        with _POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except OSError:
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _quietly(*command: str) -> bool:
    told = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return fetch(command, 900, env=told).returncode == 0
