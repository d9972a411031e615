"""The simulator on a real port, alone or inside another process."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchbridge.core.errors import ConfigError
from orchbridge.sim.app import create_app
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.state import State, begun
from orchbridge.sim.tls import TlsFiles, make_tls
from orchbridge.sim.truth import TruthLog
from orchbridge.sim.wire import Wire
from orchbridge.sim.world import World

TICK_S = 0.1
KEEP_ALIVE_S = 75
GRACE_S = 1


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What to serve. `port` 0 is a free one; `token` None lets everybody in; `start` None is now.

    `tls_dir` is where certificates are, or are made; None serves plain HTTP. `truth_path`
    gets every fact. `scenario` as in World, `knobs` those that are not as they are born. `state_path` is where the
    world lives on between runs: it goes on as it was, with the knobs given here turned.
    """

    host: str = "127.0.0.1"
    port: int = 8143
    token: str | None = field(default=None, repr=False)
    scenario: str | None = None  # demo, or what the state holds
    seed: int | None = None  # 1, or what the state holds
    knobs: Mapping[str, str] = field(default_factory=dict)
    tls_dir: Path | None = None
    truth_path: Path | None = None
    state_path: Path | None = None
    start: datetime | None = None


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone, tells when it listens and ends as soon as it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening, self.leaving = asyncio.Event(), asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.leaving.wait()  # there is nothing to do at every tick: neither dates nor counts of requests


def _protocol(wire: Wire) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        """HTTP whose connections the wire can cut."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            wire.opened(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            wire.closed(self.transport)
            super().connection_lost(exc)

    return Protocol


@contextlib.asynccontextmanager
async def served(
    world: World,
    *,
    token: str | None,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: TlsFiles | None = None,
    truth: TruthLog | None = None,
    state: State | None = None,
    turned: Mapping[str, str] | None = None,
) -> AsyncIterator[str]:
    """Serve a world, yield its address (`https://127.0.0.1:PORT`), stop at the end. Signals are left alone.

    World time is real time from here on. With `state` the world must be its own, and goes on
    from there with the knobs `turned`. Raises OSError where the port is taken.
    """
    zero = time.monotonic()

    def clock() -> float:
        return time.monotonic() - zero

    app = create_app(world, token=token, clock=clock, truth=truth)
    if state is not None:
        now = state.resume(app.state.house)
        zero = time.monotonic() - now
        state.turn(turned or {})
    world.advance(clock())
    with _listen(host, port) as listener:
        server = _Server(_config(app, tls))
        # Not a task group: it would wrap the caller's own exceptions.
        serving = asyncio.create_task(server.serve([listener]))
        ticking = asyncio.create_task(_tick(world, clock))
        try:
            await server.listening.wait()
            yield _address(listener, host, secure=tls is not None)
        finally:
            server.leaving.set()
            await serving
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            world.advance(clock())


def _config(app: Starlette, tls: TlsFiles | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_protocol(app.state.house.wire),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
        ssl_ca_certs=None if tls is None else str(tls.ca),
        ssl_cert_reqs=ssl.CERT_NONE if tls is None else ssl.CERT_OPTIONAL,
    )
    config.load()
    return config


async def _tick(world: World, clock: Callable[[], float]) -> None:
    """Move the world though nobody asks, so that the truth is told when it happens."""
    while True:
        world.advance(clock())
        await asyncio.sleep(TICK_S)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets no delay only on this
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket, host: str, *, secure: bool) -> str:
    port = listener.getsockname()[1]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


async def run_server(options: SimulatorOptions, stop: asyncio.Event, report: Callable[[str], None]) -> None:
    """Serve until `stop` is set; `report` is told the address once it listens. Raises ConfigError, and OSError where
    the port cannot be had."""
    tls = None
    if options.tls_dir is not None:
        with _usable(f"--tls {options.tls_dir}"):
            tls = make_tls(options.tls_dir)
    with contextlib.ExitStack() as stack:
        state = None if options.state_path is None else stack.enter_context(contextlib.closing(_state(options)))
        world = _world(options) if state is None else state.world()
        truth = None
        if options.truth_path is not None:
            with _usable(f"--truth {options.truth_path}"):
                truth = stack.enter_context(TruthLog(options.truth_path))
        async with served(
            world,
            token=options.token,
            host=options.host,
            port=options.port,
            tls=tls,
            truth=truth,
            state=state,
            turned=options.knobs,
        ) as address:
            report(address)
            await stop.wait()


@contextlib.contextmanager
def _usable(what: str) -> Iterator[None]:
    """Say which of the paths it is that cannot be used."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{what}: {error.strerror or error}", hint="choose another path") from error


def _world(options: SimulatorOptions) -> World:
    seed = 1 if options.seed is None else options.seed
    return World(options.scenario or "demo", seed=seed, knobs=Knobs().turned(options.knobs), start=_start(options))


def _start(options: SimulatorOptions) -> datetime:
    return options.start or datetime.now(UTC)


def _state(options: SimulatorOptions) -> State:
    assert options.state_path is not None
    World(options.scenario or "demo")  # a scenario that does not exist must not get a file
    return begun(
        options.state_path,
        scenario=options.scenario,
        seed=options.seed,
        knobs=dataclasses.asdict(Knobs().turned(options.knobs)),
        start=_start(options).timestamp(),
    )


def serve(options: SimulatorOptions, report: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; then the truth is complete. Raises ConfigError and OSError."""

    async def until_signalled() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run_server(options, stop, report)

    asyncio.run(until_signalled())
