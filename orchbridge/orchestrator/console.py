"""The console's services, RBAC and Activity, which listen at another address than the orchestrator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from orchbridge.orchestrator.access import Access, base_url
from orchbridge.orchestrator.exchange import Asked, Exchange
from orchbridge.orchestrator.pool import Pool
from orchbridge.orchestrator.tokens import Token

RBAC_PORT = 4433


def rbac_address(access: Access) -> str:
    """Return where RBAC and Activity are asked: as configured, else port 4433 of the orchestrator's host.

    The simulator, which alone is reached without TLS, has them on its own port.
    """
    if access.rbac_url:
        return access.rbac_url
    base = base_url(access)
    parts = urlsplit(base)
    if parts.scheme == "http":
        return base
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{host}:{RBAC_PORT}"


class Console:
    """Connections to the console's services, opened when they are first used.

    They share token, budget and observer with the orchestrator's; where the address is the same,
    the connections as well.
    """

    def __init__(self, access: Access, token: Token, observe: Callable[[Asked], None], main: Exchange) -> None:
        self._access = access
        self._token = token
        self._observe = observe
        self._main = main
        self._pool: Pool | None = None
        self._own: Exchange | None = None

    def exchange(self) -> Exchange:
        """Return how requests are sent there; raise ConfigError where its address or the TLS files cannot be used."""
        if self._own is not None:
            return self._own
        there = replace(self._access, url=rbac_address(self._access))
        if base_url(there) == base_url(self._access):
            return self._main
        pool = Pool(there)
        pool.open()
        self._pool = pool
        self._own = Exchange(there, self._token, pool, self._observe).paying(self._main.budget)
        return self._own

    async def close(self) -> None:
        """Close what was opened."""
        pool, self._pool, self._own = self._pool, None, None
        if pool is not None:
            await pool.close()
