"""The door of the API: counts, faults, the token and the server's manners around each route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from secrets import compare_digest
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from orchbridge.core.errors import ConfigError
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, denied, invalid, not_found, problem_body
from orchbridge.sim.knobs import AUTH_TEXTS, Dose
from orchbridge.sim.moments import chance, http_date
from orchbridge.sim.people import BRIDGE, User
from orchbridge.sim.rbac import NO_KEEPALIVE
from orchbridge.sim.wire import Wire
from orchbridge.sim.world import World

BODY_MAX = 64 * 1024 * 1024  # no limit is documented; what travels between orchestrator and agents has this one
RBAC = "/rbac-api"


@dataclass(slots=True)
class House:
    """What all doors share. `clock` tells world seconds; `token` None lets everybody in."""

    world: World
    token: str | None
    clock: Callable[[], float]
    wire: Wire = field(default_factory=Wire)
    asked: int = 0
    journal: Callable[[str, Route, Ask], None] | None = None
    lost: str = ""  # why nothing more can be written down
    routes: dict[tuple[str, str, str], Route] = field(default_factory=dict)  # by method, prefix, template

    def subject(self, request: Request, number: int) -> User | Problem:
        """Return who asks (the server's n-th request), or the 401 it deserves, or the one the knob wants."""
        knobs = self.world.knobs
        dose = knobs.dose("auth_fault")
        if dose.form != "none" and chance(self.world.seed, "auth", number) < dose.p:
            return _refused(dose.form)
        if knobs.auth_modes == "cert-accepted" and self.wire.certified(request.scope):
            return self.bridge
        found = self.bearer(self.token_of(request))
        return _refused(found) if isinstance(found, str) else found

    @property
    def bridge(self) -> User:
        """Who the simulator's own token, or everybody where there is none, counts as."""
        return self.world.people.users[BRIDGE]

    def token_of(self, request: Request) -> str:
        """Return the token that a request carries, or nothing."""
        token = request.headers.get("X-Authentication")
        if token is None and self.world.knobs.auth_modes == "header-or-query":
            token = request.query_params.get("token")
        return token or ""

    def bearer(self, token: str) -> User | str:
        """Return whose token this is, or a word of AUTH_TEXTS."""
        own = self.token is not None and compare_digest(token.removesuffix(NO_KEEPALIVE).encode(), self.token.encode())
        found = None if own else self.world.people.bearer(token, self.world.advance(self.clock()))
        if found is not None:
            return found
        if not own and self.token is not None:
            return "invalid" if token else "unauthenticated"
        return "user-revoked" if self.bridge.revoked else self.bridge

    def ask(self, prefix: str, route: Route, ask: Ask) -> Answer:
        """Return a route's answer; what it changed is told, and written down, before anybody hears of it.

        What cannot be written down is a 500, and after it whatever else would have to be.
        """
        if self.lost and route.lasting:
            return Problem(500, "state-not-kept", self.lost)
        answer = route.handler(ask)
        if route.method != "GET":
            self.world.advance(ask.now)
        if self.journal is not None and route.lasting and (route.tried or isinstance(answer, Reply)):
            try:
                self.journal(prefix, route, ask)
            except ConfigError as error:
                self.lost = f"The {error}; {error.hint}. Nothing is changed any more"
                return Problem(500, "state-not-kept", self.lost)
        return answer

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


_NAMED = {"/status/v1": "status", "/activity-api": "activity"}
_NAMES = {"": "root", "{anything:path}": "unknown"}


class Door:
    """One endpoint as an ASGI application: `routes` are its methods."""

    def __init__(self, house: House, routes: Mapping[str, Route], *, prefix: str, guarded: bool) -> None:
        self._house = house
        self._routes = routes
        template = next(iter(routes.values())).template
        self._name = f"{_NAMED[prefix]}/{template}" if prefix in _NAMED else _NAMES.get(template, template)
        self._guarded = guarded
        self._prefix = prefix
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
        if dose is not None and dose.form == "lost":
            await self._result(request, number)
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
        user = self._house.subject(request, number) if self._guarded else self._house.bridge
        answer = user if isinstance(user, Problem) else await self._handled(request, user)
        return problem_body(answer, self._house.world.knobs) if isinstance(answer, Problem) else answer

    async def _linger(self, number: int) -> None:
        world = self._house.world
        dose = world.knobs.dose("latency")
        if dose.amount and dose.on in self._name and chance(world.seed, "latency", number) < dose.p:
            await asyncio.sleep(dose.amount)

    async def _handled(self, request: Request, user: User) -> Answer:
        world = self._house.world
        there = {method: route for method, route in self._routes.items() if world.knobs.has(route.since)}
        if not there:
            return not_found()
        route = there.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            return Problem(405, "method-not-allowed", "Method Not Allowed")
        if route.right is not None and not user.may(route.right):
            return denied(f"You need the permission {route.right}")
        body: Any = None
        if route.method != "GET":
            body = await _body(request)
            if isinstance(body, Problem):
                return (
                    body
                    if not self._prefix.startswith(RBAC)
                    else replace(body, kind="puppetlabs.rbac/malformed-request")
                )
        query = {name: value for name, value in request.query_params.items() if name != "token"}
        known = {name for name, since in route.params.items() if world.knobs.has(since)}
        if world.knobs.unknown_query_params == "400" and not query.keys() <= known:
            return invalid(f"Unknown parameters: {', '.join(sorted(query.keys() - known))}")
        query = {name: value for name, value in query.items() if name in known}
        ask = Ask(
            world,
            world.advance(self._house.clock()),
            request.path_params,
            query,
            _base(request, world),
            user,
            body,
            token=self._house.token_of(request),
            ip=f"{request.client.host if request.client else '127.0.0.1'}, 127.0.0.1",
        )
        return self._house.ask(self._prefix, route, ask)


async def _body(request: Request) -> Any:
    """Return what a request brings, None where it brings nothing, or what is wrong with it."""
    raw = bytearray()
    try:
        async for part in request.stream():
            raw += part
            if len(raw) > BODY_MAX:
                return Problem(413, "request-too-large", f"The body is larger than {BODY_MAX} bytes")
        return msgspec.json.decode(raw) if raw else None
    except ClientDisconnect:
        return invalid("The body did not arrive")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return invalid("The body is not JSON")
    except RecursionError:
        return invalid("The body is nested too deeply")


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
