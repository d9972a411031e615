"""How long each source's token and certificate last, known to a running bridge from about one request an hour."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import structlog

from orchbridge.core.errors import OrchbridgeError
from orchbridge.ops.status import RENEWAL_PATIENCE_S
from orchbridge.orchestrator import Client, errors

FIRST_S, LOOK_S, ASK_S = 2.0, 5.0, 3600.0
LOGIN = "puppet-access login --lifetime 1y"
SOON_S, AGAIN_S = 14 * 86_400.0, 86_400.0


@dataclass(slots=True)
class _Known:
    """What is known of one source's token. `asked` is when, and `generation` which one it was."""

    ends: float | None = None
    asked: float | None = None
    generation: int = -1


def _never(_: str) -> None:
    """Return when a token is renewed that nobody renews."""


class Lifetimes:
    """Ends of tokens and certificates in Unix seconds, None where nobody tells."""

    def __init__(self, clients: Mapping[str, Client], renewed: Callable[[str], float | None] = _never) -> None:
        """`renewed` returns when a source's token will be renewed, in Unix seconds."""
        self._clients, self._renewed = clients, renewed
        self._known = {name: _Known() for name in clients}
        self._told: dict[tuple[str, str], float] = {}
        self._log = structlog.get_logger("orchbridge")

    def token_ends(self, source: str) -> float | None:
        """Return when the source's token ends."""
        return self._known[source].ends

    def certificate_ends(self, source: str) -> float | None:
        """Return when the source's server certificate ends."""
        return self._clients[source].certificate_ends

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look once an hour, and soon after a token was replaced, while the block runs."""
        group = await asyncio.TaskGroup().__aenter__()
        looking = group.create_task(self._follow(), name="lifetimes")
        try:
            yield
        finally:
            # By hand, so that what the block raises stays what it is.
            looking.cancel()
            await group.__aexit__(None, None, None)

    async def _follow(self) -> None:
        await asyncio.sleep(FIRST_S)
        while True:
            for name, client in self._clients.items():
                await self._look(name, client, self._known[name], time.monotonic())
                self._warn(name, time.time())
            await asyncio.sleep(LOOK_S)

    async def _look(self, name: str, client: Client, known: _Known, now: float) -> None:
        """Ask where it is time. What cannot be asked now leaves what is known of the same token as it is."""
        if known.asked is not None and now - known.asked < ASK_S and client.token_generation == known.generation:
            return
        try:
            if client.token_refused():
                return  # a person is needed, and nothing is asked until then
            info = await client.tokens.inspect()
            ends = info.expires.timestamp() if info.expires else None
        except OrchbridgeError as error:
            if isinstance(error, errors.TokenRefused):
                self._refused(name, str(error), error.hint, time.time())
            # Nor would anybody be told of one that has ended, once its end was forgotten.
            ends = known.ends if client.token_generation == known.generation else None
        known.ends = ends
        known.asked, known.generation = now, client.token_generation

    def _refused(self, source: str, message: str, hint: str, now: float) -> None:
        """Say so also where no stream is carried that would be parked for it: the next takeover would be one."""
        told = self._told.get((source, "refused"))
        if told is None or now - told >= AGAIN_S:
            self._told[source, "refused"] = now
            self._log.warning("token.refused", source=source, error=message, hint=hint)

    def _warn(self, source: str, now: float) -> None:
        ends = {"token": self.token_ends(source), "certificate": self.certificate_ends(source)}
        for what, end in ends.items():
            told = self._told.get((source, what))
            if end is None or end - now > SOON_S or (told is not None and now - told < AGAIN_S):
                continue
            due = self._renewed(source) if what == "token" else None
            if due is not None and now < due + RENEWAL_PATIENCE_S:
                continue  # nobody need do anything
            self._told[source, what] = now
            hint = "renew the primary's certificate"
            if what == "token":
                hint = LOGIN if due is None else f"token.not_renewed said why it was not renewed; else {LOGIN}"
            self._log.warning(f"{what}.ends_soon", source=source, days=round((end - now) / 86_400, 1), hint=hint)
