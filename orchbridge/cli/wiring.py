"""From settings to rooms: each gets plain values, none sees the configuration."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from orchbridge import __version__
from orchbridge.cli.canary import Errand
from orchbridge.cli.renewing import Renewable
from orchbridge.config import Canary, Http, Jsonl, Kafka, Redaction, Settings, Sink, Source, Stdout, values
from orchbridge.core import times
from orchbridge.core.activity.stream import KIND, ActivityStream
from orchbridge.core.errors import ConfigError
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.quarantine import quarantined
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.plans.window import PlanWindow
from orchbridge.core.ports import Finding, StreamId
from orchbridge.core.ports import Sink as SinkPort
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules
from orchbridge.core.schedules.stream import ScheduleStream
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.walk import Start
from orchbridge.core.window import BACKFILL
from orchbridge.formats.cloudevents import BinaryCodec, StructuredCodec
from orchbridge.ops.keys import Keys, Secret
from orchbridge.ops.tls import Certificates, Tls
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked
from orchbridge.runtime.bridge import Feed
from orchbridge.runtime.heart import Hearts
from orchbridge.runtime.watchdog import Bounds

if TYPE_CHECKING:
    from orchbridge.sinks.kafka import KafkaSettings

Tail: TypeAlias = JobStream | PlanStream | InventoryStream | ActivityStream | ScheduleStream | JobWindow | PlanWindow
STREAMS: Mapping[str, Callable[[StreamSettings], Tail]] = {
    "jobs": JobStream,
    "plans": PlanStream,
    "inventory": InventoryStream,
    "schedules": ScheduleStream,
}
BACKFILLS: Mapping[str, Callable[[StreamSettings], Tail]] = {"jobs": JobWindow, "plans": PlanWindow}
BACKFILL_SHARE = 0.5  # of a source's budget of requests


def access_of(source: Source) -> Access:
    """Return how a source is reached; raise ConfigError where a secret's file cannot be read."""
    return Access(
        name=source.name,
        url=str(source.url),
        ca_file=source.ca_file,
        client_cert_file=source.client_cert_file,
        client_key_file=source.client_key_file,
        token_file=source.token_file,
        token=source.token.get_secret_value() if source.token else None,
        proxy=_secret(source, "proxy"),
        rbac_url=source.rbac_url,
        read_s=source.timeout_s,
        concurrency=source.concurrency,
        requests_per_s=source.requests_per_s,
    )


