"""A share of a source's request budget, for work that can wait: history beside what happens now."""

from __future__ import annotations

import asyncio
from types import TracebackType

from orchbridge.orchestrator.budget import Budget, Purse


class Gate:
    """Lets a question in as soon as its share, all shares together, and the client have room for it.

    Use it as an async context manager around one question. Nothing of the client's is held while
    waiting for one's own share, and a place once given back is waited for in the order of coming;
    so nobody else is kept waiting for longer than one of our requests.
    """

    def __init__(self, own: asyncio.Semaphore, budget: Budget, spare: asyncio.Semaphore, slots: Slots) -> None:
        self._own = own
        self._budget = budget
        self._rooms = (spare, slots)

    async def __aenter__(self) -> None:
        entered: list[Slots] = []
        try:
            await _enter(self._own, entered)
            await self._budget.ready()
            for room in self._rooms:
                await _enter(room, entered)
        except BaseException:
            await _leave(entered)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _leave([self._own, *self._rooms])


Slots = asyncio.Semaphore | Gate


async def _enter(room: Slots, entered: list[Slots]) -> None:
    await room.__aenter__()
    entered.append(room)


async def _leave(rooms: list[Slots]) -> None:
    for room in reversed(rooms):
        await room.__aexit__(None, None, None)


class Toll:
    """Pays every request twice: to the share, which may go into debt for repeated ones, and to the whole."""

    def __init__(self, share: Budget, whole: Purse) -> None:
        self._share = share
        self._whole = whole

    def left(self) -> float:
        """Return how many requests could be sent at once now."""
        return min(self._share.left(), self._whole.left())

    async def take(self) -> None:
        """Wait until one more request is within the whole budget."""
        self._share.spend()
        await self._whole.take()
