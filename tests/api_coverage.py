"""What becomes of each documented endpoint, for docs/api-coverage.md: read from the code, hardly anything is listed.

python -m tests.api_coverage
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from orchbridge.core.questions import Question
from orchbridge.orchestrator.endpoints import ENDPOINTS, Endpoint
from orchbridge.orchestrator.requests import to_request
from orchbridge.sim.app import API, create_app
from orchbridge.sim.world import World

TOP = Path(__file__).parents[1]
HOUSE = TOP / "orchbridge"
PAGE = TOP / "docs" / "api-coverage.md"
TESTS_SHOWN = 3
EVERY = "test_api_endpoints.py"
COMPOSED_OF = {
    "jobs.follow": ("jobs.events", "jobs.get"),
    "plan_jobs.follow": ("plan_jobs.events", "plan_jobs.get"),
    "schedules.disable": ("schedules.update",),
}
# What asks through the client beside the streams: what people call it, and where it is.
BESIDE = {"canary": "cli/canary", "token renewal": "cli/renewing.py", "check": "cli/check"}
KNOWN = {endpoint.call for endpoint in ENDPOINTS} | COMPOSED_OF.keys()
_CALL = re.compile(r"\b(?:client|api)\.([a-z_]+\.[a-z_0-9]+|root)\b")

HEAD = """\
# The orchestrator API, endpoint by endpoint

Made by `make docs` from the code; do not edit. *Since* is the first release of PE that has an endpoint, *until* the
last one. Paths are below `/orchestrator/v1` unless they begin with a service's name. *Client* is the method of
`orchbridge.orchestrator.Client`. *Used by* is what the bridge itself asks for: streams, and what goes along with them.
*Simulator* is its route. *Tests* are files of tests that call the method, three at most;
`test_api_endpoints.py` calls all.

| endpoint | since | client | `orchbridge pe` | used by | simulator | tests |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole document."""
    lines = [_line(endpoint) for endpoint in ENDPOINTS]
    return HEAD + "\n".join(lines) + "\n"


def _line(endpoint: Endpoint) -> str:
    since = endpoint.since + (f" until {endpoint.until}" if endpoint.until else "")
    cells = (
        f"`{endpoint.method} {endpoint.path}`",
        since,
        f"`{endpoint.call}`",
        ", ".join(f"`{name}`" for name in sorted(commands().get(endpoint.call, ()))),
        ", ".join(users(endpoint)),
        f"`{route}`" if (route := simulated(endpoint)) else "",
        ", ".join(f"`{name}`" for name in exercised(endpoint.call)[:TESTS_SHOWN] or [EVERY]),
    )
    return "| " + " | ".join(cell or "—" for cell in cells) + " |"


# -- the bridge itself ------------------------------------------------------------------------


def users(endpoint: Endpoint) -> list[str]:
    """Return the streams that ask an endpoint, and what else does."""
    found = [kind for kind, asked in streams().items() if any(same(*each, endpoint) for each in asked)]
    for name, place in BESIDE.items():
        folder = HOUSE / place
        files = [folder] if folder.is_file() else sorted(folder.glob("*.py"))
        if any(endpoint.call in calls(file.read_text()) for file in files):
            found.append(name)
    return found


@cache
def streams() -> Mapping[str, frozenset[tuple[str, str]]]:
    """Return (method, path) of what each kind of stream may ask: the questions that its folder of the core names."""
    questions = {question.__name__: question for question in get_args(Question)}
    found = {}
    for place in sorted((HOUSE / "core").glob("*/stream.py")):
        words = set(re.findall(r"\w+", "\n".join(file.read_text() for file in place.parent.glob("*.py"))))
        requests = [to_request(_sample(questions[name])) for name in sorted(words & questions.keys())]
        found[place.parent.name] = frozenset((request.method, request.endpoint) for request in requests)
    return found


def _sample(question: Any) -> Any:
    """Return a question of this kind about anything."""
    values = {"int": 1, "str": "some::thing"}
    given = inspect.signature(question).parameters.values()
    return question(
        **{
            each.name: values.get(str(getattr(each.annotation, "__name__", each.annotation)), ())
            for each in given
            if each.default is each.empty
        }
    )


def same(method: str, path: str, endpoint: Endpoint) -> bool:
    """Whether a request, or a route, is of an endpoint: names of places in a path may differ."""
    pattern = re.sub(r":\w+", "[^/]+", endpoint.path.rstrip("/"))
    return method == endpoint.method and re.fullmatch(pattern, path.rstrip("/")) is not None


# -- the simulator ----------------------------------------------------------------------------


def simulated(endpoint: Endpoint) -> str | None:
    """Return the simulator's route for an endpoint."""
    for (method, prefix, template), _ in routes().items():
        path = f"{prefix}/{template}".removeprefix(API)
        if same(method, re.sub(r"\{(\w+)(:path)?\}", r":\1", path) or "/", endpoint):
            return f"{prefix}/{template}".rstrip("/")
    return None


