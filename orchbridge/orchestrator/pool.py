"""The connection pool of one source, made anew when its certificate files change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.access import Access, http_client
from orchbridge.orchestrator.tokens import FileMark, mark


class _Held:
    """A pool and how many exchanges use it, so that a replaced one ends after its last."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.users = 0


class Pool:
    """Hands out the current connection pool."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._marks: tuple[FileMark, ...] = ()
        self._held: _Held | None = None

    @property
    def stale(self) -> bool:
        """Whether a certificate file differs from the one last loaded."""
        return self._marks != self._now()

    def open(self) -> None:
        """Make the pool; raise ConfigError where address or certificate files cannot be used."""
        self._marks = self._now()
        self._held = _Held(http_client(self._access))

    async def close(self) -> None:
        """Close all idle and busy connections."""
        if self._held:
            held, self._held = self._held, None
            await held.http.aclose()

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[httpx.AsyncClient, None]:
        """Yield the pool for one exchange."""
        held = await self._current()
        held.users += 1
        try:
            yield held.http
        finally:
            held.users -= 1
            if held is not self._held and held.users == 0:
                await held.http.aclose()

    async def _current(self) -> _Held:
        old = self._held
        if old is None:
            raise RuntimeError("the client is not open")
        if not self.stale:
            return old
        try:
            self.open()
        except ConfigError:
            # Files are replaced one after the other: what is loaded serves until all of them fit.
            return old
        if old.users == 0:
            await old.http.aclose()
        return await self._current()

    def _now(self) -> tuple[FileMark, ...]:
        return tuple(mark(path) for path in self._access.tls_files)
