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

CERTIFICATES_MAX = 10
_BODY_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What one request showed.

    problem      why there is no good answer, None where there is one
    status       None where nothing answered
    told         the decoded body, {} where it is no object
    skew_s       how far the server's clock is ahead of ours, None where it told no date
    days_left    how long its certificate is still valid, None without TLS
    chain        what the server presented, its own certificate first, DER
    size         decoded bytes of the body
    """

    problem: Trouble | Denial | None
    status: int | None
    told: dict[str, Any]
    seconds: float
    skew_s: float | None = None
    days_left: float | None = None
    chain: tuple[bytes, ...] = ()
    size: int = 0

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
            ends = certificate_end(response)
            chain = chain_of(response)
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
        (ends - time.time()) / 86_400 if ends is not None else None,
        chain,
        len(said),
    )


def certificate_end(response: httpx.Response) -> float | None:
    """Return the end of the verified certificate behind an answer in Unix seconds, None without TLS."""
    secure = _secure(response)
    certificate = secure.getpeercert() if secure else None
    if not certificate or "notAfter" not in certificate:
        return None
    return ssl.cert_time_to_seconds(certificate["notAfter"])


def chain_of(response: httpx.Response) -> tuple[bytes, ...]:
    """Return what the server of this answer presented, its own certificate first, DER; nothing without TLS."""
    secure = _secure(response)
    get = getattr(getattr(secure, "_sslobj", None), "get_unverified_chain", None)  # public from Python 3.13 on
    found = get() if get else None
    return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in (found or ())[:CERTIFICATES_MAX])


def _secure(response: httpx.Response) -> Any:
    stream = response.extensions.get("network_stream")
    return stream.get_extra_info("ssl_object") if stream else None
