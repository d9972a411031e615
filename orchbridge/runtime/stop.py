"""Asking politely to finish, and cutting when politeness takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator

from orchbridge.core.errors import SinkLost

GRACE_S = 9.0  # a batch has finished or never will: commits are bounded, and supervisors wait about 10 s


class Stop:
    """A polite request to finish. Laps end where they stand; rests end at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._cuts: set[Callable[[], None]] = set()

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    def ask(self) -> None:
        """Ask; asking twice changes nothing."""
        self._event.set()
        for cut in tuple(self._cuts):
            cut()

    @contextlib.contextmanager
    def telling(self, heard: Callable[[], None]) -> Iterator[None]:
        """Call `heard` when asked, or at once where that is past, while the block runs."""
        self._cuts.add(heard)
        try:
            if self.asked:
                heard()
            yield
        finally:
            self._cuts.discard(heard)

    @contextlib.asynccontextmanager
    async def cutting(self) -> AsyncIterator[Callable[[], None]]:
        """Cut the body short once asked, until it calls what is yielded: from then on it finishes by itself."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(0 if self.asked else None) as scope:

                def cut() -> None:
                    scope.reschedule(loop.time())

                self._cuts.add(cut)
                try:
                    yield lambda: self._cuts.discard(cut)
                finally:
                    self._cuts.discard(cut)
        except TimeoutError:
            if not scope.expired():
                raise

    async def wait(self) -> None:
        """Return once asked."""
        await self._event.wait()

    async def rest(self, seconds: float) -> None:
        """Sleep, but not longer than until asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._event.wait()


@contextlib.asynccontextmanager
async def unless_asked() -> AsyncIterator[None]:
    """Turn a cancellation that nobody asked of this task into SinkLost, while the block runs.

    Awaiting what somebody else cancelled raises the same error as being cancelled. A library that lets such a one
    out would end the task without a word: a TaskGroup takes no notice of tasks that end so.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        hint = "orchbridge tries again by itself; please report it"
        raise SinkLost("something that was waited for was cancelled, and nobody asked for that", hint=hint) from error


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
