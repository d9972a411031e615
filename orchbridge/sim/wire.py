"""Faults below HTTP: connections cut without an answer, bodies cut in the middle."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from starlette.types import Receive, Scope, Send


class Wire:
    """The open connections of the served form, by the client's address.

    Without a real connection (an in-process transport) a cut raises ConnectionResetError.
    """

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def opened(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        if peer:
            self._transports[peer[0], peer[1]] = transport

    def closed(self, transport: asyncio.Transport | None) -> None:
        for client, known in tuple(self._transports.items()):
            if known is transport:
                del self._transports[client]

    def certified(self, scope: Scope) -> bool:
        """Whether the client showed a certificate of our CA."""
        transport = self._transport(scope)
        session = transport and transport.get_extra_info("ssl_object")
        return isinstance(session, ssl.SSLObject) and bool(session.getpeercert())

    def _transport(self, scope: Scope) -> asyncio.Transport | None:
        client = scope.get("client")
        return self._transports.get((client[0], client[1])) if client else None

    async def cut(self, scope: Scope, receive: Receive) -> None:
        """Close the connection without an answer."""
        transport = self._transport(scope)
        if transport is None:
            raise ConnectionResetError("the simulator cut the connection")
        transport.abort()
        await _gone(receive)

    async def cut_short(self, scope: Scope, receive: Receive, send: Send, start: Any, body: bytes) -> None:
        """Send half of the body that was announced, then close the connection."""
        transport = self._transport(scope)
        if transport is None:
            raise ConnectionResetError("the simulator cut the connection")
        await send(start)
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        transport.close()
        await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
