"""Which channels a stream writes to, and how a record becomes a message that can always be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from orchbridge.core.ports import Codec, StreamId
from orchbridge.core.records import (
    AUDIT,
    HEARTBEAT,
    JOB_EVENTS,
    JOB_STATE,
    JOBS,
    NODE_STATE,
    NOTICES,
    PLANS,
    QUARANTINE,
    REACHABILITY,
    Message,
    Record,
)

Quarantine: TypeAlias = Callable[[Record, str], Record]

_ASCII_MAX = 16_000
_BARE = (
    *("instance", "epoch", "observed_at", "time_basis", "reason", "stage", "original_type", "size", "sha256"),
)  # fmt: skip

_ALWAYS = (QUARANTINE, NOTICES, HEARTBEAT)
_JOBS = (JOBS, JOB_EVENTS, JOB_STATE, *_ALWAYS)
_BY_KIND = {
    "jobs": _JOBS,
    "jobs-backfill": _JOBS,
    "plans": (PLANS, *_ALWAYS),
    "plans-backfill": (PLANS, *_ALWAYS),
    "inventory": (REACHABILITY, NODE_STATE, *_ALWAYS),
    "schedules": (JOBS, *_ALWAYS),
}
_ACTIVITY = "activity-"
_EVERYTHING = (*_JOBS, PLANS, REACHABILITY, NODE_STATE)


def channels(stream: StreamId) -> tuple[str, ...]:
    """Return the channels this stream may write to; a replay's are those of the stream it reads again."""
    if stream.kind.startswith("replay-"):
        return tuple(name for name in _BY_KIND.get(stream.kind.rpartition("-")[2], _EVERYTHING) if name != HEARTBEAT)
    if stream.kind.startswith(_ACTIVITY):
        return (AUDIT, *_ALWAYS)
    return _BY_KIND.get(stream.kind, _ALWAYS)


def topics(streams: Iterable[StreamId], codec: Codec) -> dict[str, str]:
    """Return every topic these streams may write to -> its channel."""
    return {codec.topic(stream.source, channel): channel for stream in streams for channel in channels(stream)}


def encode(record: Record, codec: Codec, quarantine: Quarantine) -> Message:
    """Return the record's message, or that of its quarantine record where it has none.

    A text that is no Unicode came from the source; it must neither
    stop the stream nor vanish.
    """
    try:
        return codec.encode(record)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        return codec.encode(quarantine(_plain(record), f"cannot be encoded: {type(error).__name__}: {error}"))


def bare(record: Record) -> Record:
    """Return a quarantine record with nothing but what names the original: the last that is tried.

    Its id is the same, so whichever of the two arrives stands for the original.
    """
    told = record.data or {}
    kept = {name: told.get(name) for name in _BARE}
    return msgspec.structs.replace(
        record, data={**kept, "original": None, "withheld": True}, headers=record.headers[1:3]
    )


def _plain(record: Record) -> Record:
    """Return the record with everything in ASCII, so that no second attempt can fail as the first did."""
    return msgspec.structs.replace(
        record,
        key=_ascii(record.key),
        id=_ascii(record.id),
        subject=_ascii(record.subject),
        correlation=None if record.correlation is None else _ascii(record.correlation),
        data={"unencodable": ascii(record.data)[:_ASCII_MAX]},
        headers=(),
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def of_stream(stream: StreamId, key: str) -> bool:
    """Whether a document belongs to the stream: its head, or one behind `<name>/`."""
    return key == stream.name or key.startswith(f"{stream.name}/")


def stream_of(key: str) -> str:
    """Return the name of the stream that a document belongs to: a stream may write one for another."""
    return "/".join(key.split("/", 2)[:2])
