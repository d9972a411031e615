"""The door of the API: counts, faults, the token and the server's manners around each route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import compare_digest
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, invalid, not_found, problem_body
from orchbridge.sim.knobs import AUTH_TEXTS, Dose
from orchbridge.sim.moments import chance, http_date
from orchbridge.sim.wire import Wire
from orchbridge.sim.world import World


@dataclass(slots=True)
class House:
    """What all doors share. `clock` tells world seconds; `token` None lets everybody in."""

    world: World
    token: str | None
    clock: Callable[[], float]
    wire: Wire = field(default_factory=Wire)
    asked: int = 0

    def auth_problem(self, request: Request, number: int) -> Problem | None:
        """Return the 401 this request (the server's n-th) deserves, or the one the knob wants."""
        knobs = self.world.knobs
        dose = knobs.dose("auth_fault")
        if dose.form != "none" and chance(self.world.seed, "auth", number) < dose.p:
            return _refused(dose.form)
        if knobs.auth_modes == "cert-accepted" and self.wire.certified(request.scope):
            return None
        token = request.headers.get("X-Authentication")
        if token is None and knobs.auth_modes == "header-or-query":
            token = request.query_params.get("token")
        if self.token is None:
            return None
        if not token:
            return _refused("unauthenticated")
        return None if compare_digest(token.encode(), self.token.encode()) else _refused("invalid")

    def fault(self, template: str, number: int) -> Dose | None:
        """Return the wire fault that hits this request, if any."""
        for place, dose in enumerate(self.world.knobs.all_doses("faults")):
            luck = chance(self.world.seed, "fault", place, number)
            if dose.form != "none" and dose.on in template and luck < dose.p:
                return dose
        return None


def _refused(word: str) -> Problem:
    kind, text = AUTH_TEXTS[word]
    return Problem(503 if word == "server-error-503" else 401, f"puppetlabs.rbac/{kind}", text)


_NAMES = {"": "root", "{anything:path}": "unknown"}


class Door:
    """One endpoint as an ASGI application: `routes` are its methods."""

    def __init__(self, house: House, routes: Mapping[str, Route], *, prefix: str, guarded: bool) -> None:
        self._house = house
        self._routes = routes
        template = next(iter(routes.values())).template
        self._name = f"status/{template}" if prefix == "/status/v1" else _NAMES.get(template, template)
        self._guarded = guarded
        self._tricky = prefix != "/sim"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        house, world = self._house, self._house.world
        request = Request(scope, receive)
        dose, number = None, house.asked
        if self._tricky:
            house.asked += 1
            world.requests[f"{request.method} {self._name}"] += 1
            if world.down(world.advance(house.clock())):
                await house.wire.cut(scope, receive)
                return
            await self._linger(number)
            dose = house.fault(self._name, number)
        if dose is not None and dose.form == "stall":
            await asyncio.sleep(dose.amount)
        if dose is not None and dose.form in {"reset", "stall"}:
            await house.wire.cut(scope, receive)
            return
        result = (_broken(dose) if dose is not None else None) or await self._result(request, number)
        start = _start_message(result, world)
        if dose is not None and dose.form == "truncated":
            await house.wire.cut_short(scope, receive, send, start, result.body)
            return
        await send(start)
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else result.body})

    async def _result(self, request: Request, number: int) -> Reply:
        problem = self._house.auth_problem(request, number) if self._guarded else None
        answer = problem or await self._handled(request)
        return problem_body(answer, self._house.world.knobs) if isinstance(answer, Problem) else answer

    async def _linger(self, number: int) -> None:
        world = self._house.world
        dose = world.knobs.dose("latency")
        if dose.amount and dose.on in self._name and chance(world.seed, "latency", number) < dose.p:
            await asyncio.sleep(dose.amount)

    async def _handled(self, request: Request) -> Answer:
        world = self._house.world
        route = self._routes.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            return Problem(405, "method-not-allowed", "Method Not Allowed")
        if self._tricky and not world.knobs.at_least(route.since):
            return not_found()
        body: Any = None
        if route.method == "POST":
            try:
                raw = await request.body()
                body = msgspec.json.decode(raw) if raw else None
            except ClientDisconnect:
                return invalid("The body did not arrive")
            except msgspec.DecodeError:
                return invalid("The body is not JSON")
        query = {name: value for name, value in request.query_params.items() if name != "token"}
        if world.knobs.unknown_query_params == "400" and not query.keys() <= set(route.params):
            return invalid(f"Unknown parameters: {', '.join(sorted(query.keys() - set(route.params)))}")
        now = world.advance(self._house.clock())
        answer = route.handler(Ask(world, now, request.path_params, query, _base(request, world), body))
        if route.method == "POST":
            world.advance(now)  # tells the facts that a command or a lever has just made
        return answer


def _base(request: Request, world: World) -> str:
    match world.knobs.id_host:
        case "localhost":
            return "https://localhost:8143"
        case "wrong-port":
            return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}:8143"
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def _broken(dose: Dose) -> Reply | None:
    """Return the answer of something in between that is not the orchestrator."""
    wait = {} if dose.retry_after_s is None else {"Retry-After": str(int(dose.retry_after_s))}
    if dose.form == "html-200":
        return Reply(b"<html><body>Please sign in</body></html>", 200, "text/html")
    if not dose.form.isdigit():
        return None
    page = f"<html><body><h1>{dose.form}</h1></body></html>".encode()
    return Reply(page, int(dose.form), "text/html", wait)


def _start_message(reply: Reply, world: World) -> dict[str, Any]:
    headers = {
        "Content-Type": reply.media,
        "Content-Length": str(len(reply.body)),
        "Date": http_date(int(world.start + max(world.course.now, 0.0))),
        **reply.headers,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": reply.status, "headers": raw}
