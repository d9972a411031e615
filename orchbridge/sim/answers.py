"""What a route is asked and what it answers: values, not yet HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from orchbridge.sim.knobs import Knobs
from orchbridge.sim.world import World

JSON = "application/json"
MAX_ID = 2**63


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's status, body and media type."""

    body: bytes
    status: int = 200
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal in PE's terms; `kind` without prefix belongs to the orchestrator (reference 2)."""

    status: int
    kind: str
    msg: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, taken apart. `base` is the server's own idea of its address, for `id` URLs."""

    world: World
    now: float
    path: Mapping[str, str]
    query: Mapping[str, str]
    base: str
    body: Any = None

    @property
    def knobs(self) -> Knobs:
        return self.world.knobs

    def url(self, *parts: object) -> str:
        """Return an absolute URL of this API."""
        return "/".join((f"{self.base}/orchestrator/v1", *map(str, parts)))


Answer: TypeAlias = Reply | Problem
Handler: TypeAlias = Callable[[Ask], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: `template` is its path below /orchestrator/v1, and its name in counts.

    `params` are the query parameters it knows; `since` is the first release that has it.
    """

    method: str
    template: str
    handler: Handler
    params: tuple[str, ...] = ()
    since: str = "2016.4"


def reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON answer."""
    return Reply(msgspec.json.encode(value), status)


def not_found() -> Reply:
    """Return what a route that does not exist answers: no JSON, no kind."""
    return Reply(b"Not Found", 404, "text/plain")


def invalid(msg: str) -> Problem:
    """Return 400 validation-error."""
    return Problem(400, "validation-error", msg)


def missing(kind: str, what: str, **details: Any) -> Problem:
    """Return 404 with kind `unknown-<kind>`."""
    return Problem(404, f"unknown-{kind}", f"Unknown {kind} {what}", details)


def integer(name: str, text: str) -> int | Problem:
    """Return the number a path or parameter holds, or what is wrong with it."""
    if text.isascii() and text.isdigit() and int(text) < MAX_ID:
        return int(text)
    return invalid(f"{name} must be a non-negative integer, not {text!r}")


def problem_body(problem: Problem, knobs: Knobs) -> Reply:
    """Return the error as this server writes it."""
    kind = problem.kind
    if "/" not in kind:
        other = kind == "validation-error" and knobs.validation_kind == "validators"
        kind = f"puppetlabs.{'validators' if other else 'orchestrator'}/{kind}"
    match knobs.error_body:
        case "html":
            page = f"<html><body><h1>Error {problem.status}</h1></body></html>"
            return Reply(page.encode(), problem.status, "text/html")
        case "empty":
            return Reply(b"", problem.status, "text/plain")
    body: dict[str, Any] = {"kind": kind, "msg": problem.msg}
    if knobs.error_body == "with-details" and problem.details:
        body["details"] = problem.details
    return reply(body, problem.status)
