"""Sinks that only one process can use: every stream is ours, always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from orchbridge.core.ports import Share, StreamId


class Alone:
    """Implements Group where nobody is there to share with."""

    def __init__(self, streams: Iterable[StreamId]) -> None:
        self._share: Share | None = Share(owned=frozenset(streams))

    async def share(self) -> Share:
        """Return everything, once; then wait for ever."""
        share, self._share = self._share, None
        if share is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        return share


@asynccontextmanager
async def alone(streams: Iterable[StreamId]) -> AsyncIterator[Alone]:
    """Yield a group of one."""
    yield Alone(streams)
