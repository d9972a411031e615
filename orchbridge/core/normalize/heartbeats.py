"""The heartbeat of a claim: a record that says a stream is carried, so that its absence says it is not."""

from __future__ import annotations

import msgspec

from orchbridge.core import times
from orchbridge.core.ports import StreamId
from orchbridge.core.records import HEARTBEAT, Record
from orchbridge.core.view import StreamView


class Claim(msgspec.Struct, frozen=True):
    """One claim of a stream: `number` counts the claims of one worker, whatever the stream; `at` is Unix seconds."""

    worker: str
    number: int
    stream: StreamId
    at: float


def heartbeat(claim: Claim, n: int, records: int, view: StreamView, version: str, now: float) -> Record:
    """Return the n-th heartbeat of a claim, from 1 on without gaps.

    `records` were committed since the one before, those of this very commit included, heartbeats not.
    """
    observed, epoch, instance = times.text(now), view.epoch or "e1", claim.stream.source
    data = {
        "instance": instance,
        "epoch": epoch,
        "observed_at": observed,
        "time_basis": "observed",
        "worker": claim.worker,
        "stream": claim.stream.kind,
        "n": n,
        "claimed_at": times.text(claim.at),
        "position": view.position,
        "records": records,
        "version": version,
    }
    return Record(
        HEARTBEAT, instance, instance, f"{claim.worker}/{claim.number}/{n}", "bridge.heartbeat.v1", "bridge",
        observed, observed, epoch, data,
    )  # fmt: skip
