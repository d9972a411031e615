"""One node as it is remembered: small, because there may be a hundred thousand."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core import times

DAY_S = 86_400.0
FLAPS_MAX = 50
FLAPPING_LOSSES, FLAPPING_S = 3, 3_600.0


class Node(msgspec.Struct, frozen=True, gc=False):
    """What the node's document says.

    since    when its session began, as PE wrote it; kept when it is gone
    changed  when `connected` last changed as far as we know (Unix seconds)
    returns  how often this very session went and came back, so that ids stay unique
    flaps    when it was lost within the last day (Unix seconds)
    newest   the newest session told of, where an older one showed again
    """

    connected: bool
    broker: str | None
    since: str | None
    changed: float
    revision: int
    returns: int = 0
    flaps: tuple[float, ...] = ()
    newest: str | None = None


class _Document(msgspec.Struct):
    connected: bool
    broker: str | None = None
    connected_at: str | None = None
    changed_at: str | None = None
    revision: int = 1
    session_returns: int = 0
    lost_at: tuple[str, ...] = ()
    newest_session: str | None = None


_DECODER = msgspec.json.Decoder(_Document)


def document(name: str, node: Node, now: float) -> dict[str, Any]:
    """Return the fields of `node.document` (event-formats 8) that describe the node."""
    told: dict[str, Any] = {
        "node": name,
        "connected": node.connected,
        "broker": node.broker,
        "connected_at": node.since,
        "changed_at": times.text(node.changed),
        "flaps_24h": len(recent_flaps(node, now)),
        "revision": node.revision,
        "session_returns": node.returns,
        "lost_at": [times.text(at) for at in node.flaps],
    }
    return told if node.newest is None else told | {"newest_session": node.newest}


def from_document(data: bytes, brokers: dict[str, str]) -> Node:
    """Return the node that a document describes; equal broker names become one string."""
    found = _DECODER.decode(data)
    broker = None if found.broker is None else brokers.setdefault(found.broker, found.broker)
    changed = times.seconds(found.changed_at) or 0.0
    flaps = tuple(at for at in map(times.seconds, found.lost_at) if at is not None)
    return Node(
        found.connected, broker, found.connected_at, changed, found.revision, found.session_returns, flaps,
        found.newest_session,
    )  # fmt: skip


def flaps_until(node: Node) -> float | None:
    """Return until when (Unix seconds) a node counts as flapping, None where it was not lost often enough."""
    return node.flaps[-FLAPPING_LOSSES] + FLAPPING_S if len(node.flaps) >= FLAPPING_LOSSES else None


def recent_flaps(node: Node, now: float) -> tuple[float, ...]:
    """Return the losses of the last day, the newest 50."""
    return tuple(at for at in node.flaps if now - at < DAY_S)[-FLAPS_MAX:]
