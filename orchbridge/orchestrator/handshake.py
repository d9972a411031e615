"""TLS handshakes given up midway: httpcore forgets such a connection, which then stays open for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

CONNECTED = "connection.connect_tcp.complete"
GIVEN_UP = "connection.start_tls.failed"


class Handshake:
    """Goes along with one request. httpcore itself closes after errors, but not after a cancellation."""

    def __init__(self) -> None:
        self._close: Callable[[], Awaitable[None]] | None = None

    async def traced(self, event: str, told: Mapping[str, Any]) -> None:
        """Be told of a step: a request's extension `trace`."""
        if event == CONNECTED:
            self._close = told["return_value"].aclose
        elif event == GIVEN_UP and self._close is not None:
            await self._close()  # once more does no harm
