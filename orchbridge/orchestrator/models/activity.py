"""What people did, from the Activity service (orchestrator API, section 15)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, moment


@dataclass(frozen=True, slots=True)
class Activity:
    """A thing that was done, or done to: a user, a job, a node group. v1 tells no type."""

    id: str | None
    name: str | None
    type: str | None

    @classmethod
    def read(cls, value: Any) -> Activity:
        """Read a subject or an object."""
        told = fields.mapping(value)
        return cls(fields.text(told.get("id")), fields.text(told.get("name")), fields.text(told.get("type")))


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry. It has no id: its place in the ascending list is all that tells it from others.

    ip_address is a chain of addresses, the first one nearest to the user.
    """

    at: datetime | None
    subject: Activity
    objects: tuple[Activity, ...]
    ip_address: str | None
    events: tuple[Json, ...] = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def messages(self) -> tuple[str, ...]:
        """What happened, in the server's words."""
        return tuple(text for event in self.events if (text := fields.text(event.get("message"))))

    @classmethod
    def read(cls, told: Json) -> Commit:
        """Read a commit of v1 (one `object`) or v2 (several `objects`)."""
        objects = fields.listed(told.get("objects")) or fields.listed([told.get("object")])
        return cls(
            at=moment(told.get("timestamp")),
            subject=Activity.read(told.get("subject")),
            objects=tuple(map(Activity.read, objects)),
            ip_address=fields.text(told.get("ip_address")),
            events=tuple(fields.listed(told.get("events"))),
            raw=told,
        )
