"""Logins and tokens (reference 14); real ones are asked for on port 4433, here it is the same port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchbridge.sim.activity import about_user
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, invalid, not_found, params, reply, typed
from orchbridge.sim.knobs import AUTH_TEXTS, RBAC_STATUS
from orchbridge.sim.people import EVERYTHING, User
from orchbridge.sim.rbac import DEFAULT_LIFETIME_S, LABEL_MAX, NO_KEEPALIVE, Token, seconds_of

DAY_S = 86_400.0
ASKED: Mapping[str, type] = dict.fromkeys(("login", "password", "lifetime", "label", "description", "client"), str)
REVOKED_BY = ("revoke_tokens", "revoke_tokens_by_labels", "revoke_tokens_by_usernames", "revoke_tokens_by_ids")


def routes(bearer: Callable[[str], User | str]) -> tuple[Route, ...]:
    """Return the open routes below /rbac-api/v2; `bearer` tells whose token one is, or a word of AUTH_TEXTS."""

    def authenticate(ask: Ask) -> Answer:
        """POST /rbac-api/v2/auth/token/authenticate"""
        fault = ask.knobs.dose("auth_fault").form
        if ask.knobs.dose("token_life").form == "absent":
            return not_found()
        given = ask.body.get("token") if isinstance(ask.body, dict) else None
        if not isinstance(given, str):
            return malformed("The body must be an object with token")
        quiet = "" if ask.body.get("update_last_activity?", True) or given.endswith(NO_KEEPALIVE) else NO_KEEPALIVE
        found = bearer(given + quiet) if fault == "none" else fault
        if isinstance(found, str):
            return refused("invalid" if found == "unauthenticated" else found)
        return reply(_about(ask, found, ask.world.people.known(given)))

    return (Route("POST", "auth/token/authenticate", authenticate),)


def refused(word: str) -> Problem:
    """Return RBAC's own answer for a word of AUTH_TEXTS."""
    kind, text = AUTH_TEXTS[word]
    return Problem(RBAC_STATUS.get(kind, 401), f"puppetlabs.rbac/{kind}", text)


def malformed(msg: str, kind: str = "malformed-request", **details: Any) -> Problem:
    """Return 400 for a body that RBAC does not understand."""
    return Problem(400, f"puppetlabs.rbac/{kind}", msg, details)


def login(ask: Ask) -> Answer:
    """POST /rbac-api/v1/auth/token: ten wrong passwords in a row revoke the account."""
    fault = ask.knobs.dose("auth_fault").form
    if fault.startswith("server-error"):
        return refused(fault)
    wrong = _misshapen(ask, "login", "password")
    if wrong is not None:
        return wrong
    people, name = ask.world.people, ask.body["login"]
    known = people.users.get(name)
    before = known is not None and known.revoked
    if known is not None and known.ambiguous:
        return refused("ambiguous")
    user = people.enter(name, ask.body["password"])
    if known is not None and known.revoked and not before:
        about_user(ask.world, known, "revoke", f"User {name} was revoked: too many failures", ask.now, ip=ask.ip)
    if isinstance(user, str):
        return refused(user)
    people.entered(user, ask.world.course.text_ms(ask.now))
    about_user(ask.world, user, "login", f"User {name} logged in", ask.now, ip=ask.ip)
    return _issued(ask, user)


def renew(ask: Ask) -> Answer:
    """POST /rbac-api/v1/tokens: another token for who has one; a certificate is not enough."""
    if not ask.token and ask.knobs.auth_modes == "cert-accepted":
        return Problem(401, "puppetlabs.rbac/api-user-login", "A certificate cannot be used to create tokens")
    return _misshapen(ask) or _issued(ask, ask.user)


def _misshapen(ask: Ask, *required: str) -> Problem | None:
    body = {} if ask.body is None else ask.body
    if not isinstance(body, dict) or any(key not in body for key in required):
        return malformed(f"The body must be an object with {', '.join(required) or 'optional keys'}")
    error = typed(body, ASKED)
    lifetime, label = body.get("lifetime"), body.get("label")
    if error is None and isinstance(lifetime, str) and seconds_of(lifetime) is None:
        error = invalid("lifetime must be a number with y, d, h, m or s")
    if error is None and isinstance(label, str) and (len(label) > LABEL_MAX or "," in label):
        error = invalid(f"label must have no commas and at most {LABEL_MAX} characters")
    if error is None:
        return None
    return malformed(error.msg, "schema-violation", submitted=sorted(body), schema=sorted(ASKED), error=error.msg)


