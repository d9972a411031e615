"""One HTTP exchange: a request sent, its answer read, and both described to an observer."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from orchbridge.core.questions import Answer, BrokerStatus, Health, Page, Question, Schedules, Trouble
from orchbridge.orchestrator import wire
from orchbridge.orchestrator.access import HEADERS, Access, base_url, timeouts
from orchbridge.orchestrator.body import Body
from orchbridge.orchestrator.budget import Budget, Purse
from orchbridge.orchestrator.failures import Denial, failure, http_date
from orchbridge.orchestrator.handshake import Handshake
from orchbridge.orchestrator.large import AT_ONCE, read_large, unread
from orchbridge.orchestrator.lifetimes import CertificateLife
from orchbridge.orchestrator.pool import Pool
from orchbridge.orchestrator.reach import transport_trouble
from orchbridge.orchestrator.requests import Params, Request
from orchbridge.orchestrator.tokens import Token

ERROR_BYTES_MAX = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One finished HTTP request, for metrics.

    `endpoint` is the path as a template; `code` the status, or the kind of Trouble where no
    status came; `bytes` counts the decoded body.
    """

    source: str
    endpoint: str
    code: str
    seconds: float
    bytes: int


def unobserved(_: Asked) -> None:
    """Take no notice."""


class Exchange:
    """Sends requests to one source, within its budget."""

    def __init__(self, access: Access, token: Token, pool: Pool, observe: Callable[[Asked], None]) -> None:
        self.access = access
        self._token = token
        self._pool = pool
        self._observe = observe
        self._large = asyncio.Lock()
        self._base = ""
        self._timeouts = timeouts(access).as_dict()
        self.certificate = CertificateLife()
        self.budget: Purse = Budget(access.requests_per_s)

    def paying(self, purse: Purse) -> Exchange:
        """Return the same exchange, its requests paid from another purse."""
        other = copy.copy(self)
        other.budget = purse
        return other

    async def once(
        self, question: Question, request: Request, params: Params, deadline: asyncio.Timeout
    ) -> Answer | Denial:
        """Send the request once and read its answer.

        Raises httpx.TransportError or OSError where the connection broke before any answer;
        what breaks later is Trouble.
        """
        answered = False

        async def read(response: httpx.Response, body: Body) -> Answer | Denial:
            nonlocal answered
            answered = True
            return self._without_token(await self._read(question, response, body, deadline))

        try:
            return await self.send(request, params, deadline, read)
        except (httpx.TransportError, OSError) as error:
            if answered:
                return transport_trouble(self.access, error)
            raise

    async def send(
        self,
        request: Request,
        params: Params,
        deadline: asyncio.Timeout,
        read: Callable[[httpx.Response, Body], Awaitable[T]],
        *,
        signed: bool = True,
        fresh: bool = False,
    ) -> T:
        """Send the request once, let `read` have its answer, and describe both to the observer.

        `signed` is with our token, `fresh` on a connection of its own. Raises httpx.TransportError
        or OSError where the connection broke.
        """
        await self.budget.take()
        started, code, count = time.monotonic(), "", 0
        try:
            async with (
                self._pool.use(fresh=fresh) as line,
                aclosing(await self._sent(line, request, params, signed=signed)) as response,
            ):
                code = str(response.status_code)
                self.certificate.seen(response)
                body = Body(response, self.access.body_bytes_max)
                try:
                    return await read(response, body)
                finally:
                    count = body.count
        except (httpx.TransportError, OSError) as error:
            code = code or transport_trouble(self.access, error).kind
            raise
        finally:
            if not code and deadline.expired():
                code = "timeout"
            if code:
                seconds = time.monotonic() - started
                self._observe(Asked(self.access.name, request.endpoint, code, seconds, count))

    async def _sent(
        self, line: httpx.AsyncHTTPTransport, request: Request, params: Params, *, signed: bool
    ) -> httpx.Response:
        """Send without the layers of httpx for cookies, redirects and defaults: they cost more than the sending."""
        self._base = self._base or base_url(self.access)
        url = f"{self._base}{request.path}"
        if params:
            url = f"{url}?{urlencode(params)}"
        extensions = {"timeout": self._timeouts, "trace": Handshake().traced}
        built = httpx.Request(request.method, url, headers=HEADERS, content=request.body, extensions=extensions)
        if request.body is not None:
            built.headers["Content-Type"] = "application/json"
        if signed:
            self._token.sign(built.headers)
        return await line.handle_async_request(built)

    async def _read(
        self, question: Question, response: httpx.Response, body: Body, deadline: asyncio.Timeout
    ) -> Answer | Denial:
        if response.is_success:
            facts = await self._facts(question, body, deadline)
            if isinstance(question, Schedules) and isinstance(facts, Page):  # what is planned is by that clock
                date = http_date(response.headers.get("date", ""))
                return msgspec.structs.replace(facts, at=date.timestamp() if date else None)
            return facts
        said = b""
        async with aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                said += piece
                if len(said) > ERROR_BYTES_MAX:
                    break
        if isinstance(question, BrokerStatus) and response.status_code == 503:
            state = wire.read(question, said)  # a service that is not well says so with this status
            if isinstance(state, Health):
                return state
        return failure(question, self.access, response.status_code, response.headers, said)

    async def _facts(self, question: Question, body: Body, deadline: asyncio.Timeout) -> Answer:
        head: list[bytes] = []
        async with aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                head.append(piece)
                if body.count > AT_ONCE:
                    async with self._large:  # one at a time, so that memory stays bounded
                        deadline.reschedule(asyncio.get_running_loop().time() + self.access.total_s)
                        return await read_large(question, head, pieces, body)
        return unread(body) or wire.read(question, b"".join(head))

    def _without_token(self, outcome: Answer | Denial) -> Answer | Denial:
        """Take the token out of what a stranger said; some echo it."""
        hide = self._token.hide
        match outcome:
            case Trouble():
                return msgspec.structs.replace(outcome, explanation=hide(outcome.explanation))
            case Denial():
                return replace(outcome, kind=hide(outcome.kind), message=hide(outcome.message))
            case _:
                return outcome
