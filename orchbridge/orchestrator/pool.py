"""The connections to one source, made anew when its certificate files change."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.access import Access, connection, context
from orchbridge.orchestrator.tokens import FileMark, mark


class _Held:
    """Connections that share their certificates. The one used last is used next, so that few are open."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._context = context(access)
        self._idle: list[httpx.AsyncHTTPTransport] = [connection(access, self._context)]
        self.users = 0

    def lend(self) -> httpx.AsyncHTTPTransport:
        self.users += 1
        return self._idle.pop() if self._idle else connection(self._access, self._context)

    def take_back(self, line: httpx.AsyncHTTPTransport) -> None:
        self.users -= 1
        self._idle.append(line)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()


class Pool:
    """Hands out connections, each to one exchange at a time."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._marks: tuple[FileMark, ...] = ()
        self._held: _Held | None = None

    @property
    def stale(self) -> bool:
        """Whether a certificate file differs from the one last loaded."""
        return self._marks != self._now()

    def open(self) -> None:
        """Make ready; raise ConfigError where address or certificate files cannot be used."""
        self._marks = self._now()
        self._held = _Held(self._access)

    async def close(self) -> None:
        """Close all idle connections; busy ones follow when they are given back."""
        held, self._held = self._held, None
        if held:
            await held.close()

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[httpx.AsyncHTTPTransport, None]:
        """Yield a connection for one exchange."""
        held = await self._current()
        line = held.lend()
        try:
            yield line
        finally:
            held.take_back(line)
            if held is not self._held and held.users == 0:
                await held.close()

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
            await old.close()
        return await self._current()

    def _now(self) -> tuple[FileMark, ...]:
        return tuple(mark(path) for path in self._access.tls_files)