def _issued(ask: Ask, user: User) -> Answer:
    body = ask.body or {}
    lifetime = seconds_of(body["lifetime"]) if body.get("lifetime") is not None else None
    more = {key: body[key] for key in ("label", "description", "client") if body.get(key)}
    token = ask.world.people.issue(user, DEFAULT_LIFETIME_S if lifetime is None else lifetime, ask.now, **more)
    return reply({"token": token.text})


def revoke(ask: Ask) -> Answer:
    """DELETE /rbac-api/v2/tokens: by token, label, login or user id; what is not found is told at the end."""
    given = ask.body if isinstance(ask.body, dict) else dict(ask.query)
    if any(not isinstance(given[key], str | list) for key in given.keys() & set(REVOKED_BY)):
        return malformed("What is to be revoked must be given as a list", "schema-violation")
    if not given.keys() & set(REVOKED_BY):
        return malformed(f"One of {', '.join(REVOKED_BY)} must be given")
    chosen, failures = _chosen(ask, given)
    if any(token.user is not ask.user for token in chosen) and not administers(ask.user):
        return Problem(403, "puppetlabs.rbac/permission-denied", "You may revoke your own tokens only")
    for token in chosen:
        token.revoked = True
        about_user(ask.world, token.user, "revoke_token", f"Token of {token.user.login} revoked", ask.now, by=ask.user)
    return malformed("Some tokens were not found", failures=failures) if failures else Reply(b"", 204)


def administers(user: User) -> bool:
    """Whether this user may touch other people's tokens."""
    return user.superuser or EVERYTHING in user.permissions


def _chosen(ask: Ask, given: Mapping[str, Any]) -> tuple[list[Token], list[str]]:
    """Return the tokens that a request means, and the names that mean none."""
    chosen: list[Token] = []
    failures: list[str] = []
    tests: Mapping[str, Callable[[Token], Any]] = dict(
        zip(
            REVOKED_BY,
            (lambda t: t.text, lambda t: t.label, lambda t: t.user.login, lambda t: t.user.id),
            strict=True,
        )
    )
    for key, name_of in tests.items():
        names = given.get(key) or []
        for name in names.split(",") if isinstance(names, str) else names:
            found = [token for token in ask.world.people.tokens.values() if name_of(token) == name]
            chosen += found
            if not found:
                failures.append("an unknown token" if key == "revoke_tokens" else str(name))
    return chosen, failures


def revoke_one(ask: Ask) -> Answer:
    """DELETE /rbac-api/v2/tokens/:token: for administrators."""
    if not administers(ask.user):
        return Problem(403, "puppetlabs.rbac/permission-denied", "Only administrators may do this")
    token = ask.world.people.known(ask.path["token"])
    if token is None:
        return refused("invalid")
    token.revoked = True
    about_user(ask.world, token.user, "revoke_token", f"Token of {token.user.login} revoked", ask.now, by=ask.user)
    return Reply(b"", 204)


def _about(ask: Ask, user: User, token: Token | None) -> dict[str, Any]:
    stamp, life = ask.world.course.text_ms, ask.knobs.dose("token_life")
    if token is None:  # the simulator's own: it lives as the knob says
        ends = stamp(life.amount * DAY_S)
        expiration = {} if life.form == "untold" else {"expiration": None if life.form == "endless" else ends}
        superuser = life.form == "superuser"
    else:
        expiration, superuser = {"expiration": stamp(token.expires)}, user.superuser
    seen = user.about["last_login"]
    return {
        "login": user.login,
        "id": user.id,
        "user_id": user.id,
        "display_name": user.about["display_name"],
        "email": user.about["email"],
        "is_revoked": user.revoked,
        "is_remote": user.about["is_remote"],
        "is_superuser": superuser,
        "is_group": False,
        "role_ids": user.about["role_ids"],
        "creation": stamp(-DAY_S if token is None else token.created),
        **expiration,
        "last_active": stamp(ask.now if token is None else token.active),
        "last_login": stamp(-DAY_S) if seen is None else seen,
        "timeout": user.idle_minutes,
        "label": token and token.label,
        "client": token.client if token else "",
        "description": token.description if token else "",
    }


LOGIN = (Route("POST", "auth/token", login, lasting=True, tried=True),)
RENEWAL = (Route("POST", "tokens", renew, lasting=True),)
REVOCATION = (
    Route("DELETE", "tokens", revoke, params(*REVOKED_BY), lasting=True, tried=True),
    Route("DELETE", "tokens/{token}", revoke_one, lasting=True),
)
