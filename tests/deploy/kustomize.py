"""The real kustomize: the one on the PATH, or the release named here, built once with Go into the user's cache."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.debian import Lack
from tests.fetching import fetch

VERSION = "5.7.1"
MODULE = "sigs.k8s.io/kustomize/kustomize/v5"
INSTALL = f"install kustomize 5, or Go 1.22 or newer, with which tests install it: go install {MODULE}@v{VERSION}"


def build(folder: Path) -> list[dict[str, Any]]:
    """Return the objects that `kustomize build` makes of a folder; raise Lack."""
    done = subprocess.run([_program(), "build", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


def _program() -> str:
    found = shutil.which("kustomize")
    if found:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchbridge"
    kept = cache / f"kustomize-{VERSION}"
    if kept.exists():
        return str(kept)
    go = shutil.which("go")
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout if go else ""
    version = re.search(r"go1\.(\d+)", told)
    if go is None or version is None or int(version[1]) < 22:
        raise Lack(f"kustomize is missing; {INSTALL}")
    cache.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="kustomize-", dir=cache))
    try:
        # Only what is needed stays: Go's own caches would take hundreds of megabytes.
        told_go = {"GOBIN": str(draft), "GOPATH": str(draft / "path"), "GOCACHE": str(draft / "cache"),
                   "GOFLAGS": "-modcacherw"}  # fmt: skip
        done = fetch([go, "install", "-ldflags=-s -w", f"{MODULE}@v{VERSION}"], 600, env=os.environ | told_go)
        if done.returncode:
            raise Lack(f"kustomize could not be built: {done.stderr[-600:].strip()}; {INSTALL}")
        with contextlib.suppress(OSError):  # somebody else was faster
            (draft / "kustomize").rename(kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return str(kept)
