"""Serving the endpoints inside the process, on a socket we open ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchbridge.core.errors import ConfigError
from orchbridge.ops.door import CERTIFIED
from orchbridge.ops.tls import Certificates

STOP_S = 1
CONNECTIONS_MAX = 200


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers: signals are the worker's business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """HTTP that tells the app whether the client showed a certificate of our authority."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        if session is not None and session.getpeercert():  # empty for one that was not verified
            self.app_state = {**self.app_state, CERTIFIED: True}


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int, certificates: Certificates | None = None) -> AsyncIterator[int]:
    """Serve the app while the block runs; yield the port, which matters where 0 was asked for.

    With `certificates` nothing but TLS is understood. Raise ConfigError where the address cannot be
    listened on. Connections still open at the end are given a second.
    """
    with contextlib.closing(listening(host, port)) as place:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_S,
        )
        config.load()
        config.ssl = certificates.first if certificates else None
        server = _Server(config)
        group = await asyncio.TaskGroup().__aenter__()
        group.create_task(server.serve(sockets=[place]), name="http")
        try:
            await server.up.wait()
            yield int(place.getsockname()[1])
        finally:
            # By hand, so that what the block raises stays what it is, and the server still ends politely.
            server.should_exit = True
            await group.__aexit__(None, None, None)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say which key to change."""
    where = f"{f'[{host}]' if ':' in host else host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(
            f"http.listen: {host} is no address of this machine ({error.strerror})",
            hint='write listen = "127.0.0.1:9640"',
        ) from error
    place = socket.socket(family, kind, protocol)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
        place.listen(128)
    except OSError as error:
        place.close()
        raise ConfigError(f"http.listen: cannot listen on {where} ({error.strerror})", hint=_hint(error)) from error
    place.setblocking(False)
    return place


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process has this port; stop it, or write another port"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "this user may not use the port; write one above 1023"
    return 'write listen = "127.0.0.1:9640", or "0.0.0.0:9640" for all addresses'
