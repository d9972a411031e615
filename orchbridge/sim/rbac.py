"""Accounts and tokens as RBAC keeps them: logins, lockout, expiry, renewal, revocation (reference 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from orchbridge.sim.catalogue import OWNERS
from orchbridge.sim.people import User, staff

FAILURES_MAX = 10
DEFAULT_LIFETIME_S = 3600.0
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}
MAXIMUM_LIFETIME_S = 10.0 * UNITS["y"]
LABEL_MAX = 200
NO_KEEPALIVE = "|no_keepalive"


@dataclass(slots=True)
class Token:
    """One token; times are world seconds. `number` is the id RBAC gives it."""

    number: int
    text: str = field(repr=False)
    user: User
    created: float
    expires: float
    label: str | None = None
    description: str = ""
    client: str = ""
    revoked: bool = False
    active: float = 0.0

    def fault(self, now: float) -> str | None:
        """Return why it does not count any more, as a word of AUTH_TEXTS."""
        if self.user.revoked:
            return "user-revoked"
        if self.revoked:
            return "revoked"
        if now >= self.expires:
            return "expired"
        idle = self.user.idle_minutes
        return "timed-out" if idle is not None and now - self.active > idle * 60 else None


def seconds_of(lifetime: str) -> float | None:
    """Return the seconds of `90`, `8h` or `2d`; `0` is the maximum, more than that too; None for anything else."""
    match = re.fullmatch(r"(\d{1,12})([smhdy]?)", lifetime)
    if match is None:
        return None
    seconds = float(int(match[1]) * UNITS[match[2]])
    return min(seconds, MAXIMUM_LIFETIME_S) if seconds else MAXIMUM_LIFETIME_S


class Rbac:
    """The accounts and tokens of one world. Tokens follow from the seed, so that a story can be told again."""

    def __init__(self, seed: int) -> None:
        self.users = staff()
        self.tokens: dict[str, Token] = {}
        self.changes = 0  # of what is shown of users, so that what was rendered before is known to be old
        self._seed = seed

    def owner(self, who: int | str) -> dict[str, Any]:
        """Return what is shown of a user, by login or by place among the old hands; shared, so changes show."""
        login = who if isinstance(who, str) else str(OWNERS[who % len(OWNERS)]["login"])
        return self.users[login].about

    def enter(self, login: str, password: str) -> User | str:
        """Return whose login and password these are, or a word of AUTH_TEXTS; the tenth failure revokes the account."""
        user = self.users.get(login)
        if user is None:
            return "credentials"
        if user.revoked:
            return "user-revoked"
        if password != user.password:
            user.failures += 1
            if user.failures >= FAILURES_MAX:
                self.revoke(user)
            return "credentials"
        user.failures = 0
        return user

    def entered(self, user: User, stamp: str) -> None:
        """Remember a login, with its time as PE prints it."""
        user.about["last_login"] = stamp
        self.changes += 1

    def issue(self, user: User, lifetime_s: float, now: float, text: str = "", **more: Any) -> Token:
        """Return a new token of this user; `more` are fields of Token."""
        number = len(self.tokens) + 1
        digest = blake2b(f"{self._seed}/token/{number}".encode(), digest_size=32).hexdigest()
        token = Token(number, text or f"0{digest}", user, now, now + lifetime_s, active=now, **more)
        self.tokens[token.text] = token
        return token

    def revoke(self, user: User) -> None:
        """Revoke an account and its tokens; these stay revoked when it is reinstated."""
        user.about["is_revoked"] = True
        self.changes += 1
        for token in self.tokens.values():
            token.revoked = token.revoked or token.user is user

    def reinstate(self, user: User) -> None:
        """Let a revoked account log in again."""
        user.about["is_revoked"], user.failures = False, 0
        self.changes += 1

    def known(self, text: str) -> Token | None:
        """Return the token with this text, whatever its state."""
        return self.tokens.get(text.removesuffix(NO_KEEPALIVE))

    def bearer(self, text: str, now: float) -> User | str | None:
        """Return who sends a token, a word of AUTH_TEXTS where it does not count, None where it is unknown."""
        token = self.known(text)
        if token is None:
            return None
        fault = token.fault(now)
        if fault is None and not text.endswith(NO_KEEPALIVE):
            token.active = now
        return fault or token.user
