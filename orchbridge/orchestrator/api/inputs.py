"""What a scheduled job runs, the way the newer API takes it (orchestrator API, section 10)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchbridge.orchestrator.api.drafts import RunFlags, secret
from orchbridge.orchestrator.calls import given
from orchbridge.orchestrator.hidden import Hidden
from orchbridge.orchestrator.models.common import Scope
from orchbridge.orchestrator.models.targets import Target


@dataclass(frozen=True, slots=True)
class DeployInput:
    """A Puppet run."""

    scope: Scope
    flags: RunFlags = field(default_factory=RunFlags)
    type = "deploy"

    def to_json(self) -> dict[str, Any]:
        """Return it the way the server takes it."""
        return {"scope": self.scope.to_json(), **self.flags.to_json()}

    def hidden(self) -> Hidden:
        """Return what of it may not be shown: nothing."""
        return Hidden()


@dataclass(frozen=True, slots=True)
class TaskInput:
    """A task with its parameters. No repr shows their values; `sensitive` is as in `client.commands`."""

    name: str
    parameters: Mapping[str, Any] = field(repr=False)
    scope: Scope
    targets: Sequence[Target] = ()
    noop: bool | None = None
    concurrency: int | None = None
    transport: str | None = None
    sensitive: Collection[str] | None = None
    type = "task"

    def to_json(self) -> dict[str, Any]:
        """Return it the way the server takes it."""
        targets = [target.to_json() for target in self.targets] or None
        return {
            "name": self.name,
            "parameters": {name: {"value": value} for name, value in self.parameters.items()},
            "scope": self.scope.to_json(),
            **given(targets=targets, noop=self.noop, concurrency=self.concurrency, transport=self.transport),
        }

    def hidden(self) -> Hidden:
        """Return what of it may not be shown."""
        return Hidden(secret(self.parameters, self.sensitive), *(target.secrets() for target in self.targets))


@dataclass(frozen=True, slots=True)
class PlanInput:
    """A plan with its parameters. No repr shows their values.

    lookups    parameters that become lists of certnames: {name: {"value": ..., "type": "query" | "node_group"}}
    sensitive  as in `client.commands`
    """

    name: str
    parameters: Mapping[str, Any] = field(repr=False)
    lookups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    sensitive: Collection[str] | None = None
    type = "plan"

    def to_json(self) -> dict[str, Any]:
        """Return it the way the server takes it."""
        plain = {name: {"value": value} for name, value in self.parameters.items()}
        return {"name": self.name, "parameters": {**plain, **self.lookups}}

    def hidden(self) -> Hidden:
        """Return what of it may not be shown."""
        return Hidden(secret({**self.parameters, **self.lookups}, self.sensitive))


Input: TypeAlias = DeployInput | TaskInput | PlanInput
