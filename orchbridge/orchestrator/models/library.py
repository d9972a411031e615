"""Tasks and plans as their authors describe them (orchestrator API, section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from orchbridge.core.redact import REDACTED
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json


@dataclass(frozen=True, slots=True)
class Listed:
    """A task or plan in a list. `permitted` None is that this version does not tell."""

    name: str
    permitted: bool | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Listed:
        """Read an item."""
        return cls(fields.text(told.get("name")) or "", fields.flag(told.get("permitted")), told)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter. `optional` is that it has a default, or a type that takes nothing."""

    name: str
    type: str | None
    description: str
    sensitive: bool
    default: Any = field(repr=False)
    optional: bool
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read_all(cls, value: Any) -> tuple[Parameter, ...]:
        """Read what a `parameters` object declares."""
        return tuple(cls._read(name, fields.mapping(told)) for name, told in fields.mapping(value).items())

    @classmethod
    def _read(cls, name: str, told: Json) -> Parameter:
        kind = fields.text(told.get("type"))
        has_default = "default" in told or "default_value" in told
        plain = (kind or "").replace(" ", "")
        return cls(
            name=name,
            type=kind,
            description=fields.text(told.get("description")) or "",
            sensitive=told.get("sensitive") is True or "Sensitive" in plain,
            default=told.get("default", told.get("default_value")),
            optional=has_default or plain.startswith(("Optional", "Sensitive[Optional")),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Described:
    """What its author declares of a task or plan.

    `parameters` None is that it declares none, and takes anything; () that it takes none.
    """

    name: str
    environment: str | None
    description: str
    parameters: tuple[Parameter, ...] | None
    permitted: bool | None
    metadata: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def sensitive(self) -> frozenset[str]:
        """The names of its sensitive parameters."""
        return frozenset(each.name for each in self.parameters or () if each.sensitive)

    def shown(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters fit to be shown: values of sensitive ones, and of undeclared ones, masked."""
        harmless = {each.name for each in self.parameters or () if not each.sensitive}
        return {name: value if name in harmless else REDACTED for name, value in params.items()}

    @classmethod
    def read(cls, told: Json) -> Self:
        """Read what is told of one."""
        metadata = fields.mapping(told.get("metadata"))
        return cls(
            name=fields.text(told.get("name")) or "",
            environment=_environment(told),
            description=fields.text(metadata.get("description")) or "",
            parameters=_parameters(metadata),
            permitted=fields.flag(told.get("permitted")),
            metadata=metadata,
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Plan(Described):
    """A plan."""


@dataclass(frozen=True, slots=True)
class Task(Described):
    """A task, and how it is run."""

    @property
    def supports_noop(self) -> bool:
        """Whether it can say what it would do without doing it."""
        return self.metadata.get("supports_noop") is True

    @property
    def private(self) -> bool:
        """Whether its author means it for other tasks and plans only."""
        return self.metadata.get("private") is True

    @property
    def input_method(self) -> str | None:
        """How it gets its parameters: stdin, environment, powershell, ...; None for the usual ways."""
        return fields.text(self.metadata.get("input_method"))

    @property
    def files(self) -> tuple[Mapping[str, Any], ...]:
        """The files it is made of: filename, uri, sha256, size_bytes."""
        return tuple(fields.listed(self.raw.get("files")))


def _parameters(metadata: Json) -> tuple[Parameter, ...] | None:
    return Parameter.read_all(metadata["parameters"]) if isinstance(metadata.get("parameters"), dict) else None


def _environment(told: Json) -> str | None:
    value = told.get("environment")
    return fields.text(value.get("name")) if isinstance(value, dict) else fields.text(value)
