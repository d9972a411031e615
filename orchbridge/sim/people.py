"""Who may do what: users, their rights, and the roles that give them (reference 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from orchbridge.sim.catalogue import OWNERS

BRIDGE = "bridge"  # whose token the simulator is started with; it may do everything
PASSWORD = "simulated"  # noqa: S105 - of everybody here, and written in --help
EVERYTHING = "*"
VIEW_JOBS = "orchestrator:view:*"
OTHERS_SCHEDULES = "scheduled_jobs:delete:*"  # its name is not public; "Delete another user's scheduled jobs"
ON_TARGET = "tasks:run_with_constraints"  # nor is that of a right that holds for one task target

_SIGHT = frozenset({VIEW_JOBS, "nodes:view_data:*", "node_groups:view:*"})
ROLES: Mapping[int, tuple[str, frozenset[str]]] = {
    1: ("Administrators", frozenset({EVERYTHING})),
    2: ("Operators", _SIGHT | {"tasks:run:*", "plans:run:*", "puppet_agent:run:*"}),
    3: ("Viewers", _SIGHT),
    4: ("Project Deployers", _SIGHT | {"puppet_agent:run:*"}),
    5: ("Patchers", frozenset({"tasks:run:package", "plans:run:patching::weekly"})),
}


@dataclass(slots=True)
class User:
    """One account. `about` is what PE shows of it as an owner; `failures` counts wrong passwords in a row."""

    login: str
    about: dict[str, Any]
    permissions: frozenset[str]
    password: str = field(default=PASSWORD, repr=False)
    ambiguous: bool = False
    failures: int = 0
    idle_minutes: int | None = None

    @property
    def id(self) -> str:
        return str(self.about["id"])

    @property
    def revoked(self) -> bool:
        return bool(self.about["is_revoked"])

    @property
    def superuser(self) -> bool:
        return bool(self.about["is_superuser"])

    def may(self, permission: str) -> bool:
        """Whether one right, written `type:action:object`, is theirs: by itself, or for all objects."""
        if self.superuser or EVERYTHING in self.permissions:
            return True
        kind, action, _ = permission.split(":", 2)
        return not self.permissions.isdisjoint({permission, f"{kind}:{action}:*"})

    def allow(self, permissions: Iterable[str], roles: Iterable[int]) -> None:
        """Give them these rights and those of these roles, and no others."""
        self.about["role_ids"] = list(roles)
        self.permissions = frozenset(permissions) | rights_of(self.about["role_ids"])

    def objects_of(self, right: str) -> list[str]:
        """Return the objects that single rights of this `type:action` name."""
        return sorted(one[len(right) + 1 :] for one in self.permissions if one.startswith(f"{right}:"))


def made(login: str, permissions: Iterable[str] = (), roles: Iterable[int] = (), **more: Any) -> User:
    """Return a new account; `more` are fields of User."""
    roles = list(roles)
    about = {
        "id": str(uuid5(NAMESPACE_DNS, f"{login}.pe.example.com")),
        "login": login,
        "email": f"{login}@example.com",
        "display_name": login.capitalize(),
        "last_login": None,
        "is_group": False,
        "is_remote": False,
        "is_revoked": False,
        "is_superuser": False,
        "role_ids": roles,
        "inherited_role_ids": [],
    }
    return User(login, about, frozenset(permissions) | rights_of(roles), **more)


def rights_of(roles: Iterable[int]) -> frozenset[str]:
    """Return what roles, by id, allow together."""
    return frozenset().union(*(ROLES[role][1] for role in roles if role in ROLES))


def staff() -> dict[str, User]:
    """Return the accounts a new world has, by login."""
    people = [User(str(owner["login"]), dict(owner), rights_of(owner["role_ids"])) for owner in OWNERS]
    bridge = made(BRIDGE, {EVERYTHING})
    bridge.about |= {"id": "33333333-3333-4333-8333-333333333333", "role_ids": [3]}
    people += [bridge, made("viewer", roles=[3]), made("nobody")]
    return {user.login: user for user in people}
