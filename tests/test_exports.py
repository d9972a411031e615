"""What other programs and people hold on to: importable modules, true `__all__`s, one version, a typed package."""

import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import orchbridge

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(orchbridge.__path__, "orchbridge.")
    if not module.name.endswith("__main__")  # importing one runs it
)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_exports_what_it_says(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [one for one in exported if not hasattr(module, one)] == []
    assert len(set(exported)) == len(exported)


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert orchbridge.__version__ == project["version"] == importlib.metadata.version("orchbridge")


def test_the_package_is_typed():
    assert (Path(orchbridge.__file__).parent / "py.typed").exists()


def test_importing_the_core_loads_no_library_but_msgspec():
    """The pure core is usable without a network stack, and `orchbridge --help` stays fast."""
    code = (
        "import sys, pkgutil, importlib, orchbridge.core as core\n"
        "for module in pkgutil.walk_packages(core.__path__, 'orchbridge.core.'): importlib.import_module(module.name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'asyncio', 'aiokafka', 'httpx', 'pydantic', 'starlette', 'structlog', 'prometheus_client', 'rich', 'ssl'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_every_dependency_is_pinned_with_hashes_and_names_no_registry():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    pinned = {
        entry.group(1): entry.group(0) for entry in re.finditer(r"^([a-z0-9-]+)==(?:.*\\\n)*.*", lock, re.MULTILINE)
    }
    missing = {re.match(r"[a-z0-9-]+", line).group(0) for line in wanted} - set(pinned)
    assert missing == set()
    assert [name for name, entry in pinned.items() if "--hash=sha256:" not in entry] == []
    assert "://" not in lock
    assert "index" not in lock
