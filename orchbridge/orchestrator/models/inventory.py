"""Which nodes are connected (orchestrator API, section 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, moment


@dataclass(frozen=True, slots=True)
class Connection:
    """A node as the brokers see it. `since` is when it opened its session, not when it was last seen."""

    name: str
    connected: bool
    broker: str | None
    since: datetime | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Connection | None:
        """Read a row, None where it has no name."""
        name = fields.text(told.get("name"))
        if name is None:
            return None
        return cls(
            name, told.get("connected") is True, fields.text(told.get("broker")), moment(told.get("timestamp")), told
        )
