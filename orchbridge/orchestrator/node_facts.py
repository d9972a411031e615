"""Inventory rows, task metadata and service states."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from orchbridge.core.facts import Connection, Odd, TaskMeta
from orchbridge.core.questions import Health
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.odd import encoded, understood


class _Row(msgspec.Struct, gc=False):
    name: str
    connected: bool
    broker: str | None = None
    timestamp: str | None = None


_ROW = msgspec.json.Decoder(_Row)


def connection(item: bytes | msgspec.Raw) -> Connection | Odd:
    """Read one inventory row. Brokers are few: their names are shared, a large inventory has 100,000 rows."""
    try:
        row = _ROW.decode(item)
    except (ValueError, RecursionError):
        told = understood(bytes(item))
        return told if isinstance(told, Odd) else connection_of(told)
    if not row.name:
        return Odd(bytes(item), "a node without a name")
    broker = sys.intern(row.broker) if row.broker else None
    return Connection(row.name, row.connected, broker, row.timestamp or None)


def connection_of(told: Mapping[str, Any]) -> Connection | Odd:
    """Read one inventory row from its decoded object."""
    name, connected = fields.text(told.get("name")), told.get("connected")
    if connected in ("true", "false"):
        connected = connected == "true"
    if name is None or not isinstance(connected, bool):
        return Odd(encoded(told), "a node without a name, or without word of its connection")
    broker = fields.text(told.get("broker"))
    return Connection(name, connected, sys.intern(broker) if broker else None, fields.text(told.get("timestamp")))


def task_meta(told: dict[str, Any], asked: str) -> TaskMeta | None:
    """Read what a task declares sensitive; None where the answer does not tell.

    Whatever is neither false nor absent counts as sensitive, since a mistake here would
    show a secret.
    """
    metadata = told.get("metadata")
    if not isinstance(metadata, dict):
        return None
    parameters = metadata.get("parameters") or {}
    if not isinstance(parameters, dict):
        return None
    secret = (
        name
        for name, about in parameters.items()
        if about is not None
        and (not isinstance(about, dict) or about.get("sensitive") not in (None, False, "false", ""))
    )
    return TaskMeta(fields.text(told.get("name")) or asked, tuple(secret))


def health(told: dict[str, Any]) -> Health | None:
    """Read a service's state word, bare or wrapped in the service's name; None where there is none."""
    state = fields.text(told.get("state"))
    if state is None and len(told) == 1:
        state = fields.text(fields.mapping(next(iter(told.values()))).get("state"))
    return Health(state) if state else None
