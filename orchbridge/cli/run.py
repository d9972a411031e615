"""`orchbridge run`: all configured streams into the sink, with the operations endpoints beside them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import structlog

from orchbridge import __version__
from orchbridge.cli import wiring
from orchbridge.cli.beside import Beside
from orchbridge.cli.exits import DONE
from orchbridge.cli.memory import return_large_blocks
from orchbridge.cli.owning import Owning
from orchbridge.config import Http, Settings
from orchbridge.core.normalize.quarantine import quarantined
from orchbridge.core.ports import Finding, StreamId, Watch
from orchbridge.core.records import AUDIT, NODE_STATE, PLANS, REACHABILITY, Record
from orchbridge.core.window import BACKFILL, RUN_HEADER
from orchbridge.ops.alarms import AlarmBook
from orchbridge.ops.app import application
from orchbridge.ops.logs import configure
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.serve import serving
from orchbridge.ops.status import Status
from orchbridge.ops.supervisor import supervised
from orchbridge.ops.watch import OpsWatch
from orchbridge.ops.watched import Watched
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked
from orchbridge.runtime.bridge import Feed, carry_all
from orchbridge.runtime.stop import Stop, obeying_signals
from orchbridge.runtime.tail import Worker
from orchbridge.runtime.trail import Trail
from orchbridge.runtime.watchdog import watching

KIND_OF = {PLANS: "plans", REACHABILITY: "inventory", NODE_STATE: "inventory"}  # the others are of jobs


def stream_of(record: Record) -> StreamId:
    """Return the stream a record came from; those that read history mark theirs."""
    run = dict(record.headers).get(RUN_HEADER)
    if record.channel == AUDIT:
        kind = f"activity-{record.subject.partition('/')[2]}"
    elif record.type.startswith("schedule."):
        kind = "schedules"
    else:
        kind = KIND_OF.get(record.channel, "jobs")
    if run is not None:
        kind = f"{kind}-{run}" if run == BACKFILL else f"replay-{run}"
    return StreamId(record.instance, kind)


def worker_name() -> str:
    """Return a name no other process has: for people host and process id, and something random."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge at work: where its endpoints are (`http://host:port/`), and its picture of the moment."""

    address: str
    status: Callable[[], Status]


async def run_bridge(settings: Settings) -> int:
    """Run until a signal asks to stop; return the exit code."""
    return_large_blocks()
    configure(settings.log.level, settings.log.format)
    stop = Stop()
    async with obeying_signals(stop):
        await bridge(settings, stop)
    return DONE


async def bridge(
    settings: Settings,
    stop: Stop,
    *,
    name: str | None = None,
    started: Callable[[Running], None] | None = None,
    through: Callable[[Watch], Watch] | None = None,
) -> None:
    """Carry everything the settings name until `stop` is asked.

    `started` is told once the endpoints answer; `through` may put a watch of its own before ours.
    """
    log = structlog.get_logger("orchbridge")
    for warning in settings.warnings:
        log.warning("configuration.warning", explanation=warning)
    streams = wiring.streams_of(settings)
    metrics = Metrics()
    watch: OpsWatch | None = None

    def observe(asked: Asked) -> None:
        if watch is not None:
            watch.observed(asked)

    def set_aside(record: Record, reason: str) -> Record:
        if watch is not None:
            watch.quarantined(stream_of(record), "publish", reason)
        return quarantined(record, reason)

    def warn(finding: Finding) -> None:
        if any(source.start != "now" for source in settings.sources):
            log.warning("sink.warning", subject=finding.subject, explanation=finding.message, hint=finding.hint)

    sink = wiring.sink_of(settings.sink, set_aside, warn)
    async with wiring.clients_of(settings, observe) as clients:
        beside = Beside.made(settings, clients, metrics, observe)
        watched = list(_watched(settings, streams, clients, beside))
        name = name or worker_name()
        view, names = wiring.viewer(streams), settings.metrics.name_series
        watch = OpsWatch(watched, metrics, view, version=__version__, clock=time.time, worker=name, name_series=names)
        heard = Owning(watch if through is None else through(watch), [beside.canaries])
        trail, alarms = Trail(), AlarmBook(metrics)
        hearts = wiring.hearts_of(settings, streams)
        worker = Worker(name, sink, stop, heard, time.time, trail, hearts)
        async with _endpoints(settings.http, watch.status, metrics, alarms) as address:
            log.info(
                "bridge.started",
                version=__version__,
                worker=worker.name,
                http=address,
                sources=[source.name for source in settings.sources],
                sink=settings.sink.type,
            )
            if started is not None:
                started(Running(address, watch.status))
            supervision = supervised(os.environ, watch.status, alarms.standing, stop)
            async with watching(trail, wiring.bounds_of(settings.sink), alarms), supervision, beside.working():
                await _carried(wiring.feeds_of(streams, clients), worker)
    log.info("bridge.stopped")


@contextlib.asynccontextmanager
async def _endpoints(
    http: Http, status: Callable[[], Status], metrics: Metrics, alarms: AlarmBook
) -> AsyncIterator[str]:
    """Serve the operations endpoints while the block runs; yield their address."""
    certificates = wiring.certificates_of(http)
    demanded = http.client_ca_file is not None
    app = application(status, metrics, alarms.standing, keys=wiring.keys_to(http), certificate=demanded)
    async with serving(app, http.host, http.port, certificates) as port:
        yield f"http{'s' if certificates else ''}://{http.listen.rpartition(':')[0]}:{port}/"


async def _carried(feeds: list[Feed], worker: Worker) -> None:
    """Carry all streams until asked to stop, then let go of the sink."""
    try:
        await carry_all(feeds, worker)
        if not worker.stop.asked:  # every stream was let go: stay a truthful standby until told to end
            await worker.stop.wait()
    finally:
        async with asyncio.timeout(3.0):
            await worker.sink.close()


def _watched(
    settings: Settings,
    streams: Mapping[str, list[wiring.Tail]],
    clients: Mapping[str, Client],
    beside: Beside,
) -> Iterator[Watched]:
    """Yield what the watch is told of each source."""
    for source in settings.sources:
        intervals = {stream.id.kind: stream.settings.poll_s for stream in streams[source.name]}
        past = frozenset(stream.id.kind for stream in streams[source.name] if stream.settings.run)
        quiet = past if source.start == "now" else frozenset[str]()
        host = urlsplit(str(source.url)).netloc
        yield Watched(
            source.name,
            host,
            intervals,
            clients[source.name].budget_left,
            quiet,
            token_expires=partial(beside.lifetimes.token_ends, source.name),
            certificate_expires=partial(beside.lifetimes.certificate_ends, source.name),
            token_renewal=partial(beside.renewing.due, source.name),
            canary=partial(beside.canaries.status, source.name),
        )
