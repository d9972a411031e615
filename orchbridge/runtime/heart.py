"""Heartbeats: each claim says now and then, through its own lane, that it is alive."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from orchbridge.core.batch import Batch
from orchbridge.core.normalize.heartbeats import Claim, heartbeat
from orchbridge.core.ports import StreamId
from orchbridge.core.view import StreamView

WAIT_S = 2.0  # for a batch to travel with, before a heartbeat becomes one of its own


class Hearts(NamedTuple):
    """How a worker's streams beat: seconds between two, by source (none or 0: never), and what a state looks like."""

    intervals: Mapping[str, float]
    view: Callable[[StreamId, Any], StreamView]
    version: str


SILENT = Hearts({}, lambda _, __: StreamView(), "")


class Heart:
    """The heartbeats of one claim. The first is due at once: that a stream was claimed is news."""

    def __init__(self, claim: Claim, hearts: Hearts) -> None:
        self._claim = claim
        self._hearts = hearts
        self._interval_s = hearts.intervals.get(claim.stream.source, 0.0)
        self._due = claim.at if self._interval_s > 0 else math.inf
        self._n = 0
        self._records = 0

    def alone_s(self, now: float) -> float:
        """Return seconds until a heartbeat is sent even though there is nothing else to commit."""
        return max(0.0, self._due + WAIT_S - now)

    def within(self, batch: Batch, now: float) -> Batch:
        """Return the batch, with a heartbeat at its end where one is due."""
        if now < self._due or (batch.empty and now < self._due + WAIT_S):
            return batch
        records = self._records + len(batch.records)
        view = self._hearts.view(self._claim.stream, batch.state)
        beat = heartbeat(self._claim, self._n + 1, records, view, self._hearts.version, now)
        return msgspec.structs.replace(batch, records=(*batch.records, beat))

    def committed(self, batch: Batch, now: float) -> None:
        """Take note of what `within` gave, now that it is true."""
        self._records += len(batch.records)
        if self._due <= now:
            self._n, self._records = self._n + 1, 0
            self._due += self._interval_s * (1 + (now - self._due) // self._interval_s)
