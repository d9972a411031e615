"""aiokafka's clients as this sink needs them, and how to be rid of one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, collect_hosts, create_conn
from aiokafka.errors import KafkaError

from orchbridge.core.errors import ConfigError, OrchbridgeError
from orchbridge.sinks.kafka.assignor import Assignor
from orchbridge.sinks.kafka.ending import end_once
from orchbridge.sinks.kafka.errors import meaning, unless_asked
from orchbridge.sinks.kafka.settings import KafkaSettings

STOP_S = 2.0
REQUEST_S = 10.0
SESSION_S, HEARTBEAT_S = 6.0, 1.0  # 6 s is the least that brokers admit by default
FETCH_BYTES = 262_144  # of a partition at once; what is recalled must not stand in memory by the ten thousand


class Clients:
    """Makes clients that all connect alike."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._common: dict[str, Any] | None = None

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Yield a started admin client; raise what keeps us from the broker."""
        client = AIOKafkaAdminClient(**self._options())
        try:
            await self._start(client)
            yield client
        finally:
            await _within_limit(client._client.close())

    @contextlib.asynccontextmanager
    async def consumer(self, isolation_level: str, limit_s: float) -> AsyncIterator[AIOKafkaConsumer]:
        """Yield a consumer, started within the limit; it has no group, so that it disturbs nobody."""
        client = AIOKafkaConsumer(
            **self._options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            isolation_level=isolation_level,
        )
        try:
            async with asyncio.timeout(limit_s):
                await self._start(client)
            yield client
        finally:
            await _end_consumer(client)

    @contextlib.asynccontextmanager
    async def producer(self, transactional_id: str) -> AsyncIterator[AIOKafkaProducer]:
        """Yield a started producer; from then on every older one with this id is fenced."""
        settings = self._settings
        client = AIOKafkaProducer(
            **self._options(),
            transactional_id=transactional_id,
            transaction_timeout_ms=int(settings.transaction_timeout_s * 1000),
            compression_type=None if settings.compression == "none" else settings.compression,
            max_batch_size=settings.max_batch_size,
            max_request_size=settings.max_request_size,
            linger_ms=0,
        )
        end_once(client)
        try:
            await self._start(client)
            await client.client.add_topic(settings.cursor_topic)  # one that has none asks about all topics there are
            yield client
        finally:
            await _end_producer(client)

    @contextlib.asynccontextmanager
    async def member(self, worker: str, assignor: Assignor) -> AsyncIterator[AIOKafkaConsumer]:
        """Yield a started consumer of the group that has subscribed to nothing yet; it leaves at the end."""
        options = self._options() | {"client_id": worker}
        client = AIOKafkaConsumer(
            **options,
            group_id=self._settings.group,
            partition_assignment_strategy=(assignor,),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            session_timeout_ms=int(SESSION_S * 1000),
            rebalance_timeout_ms=int(SESSION_S * 1000),  # below REQUEST_S: the answer is waited for that long
            heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
            retry_backoff_ms=250,  # how often it knocks while there is no broker
        )
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._start(client)
            yield client
        finally:
            await _end_member(client)

    @contextlib.asynccontextmanager
    async def connection(self, host: str, port: int) -> AsyncIterator[AIOKafkaConnection]:
        """Yield a connection to one broker, let in as all clients are; raise what keeps us from it."""
        options = {name: value for name, value in self._options().items() if name != "bootstrap_servers"}
        connection = await create_conn(host, port, **options)
        try:
            yield connection
        finally:
            connection.close()

    async def _start(self, client: Any) -> None:
        try:
            await client.start()
        except KafkaError as error:
            found = await self._why()
            if found is None:
                raise
            raise found from error

    async def _why(self) -> OrchbridgeError | None:
        """aiokafka only says that no broker answered; knock once more to learn what it says to us."""
        for host, port, _ in collect_hosts(self._settings.bootstrap_servers):
            try:
                async with asyncio.timeout(STOP_S), self.connection(host, port):
                    pass
            except (KafkaError, OSError, TimeoutError) as cause:
                found = meaning(cause, f"Kafka at {host}:{port}")
                if found is not None:
                    return found
        return None

    def _options(self) -> dict[str, Any]:
        if self._common is None:
            settings = self._settings
            self._common = {
                "bootstrap_servers": settings.bootstrap_servers,
                "client_id": settings.client_id,
                "request_timeout_ms": int(REQUEST_S * 1000),
                "security_protocol": settings.security_protocol,
                "sasl_mechanism": settings.sasl_mechanism,
                "sasl_plain_username": settings.sasl_plain_username,
                "sasl_plain_password": settings.sasl_plain_password,
                "ssl_context": tls(settings),
            }
        return self._common


def tls(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return the TLS context, None where the protocol has none; raise ConfigError naming the file that is wrong."""
    if "SSL" not in settings.security_protocol:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"sink.ssl_cafile {settings.ssl_cafile} cannot be used: {error}", hint="name a PEM file of CA certificates"
        ) from error
    if settings.ssl_certfile is not None:
        try:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_password or "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"sink.ssl_certfile {settings.ssl_certfile} with its key cannot be used: {error}",
                hint="name PEM files: the certificate chain, its key, and ssl_password where the key is encrypted",
            ) from error
    return context


