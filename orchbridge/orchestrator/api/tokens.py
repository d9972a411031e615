"""Tokens: to get, renew, look at and revoke them (orchestrator API, section 14)."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.starting import once
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, encoded, given, send
from orchbridge.orchestrator.errors import ApiError, LoginRefused, TokenRefused, Uncertain
from orchbridge.orchestrator.hidden import Hidden
from orchbridge.orchestrator.models import Issued, TokenInfo
from orchbridge.orchestrator.refusals import denied, malformed
from orchbridge.orchestrator.tokens import Token

V1, V2 = "/rbac-api/v1", "/rbac-api/v2"
FAILURES_MAX = 2  # the server revokes an account, and its tokens, after ten in a row


@dataclass(slots=True)
class _Tries:
    """What may have come of one user's logins since the last that was good.

    refused  passwords that were, as hashes
    lost     how many logins got no answer, or none yet: they may have been refused as well
    turn     one at a time, or many are under way before one is counted
    """

    refused: set[bytes] = field(default_factory=set, repr=False)
    lost: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spent(self, tried: bytes) -> bool:
        """Whether another one is one too many."""
        return tried in self.refused or len(self.refused) + self.lost >= FAILURES_MAX


class Tokens:
    """`client.tokens`, at `rbac_url`, else port 4433 of the orchestrator's host.

    None of this touches the token the client itself uses. A lifetime is a number and one of y, d, h,
    m, s; "0" is the longest allowed, None the server's default of an hour. A label has no commas.
    """

    def __init__(self, caller: Caller, own: Token) -> None:
        self._caller = caller
        self._own = own
        self._salt = secrets.token_bytes(16)
        self._tries: defaultdict[str, _Tries] = defaultdict(_Tries)

    async def login(
        self,
        login: str,
        password: str,
        *,
        lifetime: str | None = None,
        label: str | None = None,
        description: str | None = None,
        client: str | None = None,
    ) -> Issued:
        """Return a new token for a user. Each login is an entry in the activity log.

        Raises LoginRefused, also without asking: for a password that was refused, and after two
        that were refused or got no answer, since ten refused in a row revoke the account. Logins of
        one user wait for each other.
        """
        tried = hashlib.sha256(self._salt + password.encode("utf-8", "surrogatepass")).digest()
        optional = given(lifetime=lifetime, label=label, description=description, client=client)
        content = encoded({"login": login, "password": password, **optional})
        call = send("/auth/token", content=content, root=V1, signed=False, hidden=Hidden(password))
        del password, content  # a traceback may show what is still in a frame
        tries = self._tries[login]
        async with tries.turn:
            if tries.spent(tried):
                raise LoginRefused(
                    f"the login of {login} was refused or got no answer before, so it is not tried again",
                    hint="check name and password; ten refused logins in a row revoke the account",
                )
            tries.lost += 1  # also where it is given up on the way
            try:
                token = await self._issued(call)
            except Uncertain:
                raise
            except ApiError as error:
                tries.lost -= 1
                if isinstance(error, LoginRefused):
                    tries.refused.add(tried)
                raise
            tries.refused.clear()
            tries.lost = 0
            return token

    async def renew(
        self,
        *,
        lifetime: str | None = None,
        label: str | None = None,
        description: str | None = None,
        client: str | None = None,
    ) -> Issued:
        """Return a new token of the same user, from the client's own, which stays valid. Raises TokenRefused.

        A client certificate does not do for this.
        """
        optional = given(lifetime=lifetime, label=label, description=description, client=client)
        return await self._issued(send("/tokens", content=encoded(optional), root=V1))

    async def inspect(self, token: str | None = None, *, update_last_activity: bool = False) -> TokenInfo:
        """Return what RBAC knows of a token, the client's own by default; asking is no use of it, unless wished.

        Raises TokenRefused where it is expired, revoked, timed out or no token, or there is none to ask about.
        Whatever is said of the client's own, it is no reason to stop asking with it.
        """
        own = token is None
        refused = self._own.read_if_changed() if own else None
        asked = self._own.bare if token is None else token
        content = encoded({"token": asked, "update_last_activity?": update_last_activity})
        call = send(
            "/auth/token/authenticate", content=content, root=V2, again=True, signed=False, own=own,
            hidden=Hidden(asked),
        )  # fmt: skip
        if not (refused or asked):
            raise TokenRefused("there is no token to ask about", hint="set token_file", call=str(call))
        del token, asked, content  # a traceback may show what is still in a frame
        if refused:
            raise denied(refused, call)
        return TokenInfo.read(await self._caller.told(call))

    async def revoke(
        self,
        *,
        tokens: Sequence[str] = (),
        labels: Sequence[str] = (),
        usernames: Sequence[str] = (),
        ids: Sequence[str] = (),
    ) -> None:
        """Revoke tokens by themselves, by label, or all of users. Raises Invalid with details of what failed."""
        body = given(
            revoke_tokens=list(tokens) or None,
            revoke_tokens_by_labels=list(labels) or None,
            revoke_tokens_by_usernames=list(usernames) or None,
            revoke_tokens_by_ids=list(ids) or None,
        )
        call = send("/tokens", content=encoded(body), root=V2, method="DELETE", hidden=Hidden(tokens))
        del body, tokens
        await once(self._caller, call, "the tokens")

    async def revoke_one(self, token: str) -> None:
        """Revoke one token, as an administrator. Its text gets into the server's access log: prefer `revoke`."""
        call = send("/tokens/:token", token, content=None, root=V2, method="DELETE", hidden=Hidden(token))
        del token
        await once(self._caller, call, "the token")

    async def _issued(self, call: Call) -> Issued:
        reply = await once(self._caller, call, "the user's tokens")
        token = fields.text(self._caller.object(call, reply).get("token"))
        if token is None:
            raise malformed(call, "the answer holds no token")
        return Issued(token)
