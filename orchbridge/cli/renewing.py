"""Tokens that are renewed at two thirds of their life, from themselves: never a login, and never in a loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import StreamId
from orchbridge.ops.chores import Renewals
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Issued, TokenInfo
from orchbridge.orchestrator.token_file import replacing

LABEL = "orchbridge"
DUE = 2 / 3
FIRST_S, LOOK_S, ASK_S = 5.0, 60.0, 3600.0
AGAIN_S, AGAIN_MAX_S = 60.0, 6 * 3600.0  # after a failure: a twelfth of the life, within these
LEFT = f"revoke it where tokens are managed, by its label {LABEL}: it lives as long as the one in use"
UNWRITABLE = "give the user orchbridge runs as a token_file in a folder it may write to, or set renew_token = false"


@dataclass(frozen=True, slots=True)
class Renewable:
    """A source whose token is to be renewed, by whoever carries this stream."""

    source: str
    stream: StreamId
    path: Path


@dataclass(slots=True)
class _Post:
    """Where one source's token is cared for."""

    job: Renewable
    counts: Renewals
    ours: bool = False
    turned: asyncio.Event = field(default_factory=asyncio.Event)
    warned: bool = False


class Renewing:
    """Renews the tokens of the sources that ask for it. The old ones stay valid until their own end."""

    def __init__(self, jobs: Sequence[Renewable], clients: Mapping[str, Client], metrics: Metrics) -> None:
        self._clients = clients
        self._posts = [_Post(job, Renewals(metrics, job.source)) for job in jobs]
        self._log = structlog.get_logger("orchbridge")

    # -- a Companion --------------------------------------------------------------------------

    def taken(self, stream: StreamId) -> None:
        """A stream is ours."""
        self._turn(stream, ours=True)

    def lost(self, stream: StreamId) -> None:
        """A stream is another's."""
        self._turn(stream, ours=False)

    def recalled(self, stream: StreamId, state: Any) -> None:
        """Nothing to do."""

    def committed(self, stream: StreamId, batch: Batch) -> None:
        """Nothing to do."""

    def _turn(self, stream: StreamId, *, ours: bool) -> None:
        for post in self._posts:
            if post.job.stream == stream:
                post.ours = ours
                post.turned.set()

    # -- at work ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Care for them while the block runs."""
        async with asyncio.TaskGroup() as group:  # a keeper that died would be missed by nobody
            keeping = [group.create_task(self._keep(post), name=f"token of {post.job.source}") for post in self._posts]
            try:
                yield
            finally:
                for task in keeping:
                    task.cancel()

    async def _keep(self, post: _Post) -> None:
        pause_s = FIRST_S
        while True:
            await self._rest(post, pause_s)
            if not post.ours:
                post.turned.clear()
                await post.turned.wait()
                pause_s = FIRST_S
                continue
            try:
                pause_s = await self._care(post)
            except Exception as error:
                self._log.error(
                    "token.not_renewed", source=post.job.source, error=type(error).__name__, hint="please report it"
                )
                pause_s = AGAIN_MAX_S

    async def _rest(self, post: _Post, seconds: float) -> None:
        """Wait; no longer than until there is another token, which may live for less than this."""
        client = self._clients[post.job.source]
        known, ends = client.token_generation, time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and client.token_generation == known:  # noqa: ASYNC110 - others turn it
            await asyncio.sleep(min(left, LOOK_S))

    async def _care(self, post: _Post) -> float:
        """Renew the token where it is time; return how long to wait before the next look."""
        client = self._clients[post.job.source]
        life = await self._life(client)
        if life is None or time.time() < life.due:
            return ASK_S if life is None else min(ASK_S, life.due - time.time())
        outcome = await self._renewed(post, client, life)
        if outcome == "renewed":
            after = await self._life(client)
            # However short the new life, or wrong our clock: never one after the other.
            return ASK_S if after is None else min(ASK_S, max(after.due - time.time(), after.span_s * (1 - DUE)))
        return min(AGAIN_MAX_S, max(AGAIN_S, life.span_s / 12))

    async def _life(self, client: Client) -> _Life | None:
        """Return the life of the token in the file, None where nobody tells, or it has none to be renewed."""
        if not client.changed():
            return None  # a person is needed
        try:
            return _Life.of(await client.tokens.inspect())
        except OrchbridgeError:
            return None  # what has expired cannot be renewed, and who is away is asked again

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
    def of(cls, info: TokenInfo) -> _Life | None:
        if info.created is None or info.expires is None:
            return None
        began, ends = info.created.timestamp(), info.expires.timestamp()
        span_s = max(1.0, round(ends - began))
        return cls(began + span_s * DUE, span_s)
