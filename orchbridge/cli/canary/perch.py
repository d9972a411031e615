"""Where a canary is waited for: the certificates that this worker commits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from orchbridge.core.batch import Batch
from orchbridge.core.jobs.work import JobsState
from orchbridge.core.ports import StreamId
from orchbridge.core.records import JOBS
from orchbridge.ops.account import about

CERTIFICATE = "job.summary.v1"


@dataclass(frozen=True, slots=True)
class Landed:
    """A job whose certificate is in the sink, and so are all events it counts."""

    outcome: str | None
    complete: bool


class Perch:
    """Hears of one source's jobs. While nobody is waited for it keeps nothing.

    A certificate may be committed before the command that started its job is answered: so what is
    committed since `watching` began is remembered, by job.
    """

    def __init__(self, stream: StreamId) -> None:
        self._stream = stream
        self._landed: dict[int, Landed] | None = None
        self._news = asyncio.Event()
        self._losses = 0
        self._before = 0  # how often it was lost when `watch` began
        self.ours = False
        self.turned = asyncio.Event()  # set by every change of `ours`

    def taken(self, stream: StreamId) -> None:
        """The stream is ours."""
        self._turn(stream, ours=True)

    def lost(self, stream: StreamId) -> None:
        """The stream is another's."""
        self._turn(stream, ours=False)

    def committed(self, stream: StreamId, batch: Batch) -> None:
        """Take note of the certificates in a batch."""
        if self._landed is None or stream != self._stream:
            return
        for record in batch.records:
            if record.type == CERTIFICATE and record.channel == JOBS and not record.replay and record.data:
                complete = record.data.get("complete") is True
                self._landed[about(record.data).id] = Landed(record.data.get("outcome"), complete)
                self._news.set()

    def recalled(self, stream: StreamId, state: Any) -> None:
        """Take note of what was committed though the answer was lost: the sink remembers its certificates."""
        if self._landed is None or stream != self._stream or not isinstance(state, JobsState):
            return
        for track in state.tracks.values():
            if track.memo.certified and track.id not in self._landed:
                done = "success" if "finished" in track.memo.states else "failure"
                self._landed[track.id] = Landed(done, track.memo.complete)
                self._news.set()

    def watch(self) -> None:
        """Begin to remember what lands."""
        self._landed, self._before = {}, self._losses

    def rest(self) -> None:
        """Forget it."""
        self._landed = None

    async def landed(self, job: int) -> Landed:
        """Return once the certificate of this job is in the sink."""
        while self._landed is not None and job not in self._landed:
            self._news.clear()
            await self._news.wait()
        assert self._landed is not None
        return self._landed[job]

    async def gone(self) -> None:
        """Return once the stream was lost since `watch` began, though it may be ours again: what another
        worker committed meanwhile was not heard here."""
        while self._losses == self._before:
            self.turned.clear()
            await self.turned.wait()

    def _turn(self, stream: StreamId, *, ours: bool) -> None:
        if stream == self._stream:
            self._losses += self.ours and not ours
            self.ours = ours
            self.turned.set()
