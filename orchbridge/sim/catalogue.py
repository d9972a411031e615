"""The invented estate: who works here, its brokers, environments, tasks and plans.

Every planted secret contains the word PLANTED, so that one search proves that none got out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

PLANTED = "PLANTED"
CYCLIC_APPLICATION = "Ouroboros"
ENVIRONMENTS = ("production", "staging", "development")
BROKERS = ("pcp://pe.example.com/server", "pcp://compiler1.example.com/server")
CODE_ID = "urn:puppet:code-id:1:4f0c2a7e9b1d;{environment}"


def planted(what: str) -> str:
    """Return a secret that must never leave the bridge."""
    return f"{PLANTED}-{what}-7Qx2"


def _owner(number: int, login: str, name: str, roles: list[int], *, superuser: bool = False) -> dict[str, Any]:
    return {
        "id": f"5b1c9a52-0d5e-4a7e-9d0c-00000000000{number}",
        "login": login,
        "email": f"{login}@example.com",
        "display_name": name,
        "last_login": "2025-03-09T09:58:12.044Z",
        "is_group": False,
        "is_remote": False,
        "is_revoked": False,
        "is_superuser": superuser,
        "role_ids": roles,
        "inherited_role_ids": [],
    }


OWNERS: tuple[Mapping[str, Any], ...] = (
    _owner(1, "ops", "Operations", [2]),
    _owner(2, "ada", "Ada Byron", [2, 5]),
    _owner(3, "deployer", "Release Robot", [4]),
    _owner(4, "admin", "Administrator", [1], superuser=True),
)


class Task(msgspec.Struct, frozen=True):
    """A task: `metadata` is what its author wrote, None where the server has lost the task (404)."""

    name: str
    metadata: Mapping[str, Any] | None
    file: str = "init.sh"
    permitted: bool = True

    @property
    def sensitive(self) -> frozenset[str]:
        parameters = (self.metadata or {}).get("parameters", {})
        return frozenset(name for name, rules in parameters.items() if rules.get("sensitive"))


def _parameters(**kinds: str) -> dict[str, Any]:
    return {
        name: {"type": kind.rstrip("!"), **({"sensitive": True} if kind.endswith("!") else {})}
        for name, kind in kinds.items()
    }


def _meta(description: str, **kinds: str) -> dict[str, Any]:
    shape = {"private": False, "supports_noop": False, "input_method": "stdin"}
    return {"description": description, **shape, "parameters": _parameters(**kinds)}


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("facts", _meta("Gather facts")),
        Task("package", _meta("Manage a package", name="String[1]", action="Enum[status, upgrade]"), "init.rb"),
        Task("service::restart", _meta("Restart a service", service="String[1]"), "restart.sh"),
        Task(
            "dbx::dump",
            _meta("Dump a database", database="String[1]", password="Optional[String[1]]!", path="String"),  # noqa: S106
            "dump.sh",
        ),
        Task("vault::rotate", _meta("Rotate a secret", role="String[1]", token="String[1]!"), "rotate.py"),  # noqa: S106
        Task("adhoc::run", {}, "run.sh"),
        Task("legacy::cleanup", None, "cleanup.sh"),
        Task("lockdown::wipe", _meta("Wipe a disk", device="String[1]"), "wipe.sh", permitted=False),
    )
}

PLANS: Mapping[str, Mapping[str, Any]] = {
    "rollout::web": {
        "description": "Roll out the web tier",
        "parameters": {"batch": {"type": "Integer", "default_value": 5}, "token": {"type": "Sensitive[String]"}},
    },
    "rollout::drain": {"description": "Drain one node", "parameters": {"node": {"type": "String[1]"}}},
    "patching::weekly": {"description": "Patch and reboot", "parameters": {"group": {"type": "String"}}},
    "patching::adhoc": {},
    "lockdown::all": {},
}
SCRIPTED = frozenset({"patching::adhoc"})  # run a script where others run a task
FORBIDDEN_PLANS = frozenset({"lockdown::all"})


def sensitive_plan_parameters(plan: str) -> frozenset[str]:
    """Return the names of a plan's parameters of type Sensitive."""
    parameters = PLANS.get(plan, {}).get("parameters", {})
    return frozenset(name for name, rules in parameters.items() if rules["type"].startswith("Sensitive"))
