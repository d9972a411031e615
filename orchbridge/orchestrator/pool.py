"""The connections to one source, made anew when its certificate files change."""

from __future__ import annotations

import asyncio
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
        self._spoiled: list[httpx.AsyncHTTPTransport] = []
        self.users = 0

    async def lend(self, *, fresh: bool) -> httpx.AsyncHTTPTransport:
        await self._clear()
        self.users += 1
        return self._idle.pop() if self._idle and not fresh else connection(self._access, self._context)

    def take_back(self, line: httpx.AsyncHTTPTransport, *, whole: bool) -> None:
        """Keep a connection for the next exchange, unless this one was not carried to its end.

        What is given up in the middle can leave httpcore's only place occupied for good, above all
        where it is cancelled a second time while it cleans up after the first.
        """
        self.users -= 1
        (self._idle if whole else self._spoiled).append(line)

    async def close(self) -> None:
        await self._clear()
        while self._idle:
            await self._idle.pop().aclose()

    async def _clear(self) -> None:
        """Close what is spoiled; not where it was given up, because whoever does that may not wait."""
        while self._spoiled:
            line = self._spoiled.pop()
            try:
                await line.aclose()
            except asyncio.CancelledError:
                self._spoiled.append(line)
                raise


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
    async def use(self, *, fresh: bool = False) -> AsyncGenerator[httpx.AsyncHTTPTransport, None]:
        """Yield a connection for one exchange.

        A fresh one serves what may not be sent twice: an idle one may be dead without our knowing.
        It is not kept, or each command would leave one more open.
        """
        held = await self._current()
        line = await held.lend(fresh=fresh)
        whole = False
        try:
            yield line
            whole = not fresh
        finally:
            held.take_back(line, whole=whole)
            if held is not self._held and held.users == 0:
                await held.close()

    async def _current(self) -> _Held:
        old = self._held
        if old is None:
            raise RuntimeError("the client is not open: use it as `async with Client(...) as client`")
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