def _secret(section: Source | Kafka, name: str) -> str | None:
    try:
        return section.secret(name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        path = getattr(section, f"{name}_file")
        raise ConfigError(
            f"{name}_file {path} cannot be read: {reason}", hint="make it readable to the user orchbridge runs as"
        ) from None


def keys_to(http: Http) -> Keys:
    """Return what opens the operations port; raise ConfigError where a secret cannot be used."""

    def secret(name: str, *, token: bool) -> Secret | None:
        given = getattr(http, name)
        value = None if given is None else given.get_secret_value()
        return Secret(name, value, getattr(http, f"{name}_file"), token=token) if http.has(name) else None

    return Keys(secret("bearer_token", token=True), http.basic_user or "", secret("basic_password", token=False))


def certificates_of(http: Http) -> Certificates | None:
    """Return the TLS of the operations port, None without; raise ConfigError where its files cannot be used."""
    if http.tls_cert_file is None or http.tls_key_file is None:
        return None
    return Certificates(Tls(http.tls_cert_file, http.tls_key_file, http.client_ca_file))


def errands_of(settings: Settings) -> list[Errand]:
    """Return every source's canary; raise ConfigError where its parameters' file cannot be read. Only the type of
    what is wrong with them is told: they may be secrets."""
    return [errand_of(source.name, source.canary) for source in settings.sources if source.canary is not None]


def errand_of(source: str, canary: Canary) -> Errand:
    """Return one canary."""
    params = canary.params
    if canary.params_file is not None:
        try:
            params = values.parameters(canary.params_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no JSON object"
            raise ConfigError(
                f"params_file {canary.params_file} cannot be read: {reason}", hint='write {"name": "value"} into it'
            ) from None
    return Errand(
        source, canary.task, canary.nodes, canary.environment, canary.interval_s, canary.timeout_s, dict(params)
    )


def canary_clients_of(settings: Settings, observe: Callable[[Asked], None]) -> dict[str, Client]:
    """Return a client for every canary, not open yet: a command that gets no answer must not hold a stream's place."""
    return {
        source.name: Client(replace(access_of(source), concurrency=1), observe)
        for source in settings.sources
        if source.canary is not None
    }


def renewables_of(settings: Settings) -> list[Renewable]:
    """Return the sources whose token is to be renewed."""
    return [
        Renewable(source.name, source.token_file)
        for source in settings.sources
        if source.renew_token and source.token_file is not None
    ]


def rules_of(redaction: Redaction) -> Rules:
    """Return the redaction rules; raise ConfigError where the pseudonym key cannot be used."""
    key = None
    if redaction.pseudonym_key_file is not None:
        try:
            key = Path(redaction.pseudonym_key_file).read_bytes().strip()
        except OSError as error:
            raise ConfigError(
                f"pseudonym_key_file {redaction.pseudonym_key_file} cannot be read: {error.strerror}",
                hint="make it readable to the user orchbridge runs as",
            ) from None
        if len(key) < 16:
            raise ConfigError(
                f"pseudonym_key_file {redaction.pseudonym_key_file} holds {len(key)} bytes",
                hint="put at least 16 random bytes into it: openssl rand -hex 32",
            )
    return Rules(keys=redaction.key_names, pseudonym_key=key, unknown_task=redaction.unknown_task)


def start_of(text: str) -> Start:
    """Return the start rule that a configuration's text means; it was validated there."""
    if text in {"now", "earliest"}:
        return Start(text)
    if text.startswith("job:"):
        return Start("from", id=int(text.removeprefix("job:")))
    return Start("since", at=times.seconds(text) or 0.0)


def url_of(source: Source) -> str:
    """Return the source's address as memories are stamped with it."""
    return str(source.url).rstrip("/")


def keys_of(topic_prefix: str) -> str:
    """Return whether record keys are "bare" or "prefixed" with the source."""
    return "bare" if "{source}" in topic_prefix else "prefixed"


def stream_of(kind: str) -> Callable[[StreamSettings], Tail]:
    """Return what makes a live stream of this kind."""
    return ActivityStream if kind.startswith(KIND) else STREAMS[kind]


def interval_of(source: Source, kind: str) -> float:
    """Return the seconds between a stream's looks."""
    if kind.startswith(KIND):
        return source.activity_interval_s
    own = {"inventory": source.inventory_interval_s, "schedules": source.schedules_interval_s}
    return own.get(kind, source.poll_interval_s)


def stream_settings(source: Source, kind: str, rules: Rules, topic_prefix: str) -> StreamSettings:
    """Return what one stream is told."""
    return StreamSettings(
        id=StreamId(source.name, kind),
        url=url_of(source),
        origin=Origin(source.name, rules, source.job_url),
        start=start_of(source.start),
        keys=keys_of(topic_prefix),
        adopt=source.adopt_cursor,
        poll_s=interval_of(source, kind),
        grace_s=source.certificate_grace_s,
        late_window_s=source.late_window_s,
        forget_after_s=source.forget_after.total_seconds(),
        missed_after_s=source.missed_after.total_seconds(),
    )


def streams_of(settings: Settings) -> dict[str, list[Tail]]:
    """Return every source's streams; beside jobs and plans, the backfill that reads what was left of their history."""
    rules = rules_of(settings.redaction)
    named = settings.metrics.node_series
    return {source.name: _streams(source, settings.sink, rules, named) for source in settings.sources}


def _streams(source: Source, sink: Sink, rules: Rules, node_series: int) -> list[Tail]:
    lasting = not isinstance(sink, Stdout)  # what is handed over has to be remembered
    past = [kind for kind in source.streams if kind in BACKFILLS and lasting]

    def told(kind: str) -> StreamSettings:
        hands_over = kind in past and source.start != "now"
        plain = stream_settings(source, kind, rules, sink.topic_prefix)
        return msgspec.structs.replace(plain, backfill=hands_over, node_series=node_series)

    return [
        *(stream_of(kind)(told(kind)) for kind in source.kinds),
        *(BACKFILLS[kind](told(f"{kind}-{BACKFILL}")) for kind in past),
    ]


def sink_of(
    sink: Sink,
    quarantine: Callable[[Record, str], Record] = quarantined,
    warn: Callable[[Finding], None] = lambda _: None,
) -> SinkPort:
    """Return the sink that the configuration names.

    `quarantine` makes what it puts in a refused record's place; `warn` is told what is not well but no reason to stop.
    """
    match sink:
        case Kafka():
            from orchbridge.sinks.kafka import KafkaSink

            codec = BinaryCodec(sink.topic_prefix, sink.type_prefix, version=__version__)
            return KafkaSink(_kafka(sink), codec, quarantine=quarantine, warn=warn)
        case Jsonl():
            from orchbridge.sinks.jsonl import JsonlSettings, JsonlSink

            lines = StructuredCodec(sink.topic_prefix, sink.type_prefix, version=__version__)
            return JsonlSink(JsonlSettings(sink.directory, sink.rotate_bytes), lines, quarantine=quarantine)
        case Stdout():
            from orchbridge.sinks.stdout import StdoutSink

            lines = StructuredCodec(sink.topic_prefix, sink.type_prefix, version=__version__)
            return StdoutSink(lines, sys.stdout.buffer, quarantine=quarantine)


def _kafka(sink: Kafka) -> KafkaSettings:
    from orchbridge.sinks.kafka import KafkaSettings

    return KafkaSettings(
        bootstrap_servers=sink.bootstrap_servers,
        group=sink.group,
        security_protocol=sink.security_protocol,
        sasl_mechanism=sink.sasl_mechanism,
        sasl_plain_username=sink.sasl_plain_username,
        sasl_plain_password=_secret(sink, "sasl_plain_password"),
        ssl_cafile=_text(sink.ssl_cafile),
        ssl_certfile=_text(sink.ssl_certfile),
        ssl_keyfile=_text(sink.ssl_keyfile),
        ssl_password=_secret(sink, "ssl_password"),
        create_topics=sink.create_topics,
        partitions=sink.partitions,
        replication_factor=sink.replication_factor,
        compression=sink.compression,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


@contextlib.asynccontextmanager
async def clients_of(settings: Settings, observe: Callable[[Asked], None]) -> AsyncIterator[dict[str, Client]]:
    """Yield a client for every source, closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        yield {
            source.name: await stack.enter_async_context(Client(access_of(source), observe))
            for source in settings.sources
        }


def feeds_of(streams: Mapping[str, list[Tail]], clients: Mapping[str, Client]) -> list[Feed]:
    """Return every stream with the client that answers it; what reads history shares a part of its budget."""
    feeds = []
    for name, several in streams.items():
        client, share = clients[name], clients[name].share(BACKFILL_SHARE)
        feeds += [Feed(stream, share if stream.settings.run else client) for stream in several]
    return feeds


def viewer(streams: Mapping[str, list[Tail]]) -> Callable[[StreamId, Any], StreamView]:
    """Return the function that turns a stream's state into what people see of it."""
    by_id: dict[StreamId, Any] = {stream.id: stream for several in streams.values() for stream in several}

    def view(id_: StreamId, state: Any) -> StreamView:
        found: StreamView = by_id[id_].view(state)
        return found

    return view


def hearts_of(settings: Settings, streams: Mapping[str, list[Tail]]) -> Hearts:
    """Return how the streams beat: not at all where the sink keeps no memory, for nobody could tell whose they are."""
    lasting = not isinstance(settings.sink, Stdout)
    intervals = {source.name: source.heartbeat_interval_s for source in settings.sources if lasting}
    return Hearts(intervals, viewer(streams), __version__)


def bounds_of(sink: Sink) -> Bounds:
    """Return how long a sink's own limits let it take, with room for letting go of what failed.

    Kafka: 30 s to claim; 8 s held by the group, 10 s to commit and a little to learn what a failure means;
    40 s without a record while recalling, of which many can be others'. Files have no limits; a disk may be
    slow. Whoever reads standard output may pause.
    """
    match sink:
        case Kafka():
            return Bounds(claim_s=40.0, recall_s=300.0, commit_s=35.0)
        case Jsonl():
            return Bounds(claim_s=300.0, recall_s=300.0, commit_s=300.0)
        case Stdout():
            return Bounds()
