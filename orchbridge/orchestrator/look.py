"""One request of `orchbridge check`, and all that its answer tells."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from orchbridge.core.facts import Odd
from orchbridge.core.questions import Question, Trouble
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.body import Body
from orchbridge.orchestrator.failures import Denial, failure, http_date
from orchbridge.orchestrator.odd import understood
from orchbridge.orchestrator.reach import transport_trouble
from orchbridge.orchestrator.tokens import Token

_BODY_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What one request showed.

    problem      why there is no good answer, None where there is one
    status       None where nothing answered
    told         the decoded body, {} where it is no object
    skew_s       how far the server's clock is ahead of ours, None where it told no date
    days_left    how long its certificate is still valid, None without TLS
    """

    problem: Trouble | Denial | None
    status: int | None
    told: dict[str, Any]
    seconds: float
    skew_s: float | None = None
    days_left: float | None = None

    @property
    def reason(self) -> str:
        """The problem in words, "" where there is none."""
        match self.problem:
            case Trouble():
                return self.problem.explanation
            case Denial():
                return self.problem.message
            case None:
                return ""


async def look(access: Access, token: Token, http: httpx.AsyncClient, request: httpx.Request, asks: Question) -> Look:
    """Send the request; `asks` is the question whose failures it stands for."""
    token.sign(request.headers)
    started = time.monotonic()
    try:
        response = await http.send(request, stream=True)
        try:
            body = Body(response, _BODY_BYTES_MAX)
            said = b"".join([piece async for piece in body.chunks()])
            days_left = _days_left(response)
        finally:
            await response.aclose()
    except (httpx.TransportError, OSError) as error:
        return Look(transport_trouble(access, error), None, {}, time.monotonic() - started)
    seconds = time.monotonic() - started
    told = understood(said)
    problem = None
    if not response.is_success:
        problem = failure(asks, access, response.status_code, response.headers, said)
    elif isinstance(told, Odd):
        problem = Trouble("malformed", "the answer is not what an orchestrator says; is this its address?")
    date = http_date(response.headers.get("date", ""))
    return Look(
        problem,
        response.status_code,
        {} if isinstance(told, Odd) else told,
        seconds,
        (date - datetime.now(UTC)).total_seconds() if date else None,
        days_left,
    )


def _days_left(response: httpx.Response) -> float | None:
    stream = response.extensions.get("network_stream")
    secure = stream.get_extra_info("ssl_object") if stream else None
    certificate = secure.getpeercert() if secure else None
    if not certificate or "notAfter" not in certificate:
        return None
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86_400
