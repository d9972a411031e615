"""What several answers share: owners, scopes, states with their times (orchestrator API, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from orchbridge.core import times
from orchbridge.orchestrator import fields

Json: TypeAlias = dict[str, Any]


def moment(value: Any) -> datetime | None:
    """Return the time a text tells, None where it tells none."""
    return times.parse(fields.text(value))


@dataclass(frozen=True, slots=True)
class Ref:
    """What a command made: `id` of a job, plan job, scheduled job or task target, each counted apart.

    `recovered` is that the server's answer was lost, and this was found by its nonce.
    """

    id: int
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Who started something. Older servers tell id and login only; the rest can change at any time."""

    id: str | None
    login: str | None
    display_name: str | None = None
    email: str | None = field(default=None, repr=False)
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, value: Any) -> Owner:
        """Read an owner, empty where none was told."""
        told = fields.mapping(value)
        text = fields.text
        return cls(
            text(told.get("id")), text(told.get("login")), text(told.get("display_name")), text(told.get("email")), told
        )


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A state something was in; `left` is None for the one it is in."""

    state: str
    entered: datetime | None
    left: datetime | None

    @classmethod
    def read_all(cls, value: Any) -> tuple[StatusItem, ...]:
        """Read a chronological list of states."""
        return tuple(
            cls(fields.word(item.get("state")), moment(item.get("enter_time")), moment(item.get("exit_time")))
            for item in fields.listed(value)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which nodes a command is about: exactly one of these (else ValueError).

    nodes       certnames
    query       PQL, or the list form of a PuppetDB query; needs nodes:view_data:*
    node_group  id of a node group (2018.1 and later)
    """

    nodes: Sequence[str] | None = None
    query: str | Sequence[Any] | None = None
    node_group: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("nodes", "query", "node_group") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a scope takes exactly one of nodes, query and node_group, not {' and '.join(given) or 'none'}"
            )
        if isinstance(self.nodes, str):
            raise ValueError("nodes is a list of certnames, not one text")  # noqa: TRY004 - one error for a bad scope

    def to_json(self) -> Mapping[str, Any]:
        """Return it the way the server takes it."""
        if self.nodes is not None:
            return {"nodes": list(self.nodes)}
        return {"query": self.query} if self.query is not None else {"node_group": self.node_group}
