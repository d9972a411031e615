"""How long the server's certificate still lasts."""

from __future__ import annotations

import time

import httpx

from orchbridge.orchestrator.look import certificate_end

AGAIN_S = 600.0


class CertificateLife:
    """When the server's certificate ends, looked at every ten minutes in an answer that came anyway."""

    def __init__(self) -> None:
        self.ends: float | None = None
        self._next = 0.0

    def seen(self, response: httpx.Response) -> None:
        """Take note of the connection this answer came through."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + AGAIN_S
            self.ends = certificate_end(response)