@cache
def routes() -> Mapping[tuple[str, str, str], Any]:
    """Return the simulator's routes but for the one that takes what no other does."""
    found = create_app(World("empty"), token=None, clock=lambda: 0.0).state.house.routes
    return {place: route for place, route in found.items() if place[1]}


# -- tests ------------------------------------------------------------------------------------


@cache
def _tests() -> Mapping[str, str]:
    files = sorted((TOP / "tests").rglob("test_*.py"))
    return {file.name: file.read_text() for file in files if file.name != EVERY}


def exercised(call: str) -> list[str]:
    """Return the files of tests that call a method, by itself or as a part of another."""
    names = [call, *(whole for whole, parts in COMPOSED_OF.items() if call in parts)]
    pattern = re.compile("|".join(rf"\.{re.escape(name)}\(" for name in names))
    return [name for name, text in _tests().items() if pattern.search(text)]


# -- the commands -----------------------------------------------------------------------------


@cache
def commands() -> Mapping[str, frozenset[str]]:
    """Return which commands of `orchbridge pe` call a method, in whatever function they end up."""
    try:
        group = importlib.import_module("orchbridge.cli.pe").pe
    except ModuleNotFoundError:
        return {}
    graph = _Graph(HOUSE / "cli" / "pe")
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, command in group.commands.items():
        callback = inspect.unwrap(command.callback)
        for call in graph.reached(callback.__module__, callback.__name__):
            found[call].add(name)
    return {call: frozenset(names) for call, names in found.items()}


def calls(text: str) -> set[str]:
    """Return the client's methods that some code names; those that are made of others mean these."""
    named = set(_CALL.findall(text)) & KNOWN
    return {part for call in named for part in COMPOSED_OF.get(call, (call,))}


class _Graph:
    """Who uses whom among the functions and classes of one package."""

    def __init__(self, folder: Path) -> None:
        self._bodies: dict[tuple[str, str], ast.stmt] = {}
        self._names: dict[str, dict[str, tuple[str, str]]] = {}
        for file in sorted(folder.glob("*.py")):
            module = ".".join(file.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")
            tree = ast.parse(file.read_text())
            self._names[module] = dict(_imports(tree.body))
            for node in tree.body:
                for name in _defined(node):
                    self._bodies[module, name] = node
                    self._names[module][name] = (module, name)

    def reached(self, module: str, name: str) -> set[str]:
        """Return the client's methods that are called from there."""
        found: set[str] = set()
        seen: set[tuple[str, str]] = set()
        left = [(module, name)]
        while left:
            place = left.pop()
            body = self._bodies.get(place)
            if body is None or place in seen:
                continue
            seen.add(place)
            found |= calls(ast.unparse(body))
            left += self._used(place[0], body)
        return found

    def _used(self, module: str, body: ast.AST) -> Iterator[tuple[str, str]]:
        names = {**self._names[module], **dict(_imports(ast.walk(body)))}  # several may import the same name
        for own in _locals(body):
            names.pop(own, None)
        for node in ast.walk(body):
            if isinstance(node, ast.Name) and node.id in names:
                yield names[node.id]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
                above, name = names[node.value.id]
                yield f"{above}.{name}", node.attr  # a module that was imported whole


def _imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, (node.module, alias.name)) for alias in node.names)


def _locals(body: ast.AST) -> Iterator[str]:
    """Yield the names that are something else in there: parameters, and what is assigned."""
    for node in ast.walk(body):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [node.target.id] if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else []


if __name__ == "__main__":
    sys.stdout.write(page())
