"""The operations endpoints: metrics, health, readiness, status. None of them ever asks PE or the sink."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchbridge.ops.door import Door, stranger
from orchbridge.ops.grouped import grouped, told
from orchbridge.ops.keys import Keys
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.page import POLICY, page
from orchbridge.ops.runbooks import METRICS, Runbooks, runbooks
from orchbridge.ops.status import Status, ready

SECURITY = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
JSON = "application/json"
NOTHING = Keys()


def application(
    status: Callable[[], Status],
    metrics: Metrics,
    alarms: Callable[[], tuple[str, ...]] = tuple,
    *,
    keys: Keys = NOTHING,
    certificate: bool = False,
    books: Runbooks | None = None,
) -> ASGIApp:
    """Return the ASGI app; `status` gives the picture of the moment, `alarms` what of this process hangs.

    `books` are the runbooks, by default those that came with the installation. With `keys`, or where a client
    `certificate` is demanded, whoever lacks them learns only whether we are well.
    """

    def get_metrics(request: Request) -> Response:
        asked = request.headers
        body, headers = metrics.answer(asked.get("accept", ""), asked.get("accept-encoding", ""))
        return Response(body, headers=headers)

    def get_healthz(request: Request) -> Response:
        """An answer proves that the event loop turns; the watchdogs tell the rest. Others' troubles never count."""
        reasons = alarms()
        if stranger(request.scope):
            return PlainTextResponse("not ok\n" if reasons else "ok\n", 503 if reasons else 200)
        return PlainTextResponse("".join(f"{reason}\n" for reason in reasons) or "ok\n", 503 if reasons else 200)

    def get_readyz(request: Request) -> Response:
        now = status()
        reasons = ready(now, now.now)
        code = 503 if reasons else 200
        if stranger(request.scope):
            return PlainTextResponse("not ready\n" if reasons else "ready\n", code)
        if JSON in request.headers.get("accept", ""):
            return _json({"ready": not reasons, "reasons": reasons}, code)
        return PlainTextResponse("".join(f"{reason}\n" for reason in reasons) or "ready\n", code)

    def get_status(_: Request) -> Response:
        return _json(_picture(status(), alarms()))

    def get_page(_: Request) -> Response:
        now = status()
        return HTMLResponse(page(now, (*alarms(), *ready(now, now.now))))

    routes = {
        "/": get_page,
        "/metrics": get_metrics,
        "/healthz": get_healthz,
        "/readyz": get_readyz,
        "/status.json": get_status,
        **_readings(books if books is not None else runbooks()),
    }
    app = Starlette(routes=[Route(path, _on_the_loop(answer)) for path, answer in routes.items()])
    return _Secured(Door(app, keys, certificate=certificate) if keys or certificate else app)


def _readings(shelf: Runbooks) -> dict[str, Callable[[Request], Response]]:
    """Return what is there to be read."""

    def get_runbook(request: Request) -> Response:
        found = shelf.page(request.path_params.get("name", "").removesuffix(".md"))
        return PlainTextResponse("there is no such runbook\n", 404) if found is None else HTMLResponse(found)

    def get_meaning(_: Request) -> Response:
        return HTMLResponse(shelf.metrics)

    return {f"/{METRICS}": get_meaning, "/runbooks/": get_runbook, "/runbooks/{name}": get_runbook}


def _picture(now: Status, alarms: tuple[str, ...]) -> dict[str, Any]:
    """Return everything the page tells, for programs (docs/status.md)."""
    reasons = ready(now, now.now)
    body = msgspec.to_builtins(now)
    for source, shown in zip(now.sources, body["sources"], strict=True):
        for stream, row in zip(source.streams, shown["streams"], strict=True):
            row["lag_s"] = stream.lapsed_s(now.now)
            row["role"] = stream.role
    errors = grouped(failed for source in now.sources for failed in source.failures)
    return {"ready": not reasons, "reasons": reasons, "alarms": alarms, **body, "errors": told(errors)}


def _on_the_loop(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Answer on the event loop itself: starlette would put a plain function into a thread, beside the writers."""

    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _json(value: object, code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), code, media_type=JSON)


class _Secured:
    """Puts the security headers on every answer, errors included."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY)
            await send(message)

        await self._inner(scope, receive, sending)
