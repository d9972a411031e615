"""What RBAC tells of a token (reference 14); a real one listens on port 4433, here it is the same port."""

from __future__ import annotations

from secrets import compare_digest
from typing import Any

from orchbridge.sim.answers import Answer, Ask, Problem, Route, invalid, not_found, reply
from orchbridge.sim.knobs import AUTH_TEXTS, RBAC_STATUS

DAY_S = 86_400.0
OWNER = "33333333-3333-4333-8333-333333333333"


def routes(token: str | None) -> tuple[Route, ...]:
    """Return the routes below /rbac-api/v2 that know this token; None takes any for a good one."""

    def authenticate(ask: Ask) -> Answer:
        """POST /rbac-api/v2/auth/token/authenticate"""
        life, fault = ask.knobs.dose("token_life"), ask.knobs.dose("auth_fault").form
        if life.form == "absent":
            return not_found()
        given = ask.body.get("token") if isinstance(ask.body, dict) else None
        if not isinstance(given, str):
            return invalid("The token is missing")
        if fault == "none" and token is not None and not compare_digest(given.encode(), token.encode()):
            fault = "invalid"
        if fault != "none":
            kind, text = AUTH_TEXTS[fault]
            return Problem(RBAC_STATUS.get(kind, 401), f"puppetlabs.rbac/{kind}", text)
        return reply(_about(ask, life.form, life.amount))

    return (Route("POST", "auth/token/authenticate", authenticate),)


def _about(ask: Ask, form: str, days: float) -> dict[str, Any]:
    stamp = ask.world.course.text_ms
    ends = {} if form == "untold" else {"expiration": None if form == "endless" else stamp(days * DAY_S)}
    return {
        "login": "bridge",
        "id": OWNER,
        "user_id": OWNER,
        "display_name": "Bridge",
        "email": "bridge@example.com",
        "is_revoked": False,
        "is_remote": False,
        "is_superuser": form == "superuser",
        "is_group": False,
        "role_ids": [3],
        "creation": stamp(-DAY_S),
        **ends,
        "last_active": stamp(ask.now),
        "last_login": stamp(-DAY_S),
        "timeout": None,
        "label": None,
        "client": "",
        "description": "",
    }
