"""What a replay has done so far, as the tails tell it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from orchbridge.cli.replay.patience import Patience
from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Trouble
from orchbridge.core.records import JOBS, PLANS
from orchbridge.core.view import StreamView
from orchbridge.core.window import Progress

CERTIFICATE = "job.summary.v1"


class Tally:
    """A watch of the tail of one kind; `view` makes numbers of its state.

    records     committed in this run, by channel
    complete    whether each job's newest certificate is, by job
    ids         jobs or plans that records of this run are about
    """

    def __init__(self, view: Callable[[Any], StreamView], patience: Patience) -> None:
        self.records: Counter[str] = Counter()
        self.complete: dict[str, bool] = {}
        self.ids: set[int] = set()
        self.repeated = 0
        self.over = False
        self._view = view
        self._patience = patience
        self._state: Any = None
        self._begun: tuple[float, int] | None = None

    @property
    def progress(self) -> Progress:
        """How far it has come, earlier runs included."""
        told = None if self._state is None else self._view(self._state).progress
        return Progress() if told is None else told

    def rate(self) -> float | None:
        """Return jobs or plans a second in this run; None before there is a first one."""
        if self._begun is None:
            return None
        at, before = self._begun
        done, seconds = self.progress.done - before, time.monotonic() - at
        return done / seconds if done > 0 and seconds >= 1.0 else None

    def claimed(self, stream: StreamId, state: Any) -> None:  # noqa: ARG002 - the port's signature, here and below
        self._state = state

    def lapped(self, stream: StreamId, batch: Batch, now: float) -> None:  # noqa: ARG002
        self._state = batch.state
        if self._begun is None and self.progress.total:
            self._begun = (time.monotonic(), self.progress.done)

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None:  # noqa: ARG002
        self._patience.well("sink")
        self._state = batch.state
        for record in batch.records:
            self.records[record.channel] += 1
            if record.channel in {JOBS, PLANS} and record.key.isdecimal():
                self.ids.add(int(record.key))
            if record.type == CERTIFICATE and record.data is not None:
                self.complete[record.key] = bool(record.data.get("complete"))

    def stumbled(self, stream: StreamId, loss: OrchbridgeError, pause_s: float) -> None:  # noqa: ARG002
        self._patience.failed("sink", str(loss))

    def troubled(self, stream: StreamId, subject: str, trouble: Trouble) -> None:  # noqa: ARG002
        self.repeated += 1

    def finished(self, stream: StreamId, state: Any) -> None:  # noqa: ARG002
        self._state = state
        self.over = True

    def read(self, stream: StreamId, items: int) -> None: ...
    def parked(self, stream: StreamId, refusal: OrchbridgeError) -> None: ...
    def resumed(self, stream: StreamId) -> None: ...
    def released(self, stream: StreamId, reason: str) -> None: ...
    def waiting(self, stream: StreamId, state: Any) -> None: ...
    def shared(self, share: Any) -> None: ...
    def assigned(self, stream: StreamId) -> None: ...
    def revoked(self, stream: StreamId, reason: str) -> None: ...
