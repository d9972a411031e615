"""Task targets: which tasks may be run on which nodes (orchestrator API, section 12)."""

from __future__ import annotations

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.paging import made
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import read
from orchbridge.orchestrator.models import TaskTarget


class Scopes:
    """`client.scopes`; since 2019.4. `client.commands.task_target` makes one."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def task_targets(self) -> tuple[TaskTarget, ...]:
        """Return all task targets."""
        call = read("/scopes/task_targets")
        told = await self._caller.told(call)
        return tuple(made(call, item, TaskTarget.read) for item in fields.listed(told.get("items")))

    async def task_target(self, target: int) -> TaskTarget:
        """Return one task target. Raises UnknownTaskTarget."""
        call = read("/scopes/task_targets/:id", target)
        return made(call, await self._caller.told(call), TaskTarget.read)
