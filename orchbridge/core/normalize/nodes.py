"""Changes of reachability and the nodes' compacted documents as records."""

from __future__ import annotations

from typing import Any

from orchbridge.core import times
from orchbridge.core.inventory.node import Node, document
from orchbridge.core.normalize.context import Origin
from orchbridge.core.records import INFO, NODE_STATE, REACHABILITY, WARN, Record


def previous(node: Node | None) -> dict[str, Any] | None:
    """Return what was known before, for `data.previous`."""
    if node is None:
        return None
    return {"connected": node.connected, "broker": node.broker, "connected_at": node.since}


def _base(origin: Origin, epoch: str, observed: str, *, pe: bool) -> dict[str, Any]:
    return {
        "instance": origin.instance,
        "epoch": epoch,
        "observed_at": observed,
        "time_basis": "pe" if pe else "observed",
    }


def _change(origin: Origin, epoch: str, name: str, kind: str, suffix: str, time: str, data: dict[str, Any]) -> Record:
    severity = INFO if kind == "connected" else WARN
    return Record(
        REACHABILITY, origin.instance, name, f"{epoch}:node/{name}/{suffix}", f"node.{kind}.v1", f"node/{name}",
        time, data["observed_at"], epoch, data, None, severity, f"node/{name}", origin.replay,
    )  # fmt: skip


def _session(node: Node) -> str:
    """Name a session by its start, `/2` and on where the very same one came back; one without by its document."""
    if not node.since:
        return f"unknown-{node.revision}"
    return f"{node.since}/{node.returns + 1}" if node.returns else node.since


def connected(origin: Origin, epoch: str, name: str, node: Node, before: Node | None, observed: str) -> Record:
    """Return `node.connected`; `before` is None for a node never seen."""
    known = times.seconds(node.since) is not None
    data = _base(origin, epoch, observed, pe=known)
    data |= {"node": name, "broker": node.broker, "connected_at": node.since, "previous": previous(before)}
    moved = before is not None and before.connected and before.since == node.since
    suffix = f"up/{_session(node) if node.since else observed}" + (f"/{node.broker}" if moved else "")
    return _change(origin, epoch, name, "connected", suffix, node.since if known and node.since else observed, data)


def disconnected(
    origin: Origin, epoch: str, name: str, before: Node, observed: str, *, now: float, polls: int, age_s: float
) -> Record:
    """Return `node.disconnected`, named after the session that ended; the time is ours, PE tells none."""
    data = _base(origin, epoch, observed, pe=False)
    began = times.seconds(before.since)
    data |= {
        "node": name,
        "broker": None,
        "connected_at": None,
        "previous": previous(before),
        "ended_after_s": None if began is None else max(0.0, round(now - began, 3)),
        "confirmed_by": polls,
        "inventory_age_s": round(age_s, 3),
    }
    return _change(origin, epoch, name, "disconnected", f"down-after/{_session(before)}", observed, data)


def removed(origin: Origin, epoch: str, name: str, before: Node, observed: str) -> Record:
    """Return `node.removed`: gone for so long that it is forgotten."""
    data = _base(origin, epoch, observed, pe=False)
    data |= {"node": name, "broker": None, "connected_at": None, "previous": previous(before)}
    return _change(origin, epoch, name, "removed", f"removed-after/{_session(before)}", observed, data)


def node_document(origin: Origin, epoch: str, name: str, node: Node, observed: str, now: float) -> Record:
    """Return the node's latest document for the compacted topic."""
    data = _base(origin, epoch, observed, pe=False)
    data |= document(name, node, now)
    return Record(
        NODE_STATE, origin.instance, name, f"{epoch}:node/{name}/document/{node.revision}", "node.document.v1",
        f"node/{name}", observed, observed, epoch, data, None, INFO, f"node/{name}", origin.replay,
    )  # fmt: skip


def node_forgotten(origin: Origin, epoch: str, name: str, node: Node, observed: str) -> Record:
    """Return the tombstone of a node's document."""
    return Record(
        NODE_STATE, origin.instance, name, f"{epoch}:node/{name}/document/{node.revision + 1}", "node.document.v1",
        f"node/{name}", observed, observed, epoch, None,
    )  # fmt: skip
