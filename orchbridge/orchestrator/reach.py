"""What went wrong between us and the server, in PE's words and ours."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import httpx

from orchbridge.core.questions import Trouble
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.excerpt import one_line


def transport_trouble(access: Access, error: BaseException) -> Trouble:
    """Return the Trouble of an exchange that broke off; its text names no header."""
    refusal = _cause(error, ssl.SSLError)
    if isinstance(refusal, ssl.SSLError):
        return Trouble("tls", tls_text(access, refusal))
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Trouble("timeout", f"{access.place} {_too_slow(error, access)}")
    return Trouble("unreachable", f"{access.place} {_broken(error)}")


def tls_text(access: Access, error: ssl.SSLError) -> str:
    """Say what is wrong with the encrypted connection and which file to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {access.place} is not accepted: {one_line(error.verify_message, 150)};"
            f" it was checked against {access.trust}"
        )
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    return f"no encrypted connection to {access.place}: {one_line(reason, 100)}"


def not_verified(error: BaseException) -> bool:
    """Whether the other side speaks TLS, but has a certificate that is not accepted."""
    return isinstance(_cause(error, ssl.SSLError), ssl.SSLCertVerificationError)


def before_answer(error: BaseException) -> bool:
    """Whether the connection was refused, or went away before any answer: worth another try at once."""
    return isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError) and not _cause(error, ssl.SSLError)


def _too_slow(error: BaseException, access: Access) -> str:
    match error:
        case httpx.ConnectTimeout():
            return f"did not accept a connection within {access.connect_s:g} s"
        case httpx.ReadTimeout():
            return f"sent nothing for {access.read_s:g} s"
        case httpx.WriteTimeout():
            return f"took no request for {access.write_s:g} s"
        case httpx.PoolTimeout():
            return f"left no connection free for {access.pool_s:g} s"
        case _:
            return f"did not finish its answer within {access.total_s:g} s"


def _broken(error: BaseException) -> str:
    why = f": {reason}" if (reason := _reason(error)) else ""
    match error:
        case httpx.ConnectError():
            return f"cannot be reached{why}"
        case httpx.ProxyError():
            return "cannot be reached through the proxy, which refused"
        case httpx.RemoteProtocolError():
            return "closed the connection in the middle of an answer"
        case _:
            return f"dropped the connection{why}"


def _reason(error: BaseException) -> str:
    """Return the system's own words for it, such as `Connection refused`; "" where it has none."""
    for each in _chain(error):
        if isinstance(each, socket.gaierror):
            return each.strerror or ""
        if isinstance(each, OSError) and each.errno:  # asyncio's own words only name the address again
            return os.strerror(each.errno)
    return ""


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first exception of this kind among the error and what led to it."""
    return next((each for each in _chain(error) if isinstance(each, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it; of several that failed alike, the first."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.exceptions[0] if isinstance(seen, BaseExceptionGroup) else seen.__cause__ or seen.__context__
