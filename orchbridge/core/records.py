"""Records: what leaves the bridge, before any encoding."""

from __future__ import annotations

from typing import Any

import msgspec

JOBS = "jobs"
JOB_EVENTS = "job-events"
PLANS = "plans"
REACHABILITY = "reachability"
AUDIT = "audit"
JOB_STATE = "job-state"
NODE_STATE = "node-state"
QUARANTINE = "quarantine"
NOTICES = "notices"
HEARTBEAT = "heartbeat"

CHANNELS = (JOBS, JOB_EVENTS, PLANS, REACHABILITY, AUDIT, JOB_STATE, NODE_STATE, QUARANTINE, NOTICES, HEARTBEAT)
COMPACTED = frozenset({JOB_STATE, NODE_STATE})

INFO, WARN, ERROR = 9, 13, 17  # OpenTelemetry severity numbers


class Record(msgspec.Struct, frozen=True):
    """One fact on its way to one channel (event-formats 2.2).

    channel      the topic's last part, such as `job-events`
    instance     the source's configured name, such as `prod`
    key          bare record key: `352`, a certname; encoders prefix it where topics are shared
    id           deterministic: the same fact has the same id on every read, replay and worker
    type         without the vendor prefix: `job.node.failed.v1`
    subject      `job/352/node/web01.example.com`
    time         RFC 3339 text, PE's own stamp where it gave one
    observed     RFC 3339 text, when we read it
    data         the normal form (event-formats 8); values may be msgspec.Raw; None deletes the
                 key's state from a compacted channel
    sequence     PE's event id, None where PE gives none
    headers      further transport headers (quarantine: the error headers Kafka tools know)
    """

    channel: str
    instance: str
    key: str
    id: str
    type: str
    subject: str
    time: str
    observed: str
    epoch: str
    data: dict[str, Any] | None
    sequence: int | None = None
    severity: int = INFO
    correlation: str | None = None
    replay: bool = False
    service: str = "orchestrator/v1"
    headers: tuple[tuple[str, str], ...] = ()


class Message(msgspec.Struct, frozen=True):
    """A record as bytes for a transport; `value` None is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int
