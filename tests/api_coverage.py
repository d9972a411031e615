"""What becomes of each documented endpoint, for docs/api-coverage.md: read from the code, hardly anything is listed.

python -m tests.api_coverage
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

from orchbridge.cli.pe.asks import ASKS
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
BESIDE = {
    "canary": ("cli/canary",),
    "token renewal": ("cli/renewing.py",),
    "hourly look": ("cli/lifetimes.py",),
    "check": ("cli/check", "orchestrator/doctor"),
    "cursors": ("cli/cursors",),
    "replay": ("cli/replay", "core/jobs", "core/plans"),  # it reads as these streams do
}
FORMS: Mapping[str, tuple[Any, ...]] = {"old": (False, True), "version": (2, 1)}  # of questions with several endpoints
_BY_HAND = {
    'build_request("GET", ROOT)': "/",
    '"/status/v1/services"': "/status/v1/services",
}  # check's, before any other
KNOWN = {endpoint.call for endpoint in ENDPOINTS} | COMPOSED_OF.keys()
_CALL = re.compile(r"\b(?:client|api)\.([a-z_]+\.[a-z_0-9]+|root)\b")

HEAD = """\
# The orchestrator API, endpoint by endpoint

Made by `make docs` from the code; do not edit. *Since* is the first release of PE that has an endpoint,
*deprecated* the first whose manual advises against it. Paths are below `/orchestrator/v1` unless they begin with
a service's name. *Client* is the method of `orchbridge.orchestrator.Client`. *Used by* is what the bridge itself
asks for: streams, what goes along with them, and `orchbridge check`, `cursors` and `replay`. What starts something
also reads the list that will show it.
*Simulator* is its route. *Tests* are files of tests that call the method, three at most;
`test_api_endpoints.py` calls all.

Not in it, because no manual documents them and any release may change them: `plan_start`, `plan_task` and
`plan_finish`, by which Bolt drives a plan from outside (the simulator has them, so that such a driver can be tested;
what they make shows as plan jobs), and what only a server's own metrics name, such as `environments` and
`jobs/:id/catalog`.

| endpoint | since | client | `orchbridge pe` | used by | simulator | tests |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole document."""
    lines = [_line(endpoint) for endpoint in ENDPOINTS]
    return HEAD + "\n".join(lines) + "\n"


def _line(endpoint: Endpoint) -> str:
    since = endpoint.since + (f", deprecated {endpoint.deprecated}" if endpoint.deprecated else "")
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
    for name in BESIDE:
        methods, asked = beside(name)
        if endpoint.call in methods or any(same(*each, endpoint) for each in asked):
            found.append(name)
    return found


@cache
def streams() -> Mapping[str, frozenset[tuple[str, str]]]:
    """Return (method, path) of what each kind of stream may ask: the questions that its folder of the core names."""
    return {
        place.parent.name: asked_in("\n".join(file.read_text() for file in place.parent.glob("*.py")))
        for place in sorted((HOUSE / "core").glob("*/stream.py"))
    }


@cache
def beside(name: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Return the client's methods, and (method, path), of what something beside the streams asks."""
    places = [HOUSE / place for place in BESIDE[name]]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.glob("*.py")))]
    text = "\n".join(file.read_text() for file in files)
    looked = {("GET", path) for word, path in _BY_HAND.items() if word in text}
    bare = re.sub(r"look\(.*", "", text)  # names a question only for how its answer is judged
    return frozenset(calls(text)), asked_in(bare, called=True) | looked


def asked_in(text: str, *, called: bool = False) -> frozenset[tuple[str, str]]:
    """Return (method, path) of the questions that some code names, or makes (`called`), in each of their forms."""
    named = set(re.findall(r"\b([A-Z]\w+)" + (r"\(" if called else r"\b"), text))
    questions = [question for question in get_args(Question) if question.__name__ in named]
    requests = [to_request(sample) for question in questions for sample in samples(question)]
    return frozenset((request.method, request.endpoint) for request in requests)


def samples(question: Any) -> list[Any]:
    """Return questions of this kind about anything, one in each form that goes to an endpoint of its own."""
    given = inspect.signature(question).parameters.values()
    values = {"int": 1, "str": "some::thing"}
    plain = {
        each.name: values.get(str(getattr(each.annotation, "__name__", each.annotation)), ())
        for each in given
        if each.default is each.empty
    }
    forms = [(each.name, FORMS[each.name]) for each in given if each.name in FORMS]
    several = product(*(several for _, several in forms))
    return [question(**plain, **dict(zip([name for name, _ in forms], each, strict=True))) for each in several]


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
    """Return which commands of `orchbridge pe` ask a method of the client."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, asked in ASKS.items():
        for call in asked:
            found[call].add(name)
    return {call: frozenset(names) for call, names in found.items()}


def calls(text: str) -> set[str]:
    """Return the client's methods that some code names; those that are made of others mean these."""
    named = set(_CALL.findall(text)) & KNOWN
    return {part for call in named for part in COMPOSED_OF.get(call, (call,))}


if __name__ == "__main__":
    sys.stdout.write(page())
