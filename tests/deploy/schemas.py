"""Schemas that others publish in packages, fetched once with the package's own client and checked against a hash."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from tests.debian import Lack
from tests.fetching import fetch

# Name, version, sha512 of the file as the registry tells it (base64).
COMPOSE = (
    "dclint",
    "3.1.0",
    "afTGdzRFUXK4yCpIiEW/LOR+9TOMEDhNldDp56VCWzn7JDmD451PcUi640GGlMHgbHKJ10rDBm4PtpcBbjqlXw==",
)
KUBERNETES = (
    "kubernetes-validate",
    "1.37.0",
    "3kbNsV0Oemsa4k+Q3mGiQUlk6brhaZDQllWWwVMuWClhBHppIn7h1ucvB7FCtN3dqas28UdTdxaflYDm6xhe/g==",
)
RELEASE = "1.31.0"  # the oldest Kubernetes that we look at; what is right there is right in newer ones


def compose() -> dict[str, Any]:
    """Return the JSON schema of the Compose specification; raise Lack."""
    with tarfile.open(_npm(*COMPOSE)) as package:
        file = package.extractfile("package/schemas/compose.schema.json")
        assert file is not None
        found: dict[str, Any] = json.load(file)
        return found


def kubernetes(kind: str, version: str) -> dict[str, Any]:
    """Return the strict JSON schema of one of Kubernetes' own kinds, its references resolved; raise Lack."""
    group = version.replace(".k8s.io", "").replace("/", "-")
    with zipfile.ZipFile(_pip(*KUBERNETES)) as package:
        folder = f"kubernetes_validate/kubernetes-json-schema/v{RELEASE}-local-strict"
        found: dict[str, Any] = json.loads(package.read(f"{folder}/{kind.lower()}-{group}.json"))
        found["$defs"] = json.loads(package.read(f"{folder}/_definitions.json"))["$defs"]
        return _local(found)


def _local(node: Any) -> Any:
    """Let references name the definitions in the same document."""
    if isinstance(node, dict):
        return {
            key: f"#{value.partition('#')[2]}" if key == "$ref" and isinstance(value, str) else _local(value)
            for key, value in node.items()
        }
    return [_local(item) for item in node] if isinstance(node, list) else node


def _pip(name: str, version: str, digest: str) -> Path:
    own = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["pip"]
    command = [*own, "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", "."]
    return _kept(f"{name}-{version}.whl", digest, [*command, f"{name}=={version}"])


def _npm(name: str, version: str, digest: str) -> Path:
    if not shutil.which("npm"):
        raise Lack("npm is missing; install it with: apt-get install npm")
    file = f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    return _kept(file, digest, ["npm", "pack", "--silent", f"{name}@{version}"])


def _kept(name: str, digest: str, command: list[str]) -> Path:
    """Return the file from the user's cache, fetched the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchbridge"
    file = cache / name
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="schemas-", dir=cache))
        try:
            done = fetch(command, 300, cwd=draft)
            found = sorted(draft.iterdir())
            if done.returncode or len(found) != 1:
                raise Lack(f"{name} could not be fetched: {(done.stdout + done.stderr)[-600:].strip()}")
            with contextlib.suppress(OSError):  # somebody else was faster
                found[0].rename(file)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    seen = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    assert seen == digest, f"{file} is not what it was: {seen}"
    return file
