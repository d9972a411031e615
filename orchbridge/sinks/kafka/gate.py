"""Between a lane and its commits: held while the workers share out anew, shut once the stream is another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchbridge.core.errors import Fenced, SinkLost

HOLD_S = 8.0  # longer than an honest sharing-out takes, shorter than a worker's patience at its end


class Gate:
    """Whether one stream's lanes may begin a commit. It starts shut: nothing is ours before the group says so."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._held = False
        self._shut = f"{stream} has not been given to us"
        self._moved = asyncio.Event()  # set whenever it is opened or shut
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def ours(self) -> bool:
        """Whether the group's last decision gave us the stream."""
        return not self._shut

    def open(self) -> None:
        """The stream is ours, or ours again: whoever waits goes on."""
        self._held, self._shut = False, ""
        self._moved.set()

    def hold(self) -> None:
        """The group is about to decide anew: let no commit begin until it has."""
        self._held = True
        self._moved.clear()

    def shut(self, reason: str) -> None:
        """The stream is not ours any more: whoever waits or comes is told so."""
        self._held, self._shut = False, reason
        self._moved.set()

    @asynccontextmanager
    async def passing(self, limit_s: float = HOLD_S) -> AsyncIterator[None]:
        """Count one commit; raise Fenced where the stream is another's, SinkLost where the group does not decide."""
        try:
            async with asyncio.timeout(limit_s):
                while self._held:
                    await self._moved.wait()
        except TimeoutError as error:
            raise SinkLost(
                f"stream {self._stream}: the workers' group has been sharing out the streams for {limit_s:.0f} s",
                hint="look at the brokers and at the other workers; orchbridge tries again by itself",
            ) from error
        if self._shut:
            raise Fenced(self._shut)
        self._under_way += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def quiet(self) -> None:
        """Return once no commit is under way."""
        await self._quiet.wait()
