"""The API's own index, and how its services are (orchestrator API, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json


@dataclass(frozen=True, slots=True)
class Root:
    """The API's index. What it lists is not all a server can do, so nothing is to be concluded from it."""

    title: str
    version: str
    collections: tuple[str, ...]
    commands: tuple[str, ...]
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Root:
        """Read the index."""
        info = fields.mapping(told.get("info"))

        def names(key: str) -> tuple[str, ...]:
            return tuple(name for item in fields.listed(told.get(key)) if (name := fields.text(item.get("name"))))

        return cls(
            fields.text(info.get("title")) or "",
            fields.text(info.get("version")) or "",
            names("collections"),
            names("commands"),
            told,
        )


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `state` is running, error, unknown or what else it says; `alerts` pairs of severity and message."""

    name: str
    state: str
    version: str | None
    detail_level: str | None
    status: Json = field(repr=False)
    alerts: tuple[tuple[str, str], ...]
    raw: Json = field(repr=False, compare=False)

    @property
    def running(self) -> bool:
        """Whether it says that it is well."""
        return self.state == "running"

    @classmethod
    def read(cls, name: str, told: Json) -> Service:
        """Read a service, bare or still wrapped in its name."""
        inner = told.get(name)
        if "state" not in told and isinstance(inner, dict):
            told = inner
        return cls(
            name=name,
            state=fields.word(told.get("state")) or "unknown",
            version=fields.text(told.get("service_version")),
            detail_level=fields.text(told.get("detail_level")),
            status=fields.mapping(told.get("status")),
            alerts=tuple(
                (fields.word(alert.get("severity")), fields.text(alert.get("message")) or "")
                for alert in fields.listed(told.get("active_alerts"))
            ),
            raw=told,
        )

    @classmethod
    def read_all(cls, told: Json) -> Mapping[str, Service]:
        """Read an object keyed by service."""
        return {name: cls.read(name, value) for name, value in told.items() if isinstance(value, dict)}
