"""A request budget: so many a second, with short bursts."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Purse(Protocol):
    """What requests are paid from."""

    def left(self) -> float:
        """Return how many requests could be sent at once now."""

    async def take(self) -> None:
        """Wait until one more request is within the budget."""


class Budget:
    """A token bucket. Waiters are served in the order they came."""

    def __init__(self, per_s: float, burst: float | None = None) -> None:
        self._per_s = per_s
        self._burst = max(1.0, 2 * per_s if burst is None else burst)
        self._level = self._burst
        self._at = time.monotonic()

    def left(self) -> float:
        """Return how many requests could be sent at once now."""
        self._refill()
        return max(0.0, self._level)

    async def take(self) -> None:
        """Wait until one more request is within the budget."""
        self.spend()
        if self._level < 0:
            await asyncio.sleep(-self._level / self._per_s)

    def spend(self) -> None:
        """Count a request at once, in debt if need be."""
        self._refill()
        self._level -= 1.0

    async def ready(self) -> None:
        """Wait until a request could be paid, without paying."""
        self._refill()
        while self._level < 1.0:
            await asyncio.sleep((1.0 - self._level) / self._per_s)
            self._refill()

    def _refill(self) -> None:
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._per_s)
        self._at = now
