"""What went wrong between us and the server, in PE's words and ours."""

from __future__ import annotations

import ssl

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
    cause = _cause(error, OSError)
    why = f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""
    match error:
        case httpx.ConnectError():
            return f"cannot be reached{why}"
        case httpx.ProxyError():
            return "cannot be reached through the proxy, which refused"
        case httpx.RemoteProtocolError():
            return "closed the connection in the middle of an answer"
        case _:
            return f"dropped the connection{why}"


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first exception of this kind among the error and what led to it."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None or isinstance(seen, kind):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
