"""Task targets: which tasks may be run on which nodes (orchestrator API, section 12)."""

from __future__ import annotations

from orchbridge.orchestrator.api.paging import all_made, made
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import read
from orchbridge.orchestrator.models import TaskTarget


class Scopes:
    """`client.scopes`; since 2019.4. `client.commands.task_target` makes one."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def task_targets(self) -> tuple[TaskTarget, ...]:
        """Return all task targets. Raises Unsupported before 2019.4."""
        call = read("/scopes/task_targets")
        return all_made(call, await self._caller.told(call), TaskTarget.read)

    async def task_target(self, target: int) -> TaskTarget:
        """Return one task target. Raises UnknownTaskTarget."""
        call = read("/scopes/task_targets/:id", target)
        return made(call, await self._caller.told(call), TaskTarget.read)
