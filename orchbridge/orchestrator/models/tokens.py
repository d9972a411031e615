"""Tokens of RBAC (orchestrator API, section 14)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, moment


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was just made. Only `token` holds it; no repr shows it."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What RBAC tells of a token. `expires` None with `endless` False is that it does not say.

    timeout is what ends an unused token, in the server's units, None where nothing does.
    """

    login: str
    user_id: str | None
    display_name: str | None
    created: datetime | None
    expires: datetime | None
    endless: bool
    last_active: datetime | None
    timeout: Any
    superuser: bool
    revoked: bool
    remote: bool
    role_ids: tuple[int, ...]
    label: str | None
    description: str | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> TokenInfo:
        """Read what `authenticate` answers."""
        roles = told.get("role_ids")
        return cls(
            login=fields.text(told.get("login")) or "",
            user_id=fields.text(told.get("user_id")) or fields.text(told.get("id")),
            display_name=fields.text(told.get("display_name")),
            created=moment(told.get("creation")),
            expires=moment(told.get("expiration")),
            endless="expiration" in told and told["expiration"] is None,
            last_active=moment(told.get("last_active")),
            timeout=told.get("timeout"),
            superuser=told.get("is_superuser") is True,
            revoked=told.get("is_revoked") is True,
            remote=told.get("is_remote") is True,
            role_ids=tuple(role for role in roles if isinstance(role, int)) if isinstance(roles, list) else (),
            label=fields.text(told.get("label")),
            description=fields.text(told.get("description")),
            raw=told,
        )
