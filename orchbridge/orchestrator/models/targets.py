"""Task targets, and agentless connection data for a task (orchestrator API, sections 5 and 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.calls import given
from orchbridge.orchestrator.models.common import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How agentless nodes of a task's scope are reached. Its repr shows no secret.

    transport is ssh or winrm; connect_timeout is in seconds; one of password and private_key_content.
    """

    hostnames: Sequence[str]
    user: str
    transport: str
    password: str | None = field(default=None, repr=False)
    private_key_content: str | None = field(default=None, repr=False)
    port: int | None = None
    run_as: str | None = None
    sudo_password: str | None = field(default=None, repr=False)
    run_as_command: str | None = field(default=None, repr=False)
    connect_timeout: int | None = None
    tty: bool | None = None
    tmpdir: str | None = None
    extensions: Any = field(default=None, repr=False)

    def secrets(self) -> tuple[str, ...]:
        """Return what of it may not be shown."""
        return tuple(
            each for each in (self.password, self.private_key_content, self.sudo_password, self.run_as_command) if each
        )

    def to_json(self) -> Mapping[str, Any]:
        """Return it the way the server takes it."""
        optional = {
            "password": self.password,
            "private-key-content": self.private_key_content,
            "port": self.port,
            "run-as": self.run_as,
            "sudo-password": self.sudo_password,
            "run-as-command": self.run_as_command,
            "connect-timeout": self.connect_timeout,
            "tty": self.tty,
            "tmpdir": self.tmpdir,
            "extensions": self.extensions,
        }
        return {
            "hostnames": list(self.hostnames),
            "user": self.user,
            "transport": self.transport,
            **given(**optional),
        }


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """Which tasks a user may run on which nodes. `tasks` is () where `all_tasks` is true."""

    id: int
    display_name: str
    all_tasks: bool
    tasks: tuple[str, ...]
    nodes: tuple[str, ...]
    node_groups: tuple[str, ...]
    pql_query: str | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> TaskTarget | None:
        """Read a task target, None where it has no usable id."""
        number = fields.own_id(told)
        if number is None:
            return None
        return cls(
            id=number,
            display_name=fields.text(told.get("display_name")) or "",
            all_tasks=told.get("all_tasks") in (True, "true"),
            tasks=fields.names(told.get("tasks")),
            nodes=fields.names(told.get("nodes")),
            node_groups=fields.names(told.get("node_groups")),
            pql_query=fields.text(told.get("pql_query")),
            raw=told,
        )
