"""How long token and certificate still last, as far as the server tells it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import msgspec

from orchbridge.core import times
from orchbridge.core.questions import JobsPage, Trouble
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.access import Access, base_url, http_client
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.look import certificate_end, look
from orchbridge.orchestrator.tokens import Token

PATH = "/rbac-api/v2/auth/token/authenticate"
RBAC_PORT = 4433
AGAIN_S = 600.0


@dataclass(frozen=True, slots=True)
class TokenLife:
    """What RBAC tells of a token: when it ends (Unix seconds), whose it is.

    `endless` is that it has no end; with `ends` None and without it, the server does not say.
    """

    ends: float | None
    endless: bool = False
    login: str = ""
    superuser: bool = False


Life: TypeAlias = TokenLife | Trouble | Denial


def rbac_address(access: Access) -> str:
    """Return where RBAC is asked: as configured, else port 4433 of the orchestrator's host.

    The simulator, which alone is reached without TLS, has it on its own port.
    """
    if access.rbac_url:
        return access.rbac_url
    base = base_url(access)
    parts = urlsplit(base)
    if parts.scheme == "http":
        return base
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{host}:{RBAC_PORT}"


async def token_life(access: Access, token: Token) -> Life:
    """Ask RBAC about our token: one request on a connection of its own, which counts as no use of the token.

    Raise ConfigError where the address or the TLS files cannot be used.
    """
    if not token.held:
        return Trouble("invalid", "there is no token to ask about")
    there = replace(access, url=rbac_address(access))
    body = msgspec.json.encode({"token": token.bare, "update_last_activity?": False})
    async with http_client(there) as http:
        request = http.build_request("POST", PATH, content=body, headers={"Content-Type": "application/json"})
        seen = await look(there, Token(None, None), http, request, JobsPage(1))
    match seen.problem:
        case None:
            return _life(seen.told)
        case Trouble("invalid") if "invalid-token" in seen.reason:
            hint = f"put a fresh token into {access.token_file or 'the settings'}: puppet-access login --lifetime 1y"
            return Denial("invalid-token", token.hide(seen.reason), hint, everything=True)
        case Trouble(kind):
            return Trouble(kind, token.hide(seen.reason), status=seen.status)
        case Denial(kind, message, hint, everything):
            return Denial(kind, token.hide(message), hint, everything)


def _life(told: dict[str, Any]) -> TokenLife:
    return TokenLife(
        times.seconds(fields.text(told.get("expiration"))),
        "expiration" in told and told["expiration"] is None,
        fields.word(told.get("login")),
        told.get("is_superuser") is True,
    )


class CertificateLife:
    """When the server's certificate ends, looked at every ten minutes in an answer that came anyway."""

    def __init__(self) -> None:
        self.ends: float | None = None
        self._next = 0.0

    def seen(self, response: httpx.Response) -> None:
        """Take note of the connection this answer came through."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + AGAIN_S
            self.ends = certificate_end(response)
