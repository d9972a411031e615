"""What a route is asked and what it answers: values, not yet HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from orchbridge.sim.knobs import Knobs
from orchbridge.sim.orders import Asker
from orchbridge.sim.people import User
from orchbridge.sim.problems import Problem, denied, integer, invalid, missing, typed
from orchbridge.sim.releases import ALWAYS, Feature
from orchbridge.sim.world import World

__all__ = [
    "Answer",
    "Ask",
    "Handler",
    "Problem",
    "Reply",
    "Route",
    "denied",
    "integer",
    "invalid",
    "missing",
    "not_found",
    "params",
    "problem_body",
    "reply",
    "typed",
]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's status, body and media type."""

    body: bytes
    status: int = 200
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, taken apart. `base` is the server's own idea of its address, for `id` URLs."""

    world: World
    now: float
    path: Mapping[str, str]
    query: Mapping[str, str]
    base: str
    user: User
    body: Any = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    ip: str = ""

    @property
    def knobs(self) -> Knobs:
        return self.world.knobs

    @property
    def by(self) -> Asker:
        """Who wants something done, where and when."""
        return Asker(self.world, self.user, self.now)

    def url(self, *parts: object) -> str:
        """Return an absolute URL of this API."""
        return "/".join((f"{self.base}/orchestrator/v1", *map(str, parts)))


Answer: TypeAlias = Reply | Problem
Handler: TypeAlias = Callable[[Ask], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: `template` is its path below /orchestrator/v1, and its name in counts.

    `params` are the query parameters it knows, and what of a release knows them; `since` is what of a
    release has it; `right` is what the user needs for it; `lasting` says that it changes the world,
    `tried` that it does so even where it is refused.
    """

    method: str
    template: str
    handler: Handler
    params: Mapping[str, Feature] = field(default_factory=dict)
    since: Feature = ALWAYS
    right: str | None = None
    lasting: bool = False
    tried: bool = False


def params(*names: str, since: Feature = ALWAYS) -> dict[str, Feature]:
    """Return query parameters that all came at one time."""
    return dict.fromkeys(names, since)


def reply(value: Any, status: int = 200) -> Reply:
    """Return a JSON answer."""
    return Reply(msgspec.json.encode(value), status)


def not_found() -> Reply:
    """Return what a route that does not exist answers: no JSON, no kind."""
    return Reply(b"Not Found", 404, "text/plain")


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
