"""Tasks and plans with what their authors declare (orchestrator API, section 8)."""

from __future__ import annotations

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import read
from orchbridge.orchestrator.models import Listed, Plan, Task


class Tasks:
    """`client.tasks`; since 2017.3."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(self, environment: str = "production") -> tuple[Listed, ...]:
        """Return the tasks of an environment. Raises UnknownEnvironment."""
        told = await self._caller.told(read("/tasks", params={"environment": environment}))
        return tuple(map(Listed.read, fields.listed(told.get("items"))))

    async def get(self, name: str, environment: str = "production") -> Task:
        """Return a task, `module::name` or the module alone for its own, with its parameters.

        Raises UnknownTask, UnknownEnvironment, Invalid.
        """
        call = read("/tasks/:module/:task", *_parts(name), params={"environment": environment})
        return Task.read(await self._caller.told(call))


class Plans:
    """`client.plans`; since 2019.2."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(self, environment: str = "production") -> tuple[Listed, ...]:
        """Return the plans of an environment. Raises UnknownEnvironment."""
        told = await self._caller.told(read("/plans", params={"environment": environment}))
        return tuple(map(Listed.read, fields.listed(told.get("items"))))

    async def get(self, name: str, environment: str = "production") -> Plan:
        """Return a plan, `module::name` or the module alone for its own, with its parameters.

        Raises UnknownPlan, UnknownEnvironment, Invalid.
        """
        call = read("/plans/:module/:plan", *_parts(name), params={"environment": environment})
        return Plan.read(await self._caller.told(call))


def _parts(name: str) -> tuple[str, str]:
    """Return module and name; what a module is called after has the name init."""
    module, _, rest = name.partition("::")
    return module, rest or "init"
