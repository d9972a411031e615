"""The door of the operations port: who shows a credential sees everything, others only whether we are well."""

from __future__ import annotations

import time
from typing import Any

import structlog
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from orchbridge.ops.keys import Keys
from orchbridge.ops.repeats import Repeats

OPEN = frozenset({"/healthz", "/readyz"})
STRANGER = "orchbridge.stranger"  # in the scope of a request that may learn no more than a word
CERTIFIED = "certified"  # in the state of a connection whose client showed a certificate of our authority
REPEAT_S = 60.0


def stranger(scope: Scope) -> bool:
    """Whether a request came in without the credentials that are asked for."""
    return bool(scope.get(STRANGER))


class Door:
    """Asks for what is configured: the keys where there are any, a client certificate where `certificate`, or both."""

    def __init__(
        self, inner: ASGIApp, keys: Keys, *, certificate: bool, log: FilteringBoundLogger | None = None
    ) -> None:
        self._inner = inner
        self._keys = keys
        self._certificate = certificate
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger("orchbridge")
        self._repeats = Repeats(REPEAT_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._inner(scope, receive, send)
        elif scope["path"] in OPEN:
            await self._inner({**scope, STRANGER: True}, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        """Return what a request without the right credentials is told; None where it may come in."""
        if self._certificate and not scope.get("state", {}).get(CERTIFIED):
            self._tell(scope, "no client certificate")
            return PlainTextResponse("a client certificate is needed\n", 403)
        if not self._keys:
            return None
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        opens = len(given) == 1 and self._keys.open(given[0])
        for trouble in self._keys.troubles:
            if self._repeats.say(("file", trouble), time.time()) is not None:
                self._log.warning("http.secret_kept", explanation=trouble)
        if opens:
            return None
        if given:  # a browser comes once without any, to learn what to ask its user for
            self._tell(scope, "wrong credentials")
        answer = PlainTextResponse("credentials are needed\n", 401)
        for challenge in self._keys.challenges:
            answer.headers.append("www-authenticate", challenge)
        return answer

    def _tell(self, scope: Scope, reason: str) -> None:
        client: Any = scope.get("client")
        if scope["path"] in OPEN:
            return
        unsaid = self._repeats.say((reason,), time.time())
        if unsaid is not None:
            again = {"unsaid": unsaid} if unsaid else {}
            self._log.warning("http.refused", reason=reason, client=client[0] if client else "unknown", **again)
