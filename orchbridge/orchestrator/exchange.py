"""One HTTP exchange: a request sent, its answer read, and both described to an observer."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import httpx
import msgspec

from orchbridge.core.questions import Answer, BrokerStatus, Health, Question, Trouble
from orchbridge.orchestrator import wire
from orchbridge.orchestrator.access import HEADERS, Access, base_url, timeouts
from orchbridge.orchestrator.body import Body
from orchbridge.orchestrator.budget import Budget, Purse
from orchbridge.orchestrator.failures import Denial, failure
from orchbridge.orchestrator.large import AT_ONCE, read_large, unread
from orchbridge.orchestrator.lifetimes import CertificateLife, rbac_address
from orchbridge.orchestrator.pool import Pool
from orchbridge.orchestrator.reach import transport_trouble
from orchbridge.orchestrator.requests import Params, Request
from orchbridge.orchestrator.tokens import Token

_ERROR_BYTES_MAX = 64 * 1024


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

    def __init__(
        self, access: Access, token: Token, pool: Pool, observe: Callable[[Asked], None], console: Pool | None = None
    ) -> None:
        self._access = access
        self._token = token
        self._pool = pool
        self._console = console or pool  # connections of their own: each pool of httpx keeps one
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
        await self.budget.take()
        started, code, count = time.monotonic(), "", 0
        try:
            pool = self._console if request.console else self._pool
            async with pool.use() as line, aclosing(await self._sent(line, request, params)) as response:
                code = str(response.status_code)
                self.certificate.seen(response)
                body = Body(response, self._access.body_bytes_max)
                try:
                    return self._without_token(await self._read(question, response, body, deadline))
                finally:
                    count = body.count
        except (httpx.TransportError, OSError) as error:
            trouble = transport_trouble(self._access, error)
            if code:
                return trouble
            code = trouble.kind
            raise
        finally:
            if not code and deadline.expired():
                code = "timeout"
            if code:
                seconds = time.monotonic() - started
                self._observe(Asked(self._access.name, request.endpoint, code, seconds, count))

    async def _sent(self, line: httpx.AsyncHTTPTransport, request: Request, params: Params) -> httpx.Response:
        """Send without the layers of httpx for cookies, redirects and defaults: they cost more than the sending."""
        self._base = self._base or base_url(self._access)
        base = rbac_address(self._access) if request.console else self._base
        url = f"{base}{request.path}"
        if params:
            url = f"{url}?{urlencode(params)}"
        built = httpx.Request(
            request.method, url, headers=HEADERS, content=request.body, extensions={"timeout": self._timeouts}
        )
        if request.body is not None:
            built.headers["Content-Type"] = "application/json"
        self._token.sign(built.headers)
        return await line.handle_async_request(built)

    async def _read(
        self, question: Question, response: httpx.Response, body: Body, deadline: asyncio.Timeout
    ) -> Answer | Denial:
        if response.is_success:
            return await self._facts(question, body, deadline)
        said = b""
        async with aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                said += piece
                if len(said) > _ERROR_BYTES_MAX:
                    break
        if isinstance(question, BrokerStatus) and response.status_code == 503:
            state = wire.read(question, said)  # a service that is not well says so with this status
            if isinstance(state, Health):
                return state
        return failure(question, self._access, response.status_code, response.headers, said)

    async def _facts(self, question: Question, body: Body, deadline: asyncio.Timeout) -> Answer:
        head: list[bytes] = []
        async with aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                head.append(piece)
                if body.count > AT_ONCE:
                    async with self._large:  # one at a time, so that memory stays bounded
                        deadline.reschedule(asyncio.get_running_loop().time() + self._access.total_s)
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
