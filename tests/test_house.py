"""The house rules that a machine can check: who may import whom, and how long things may be."""

import ast
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "orchbridge"
ALL_STDLIB = frozenset(sys.stdlib_module_names)
# No clock, randomness, files, sockets, tasks or logging: what is pure can be tested by calling it.
PURE_STDLIB = frozenset(
    {
        *("__future__", "abc", "array", "base64", "binascii", "bisect", "collections", "contextlib", "copy"),
        *("dataclasses", "datetime", "enum", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math"),
        *("operator", "re", "string", "struct", "types", "typing", "zlib"),
    }
)
PURE_ROOMS = ("core", "formats")
# Whose libraries each room may use, besides the standard one. Rooms of ours are named `.core`.
ROOMS = {
    "core": PURE_STDLIB | {"msgspec"},
    "formats": PURE_STDLIB | {".core", "msgspec"},
    "orchestrator": ALL_STDLIB | {".core", "cryptography", "httpx", "msgspec"},  # cryptography: reads certificates
    "sinks": ALL_STDLIB | {".core", "aiokafka", "msgspec"},
    "runtime": ALL_STDLIB | {".core", "msgspec"},
    "ops": ALL_STDLIB
    | {".core", "markdown_it", "msgspec", "prometheus_client", "rich", "starlette", "structlog", "uvicorn"},
    "sim": ALL_STDLIB | {".core", "cryptography", "msgspec", "starlette", "uvicorn"},
    "config": ALL_STDLIB | {".core", "pydantic", "pydantic_core", "pydantic_settings"},
}
CLI = "cli"  # the one place that wires rooms together may use them all
FILE_LINES_MAX = 350
FUNCTION_LINES_MAX = 60

MODULES = sorted(path for path in HOUSE.rglob("*.py"))


def called(path):
    return str(path.relative_to(HOUSE.parent))


def rooms():
    return {path.name for path in HOUSE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}


def imports(path):
    """Yield (line, name) of what a module imports: `json`, `httpx`, `.core`; `.` for the package itself."""
    package = path.parent.relative_to(HOUSE.parent).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names] if base == HOUSE.name else [base]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            yield node.lineno, _room(rest) if top == HOUSE.name else top


def _room(rest):
    first = rest.partition(".")[0]
    return f".{first}" if (HOUSE / first).is_dir() or (HOUSE / f"{first}.py").exists() else "."


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_inwards(room):
    allowed = ROOMS[room] | {".", f".{room}"}
    wrong = [
        f"{called(path)}:{line} imports {name}"
        for path in sorted((HOUSE / room).rglob("*.py"))
        for line, name in imports(path)
        if name not in allowed
    ]
    assert wrong == []


def test_every_room_has_its_rule():
    assert rooms() == {*ROOMS, CLI}


IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "read_text", "write_text"}


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_pure_rooms_ask_neither_clock_nor_disk(room):
    wrong = []
    for path in sorted((HOUSE / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", None))
                if name in IMPURE_CALLS:
                    wrong.append(f"{called(path)}:{node.lineno} calls {name}()")
            elif isinstance(node, ast.AsyncFunctionDef | ast.Await) and path.name != "ports.py":
                wrong.append(f"{called(path)}:{node.lineno} is asynchronous")
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=called)
def test_modules_say_what_they_promise(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "a module starts with a docstring"


def test_files_and_functions_fit():
    wrong = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > FILE_LINES_MAX:
            wrong.append(f"{called(path)} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    wrong.append(f"{called(path)}:{node.lineno} {node.name} has {lines} lines")
    assert wrong == []


def test_no_room_catches_everything():
    """A bug ends the process; only the outermost door may look at it on its way out."""
    wrong = [
        f"{called(path)}:{node.lineno}"
        for path in MODULES
        if HOUSE / CLI not in path.parents
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or getattr(node.type, "id", "") == "Exception")
    ]
    assert wrong == []


def test_nothing_is_left_for_later():
    marks = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    wrong = [
        f"{called(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(mark in line for mark in marks)
    ]
    assert wrong == []


def test_the_checker_sees_every_spelling(tmp_path, monkeypatch):
    """A house test that overlooks an import guards nothing."""
    package = tmp_path / "orchbridge" / "core" / "inner"
    (tmp_path / "orchbridge" / "sinks").mkdir(parents=True)
    package.mkdir(parents=True)
    module = package / "x.py"
    module.write_text(
        "import os.path, orchbridge.sinks.kafka\n"
        "from orchbridge import sinks, __version__\n"
        "from orchbridge.sinks import kafka\n"
        "from ...sinks.kafka import y\n"
        "from ... import sinks\n"
        "from . import sibling\n"
        "def late():\n    import httpx\n"
    )
    monkeypatch.setitem(globals(), "HOUSE", tmp_path / "orchbridge")
    found = list(imports(module))
    assert found == [
        (1, "os"),
        (1, ".sinks"),
        (2, ".sinks"),
        (2, "."),
        (3, ".sinks"),
        (4, ".sinks"),
        (5, ".sinks"),
        (6, ".core"),
        (8, "httpx"),
    ]
