"""Asking politely to finish, and cutting when politeness takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

GRACE_S = 9.0  # a batch has finished or never will: commits are bounded, and supervisors wait about 10 s


class Stop:
    """A polite request to finish. Laps end where they stand; rests end at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    def ask(self) -> None:
        """Ask; asking twice changes nothing."""
        self._event.set()

    async def wait(self) -> None:
        """Return once asked."""
        await self._event.wait()

    async def rest(self, seconds: float) -> None:
        """Sleep, but not longer than until asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._event.wait()


@contextlib.asynccontextmanager
async def obeying_signals(stop: Stop, grace_s: float = GRACE_S) -> AsyncIterator[None]:
    """Run the body; SIGINT or SIGTERM asks to stop, a second one or `grace_s` later it is cut (TimeoutError)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as deadline:

        def on_signal() -> None:
            deadline.reschedule(loop.time() + (0 if stop.asked else grace_s))
            stop.ask()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