async def _within_limit(closing: Awaitable[None], limit_s: float = STOP_S) -> None:
    with contextlib.suppress(TimeoutError, KafkaError, OSError):
        async with asyncio.timeout(limit_s):
            with unless_asked():
                await closing


async def _end_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer within the limit, whatever it waits for.

    Its own stop() delivers what is pending, into a transaction that nobody will commit; that is
    quick where the broker answers. Where it does not, or where the sender has died, tasks stay
    behind that wait for it for ever: they are found by what they work on.
    """
    _hush(producer)
    await _within_limit(producer.stop(), STOP_S / 2)
    await _cut(producer.client, producer._sender, producer._message_accumulator)
    await _within_limit(producer.client.close(), STOP_S / 4)


async def _end_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer within the limit; its own stop() ends half-way where a fetch pauses after a lost connection."""
    await _within_limit(consumer.stop())
    if consumer._fetcher is not None:
        await _cut(consumer._client, consumer._fetcher)
    await _within_limit(consumer._client.close(), STOP_S / 4)


async def _end_member(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and stop the consumer within the limit.

    Its own stop() waits for a join that is under way, and that waits for other workers; then the
    connection is given up, and we leave over a new one.
    """
    await _within_limit(consumer.stop(), STOP_S / 2)
    coordinator = consumer._coordinator
    if coordinator is not None:
        await _cut(consumer._client, coordinator, consumer._fetcher)
        if coordinator.generation > 0:  # else it has left
            await _within_limit(coordinator._maybe_leave_group(), STOP_S / 4)
    await _within_limit(consumer._client.close(), STOP_S / 4)


async def _cut(client: AIOKafkaClient, *parts: object) -> None:
    """Cancel the unfinished tasks that run a method of these parts, and give up the connections."""
    left = _tasks_of(*parts)
    for task in left:
        task.cancel()
    for connection in client._conns.values():
        if connection._writer is not None:
            connection._writer.transport.abort()
    if left:
        await asyncio.wait(left, timeout=STOP_S / 4)


def _tasks_of(*parts: object) -> list[asyncio.Task[Any]]:
    ids = {id(part) for part in parts}
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and id(frame.f_locals.get("self")) in ids:
            task.add_done_callback(_heard)
            found.append(task)
    return found


def _hush(producer: AIOKafkaProducer) -> None:
    """Failures that nobody waits for any more must not be logged when the garbage collector finds them."""
    transactions, accumulator = producer._txn_manager, producer._message_accumulator
    futures = [transactions._transaction_waiter, transactions._pid_waiter]
    waiting = [*accumulator._pending_batches, *(batch for queue in accumulator._batches.values() for batch in queue)]
    futures += [future for batch in waiting for future in (batch.future, batch._drain_waiter)]
    for future in futures:
        if future is not None:
            future.add_done_callback(_heard)


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
