"""What works beside the streams and has something to tell of each source: token, certificate, canary."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self

from orchbridge.cli import wiring
from orchbridge.cli.canary import Canaries
from orchbridge.cli.lifetimes import Lifetimes
from orchbridge.cli.renewing import Renewing
from orchbridge.config import Settings
from orchbridge.ops.metrics import Metrics
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked


@dataclass(frozen=True, slots=True)
class Beside:
    """All of it, for all sources."""

    lifetimes: Lifetimes
    renewing: Renewing
    canaries: Canaries

    @classmethod
    def made(
        cls, settings: Settings, clients: Mapping[str, Client], metrics: Metrics, observe: Callable[[Asked], None]
    ) -> Self:
        """Return what the settings ask for; raise ConfigError where a canary's parameters cannot be read."""
        canaries = Canaries(wiring.errands_of(settings), wiring.canary_clients_of(settings, observe), metrics)
        renewing = Renewing(wiring.renewables_of(settings), clients, metrics)
        return cls(Lifetimes(clients, renewing.due), renewing, canaries)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Let it work while the block runs."""
        async with self.lifetimes.following(), self.canaries.working(), self.renewing.working():
            yield
