"""Tokens that are renewed at two thirds of their life, from themselves: never a login, and never in a loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from orchbridge.cli.slips import place
from orchbridge.core.errors import OrchbridgeError
from orchbridge.ops.chores import Renewals
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Issued, TokenInfo
from orchbridge.orchestrator.token_file import replacing

LABEL = "orchbridge"
DUE = 2 / 3
SPREAD, SPREAD_S = 1 / 50, 1800.0  # within so much of its life, and so long, after that: processes may share a file
FIRST_S, LOOK_S, ASK_S = 0.5, 60.0, 3600.0  # the first before anybody warns of its end
AGAIN_S, AGAIN_MAX_S = 60.0, 6 * 3600.0  # after a failure: a twelfth of the life, within these
LEFT = f"revoke it where tokens are managed, by its label {LABEL}: it lives as long as the one in use"
UNTOLD = "RBAC listens on port 4433 of the same host unless rbac_url says otherwise; orchbridge check looks at it"
UNWRITABLE = "give the user orchbridge runs as a token_file in a folder it may write to, or set renew_token = false"


@dataclass(frozen=True, slots=True)
class Renewable:
    """A source whose token is to be renewed, in this file."""

    source: str
    path: Path


@dataclass(slots=True)
class _Post:
    """Where one source's token is cared for. `lag` is this process's share of the time in which it is renewed.

    `due` and `span_s` are of the token's life as it was last told, `deaf` how many looks in a row brought nothing.
    """

    job: Renewable
    counts: Renewals
    lag: float
    due: float | None = None
    span_s: float | None = None
    deaf: int = 0
    warned: bool = False

    def again_s(self) -> float:
        """Return when to look again where that brought nothing: rarer and rarer, but some times before its end."""
        self.deaf += 1
        pause_s = min(ASK_S, AGAIN_S * 2.0 ** min(self.deaf - 1, 10))
        return pause_s if self.span_s is None else min(pause_s, max(AGAIN_S, self.span_s / 12))


class Renewing:
    """Renews the tokens of the sources that ask for it. The old ones stay valid until their own end.

    Every process looks after the file it reads itself, whatever streams it carries: one that stands by
    needs its token on the day it takes over. Those that share a file do not get there together, and
    whoever is later finds a fresh token in it.
    """

    def __init__(
        self,
        jobs: Sequence[Renewable],
        clients: Mapping[str, Client],
        metrics: Metrics,
        lag: Callable[[], float] = random.random,
    ) -> None:
        self._clients = clients
        self._posts = {job.source: _Post(job, Renewals(metrics, job.source), lag()) for job in jobs}
        self._log = structlog.get_logger("orchbridge")

    def due(self, source: str) -> float | None:
        """Return when this process will renew the source's token, or would have, in Unix seconds.

        None where that is not asked for, and while nobody tells when the token ends.
        """
        post = self._posts.get(source)
        return None if post is None else post.due

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Care for them while the block runs."""
        async with asyncio.TaskGroup() as group:  # a keeper that died would be missed by nobody
            posts = self._posts.values()
            keeping = [group.create_task(self._keep(post), name=f"token of {post.job.source}") for post in posts]
            try:
                yield
            finally:
                for task in keeping:
                    task.cancel()

    async def _keep(self, post: _Post) -> None:
        pause_s = FIRST_S
        while True:
            await self._rest(post, pause_s)
            try:
                pause_s = await self._care(post)
            except Exception as error:
                post.counts.tried("internal")
                told = {"outcome": "internal", "error": type(error).__name__, "at": place(error)}
                self._log.error("token.not_renewed", source=post.job.source, **told, hint="please report it")
                # Not sooner than after a refusal: it may have come when a new token was made already.
                pause_s = ASK_S if post.span_s is None else min(ASK_S, max(AGAIN_S, post.span_s / 12))

    async def _rest(self, post: _Post, seconds: float) -> None:
        """Wait; no longer than until there is another token, which may live for less than this."""
        client = self._clients[post.job.source]
        known, ends = client.token_generation, time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and client.token_generation == known:  # noqa: ASYNC110 - others turn it
            await asyncio.sleep(min(left, LOOK_S))

    async def _care(self, post: _Post) -> float:
        """Renew the token where it is time; return how long to wait before the next look."""
        client = self._clients[post.job.source]
        life = await self._looked(post, client)
        if not isinstance(life, _Life):
            return life
        if time.time() < life.due:
            return min(ASK_S, life.due - time.time())
        if await self._renewed(post, client, life) != "renewed":
            return min(AGAIN_MAX_S, max(AGAIN_S, life.span_s / 12))
        after = await self._looked(post, client)
        if not isinstance(after, _Life):
            return after
        # However short the new life, or wrong our clock: never one after the other.
        return min(ASK_S, max(after.due - time.time(), after.span_s * (1 - DUE)))

    async def _looked(self, post: _Post, client: Client) -> _Life | float:
        """Return the life of the token in the file; or how long to wait, where nobody tells of one to be renewed."""
        life = None
        try:
            if not client.token_refused():  # else a person is needed
                life = _Life.of(await client.tokens.inspect(), post.lag)
        except errors.TokenRefused:
            pass  # what has ended or was revoked cannot be renewed
        except OrchbridgeError as error:  # what is known of the same token stays
            refused = isinstance(error, errors.NotPermitted | errors.Rejected)
            outcome, hint = ("refused", error.hint) if refused else ("unreachable", UNTOLD)
            if post.deaf == 0:
                told = {"outcome": outcome, "error": f"nobody tells when the token ends: {error}", "hint": hint}
                self._log.warning("token.not_renewed", source=post.job.source, **told)
            post.counts.tried(outcome)
            return post.again_s()
        post.deaf = 0
        post.due, post.span_s = (None, None) if life is None else (life.due, life.span_s)
        return ASK_S if life is None else life

    async def _renewed(self, post: _Post, client: Client, life: _Life) -> str:
        source, hint = post.job.source, ""
        issued, kept = None, False
        try:
            with replacing(post.job.path) as put:
                issued = await client.tokens.renew(lifetime=f"{life.span_s:.0f}s", label=LABEL)
                kept = put(issued.token)
            post.warned = False
            outcome, told = "renewed" if kept else "superseded", f"{post.job.path} holds another token by now"
        except OSError as error:
            outcome, hint = "unwritable", UNWRITABLE
            told = f"{post.job.path} cannot be replaced: {error.strerror}"
        except (errors.Uncertain, errors.Unavailable, errors.Malformed) as error:
            outcome, told, hint = "unreachable", str(error), error.hint
        except OrchbridgeError as error:
            outcome, told, hint = "refused", str(error), error.hint
        if issued is not None and not kept and (trouble := await self._revoked(client, issued)):
            outcome, told, hint = "left_behind", f"{told}; the new one could not be revoked: {trouble}", LEFT
        post.counts.tried(outcome)
        if outcome in {"renewed", "superseded"}:
            self._log.info(f"token.{outcome}", source=source, days=round(life.span_s / 86_400, 2))
        elif not (outcome == "unwritable" and post.warned):
            post.warned = outcome == "unwritable"
            self._log.warning("token.not_renewed", source=source, outcome=outcome, error=told, hint=hint)
        return outcome

    async def _revoked(self, client: Client, issued: Issued) -> str:
        """Revoke a token that nobody will use; return why that failed, or nothing."""
        try:
            await client.tokens.revoke(tokens=[issued.token])
        except OrchbridgeError as error:
            return str(error)
        return ""


@dataclass(frozen=True, slots=True)
class _Life:
    """From when on a token is to be renewed (Unix seconds), and how long it lives altogether."""

    due: float
    span_s: float

    @classmethod
    def of(cls, info: TokenInfo, lag: float) -> _Life | None:
        if info.created is None or info.expires is None:
            return None
        began, ends = info.created.timestamp(), info.expires.timestamp()
        span_s = max(1.0, round(ends - began))
        return cls(began + span_s * DUE + lag * min(SPREAD_S, span_s * SPREAD), span_s)
