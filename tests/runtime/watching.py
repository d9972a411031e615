"""A Watch that remembers what it was told, so that tests need not read logs."""

from __future__ import annotations

import asyncio
from typing import Any

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import Share, StreamId
from orchbridge.core.questions import Trouble


class Watching:
    """Implements Watch; `told` holds (what, stream kind, detail), and `wait_for` returns once something was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []
        self.shares: list[Share] = []
        self.states: dict[str, Any] = {}
        self.items = 0
        self._news = asyncio.Event()

    def _tell(self, what: str, stream: StreamId, detail: Any = None) -> None:
        self.told.append((what, stream.kind, detail))
        self._news.set()

    def shared(self, share: Share) -> None:
        self.shares.append(share)
        self._news.set()

    def assigned(self, stream: StreamId) -> None:
        self._tell("assigned", stream)

    def claimed(self, stream: StreamId, state: Any) -> None:
        self.states[stream.kind] = state
        self._tell("claimed", stream, state)

    def read(self, stream: StreamId, items: int) -> None:
        self.items += items

    def lapped(self, stream: StreamId, batch: Batch, now: float) -> None:
        self.states[stream.kind] = batch.state

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None:
        self._tell("committed", stream, batch)

    def stumbled(self, stream: StreamId, loss: OrchbridgeError, pause_s: float) -> None:
        self._tell("stumbled", stream, loss)

    def troubled(self, stream: StreamId, subject: str, trouble: Trouble) -> None:
        self._tell("troubled", stream, (subject, trouble))

    def parked(self, stream: StreamId, refusal: OrchbridgeError) -> None:
        self._tell("parked", stream, refusal)

    def resumed(self, stream: StreamId) -> None:
        self._tell("resumed", stream)

    def released(self, stream: StreamId, reason: str) -> None:
        self._tell("released", stream, reason)

    def revoked(self, stream: StreamId, reason: str) -> None:
        self._tell("revoked", stream, reason)

    def waiting(self, stream: StreamId, state: Any) -> None:
        self._tell("waiting", stream, state)

    def finished(self, stream: StreamId, state: Any) -> None:
        self._tell("finished", stream, state)

    def count(self, what: str, kind: str | None = None) -> int:
        return sum(1 for told, of, _ in self.told if told == what and kind in {None, of})

    async def wait_for(self, what: str, times: int = 1, kind: str | None = None) -> Any:
        """Return the detail of the n-th such thing told; fails where it does not come within 5 s."""
        async with asyncio.timeout(5.0):
            while self.count(what, kind) < times:
                self._news.clear()
                await self._news.wait()
        return [detail for told, of, detail in self.told if told == what and kind in {None, of}][times - 1]
