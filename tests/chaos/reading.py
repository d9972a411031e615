"""What a read-committed consumer sees: all of it at the end, or as it comes with the time of its arrival."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from tests.oracle import Seen

READ_S = 120.0  # to read everything at the end


class _Little(msgspec.Struct):
    """What the oracle wants to know of most records: thousands of whole ones would not fit so well."""

    late: bool = False
    connected: bool | None = None


_LITTLE = msgspec.json.Decoder(_Little)


def seen_of(channel: str, record: ConsumerRecord) -> Seen:
    """Return a record as the oracle takes it."""
    headers = {name: value.decode() for name, value in record.headers}
    type_, sequence = headers["ce_type"], headers.get("ce_sequence")
    data: dict[str, Any] | None
    if record.value is None:
        data = None
    elif type_.endswith((".summary.v1", ".activity.v1")) or "schedule." in type_:
        data = msgspec.json.decode(record.value)
    else:
        little = _LITTLE.decode(record.value)
        data = {"late": little.late, "connected": little.connected}
    return Seen(channel, record.key.decode(), headers["ce_id"], type_, data, int(sequence) if sequence else None)


async def everything(bootstrap: str, prefix: str) -> list[Seen]:
    """Return all that is committed on the topics of a prefix, in order per partition; raise TimeoutError."""
    parts = await _parts(bootstrap, prefix)
    found: list[Seen] = []
    async with asyncio.timeout(READ_S), _consumer(bootstrap) as consumer:
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts) if parts else {}
        left = {part for part in parts if ends[part]}
        while left:
            for part, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [seen_of(part.topic.removeprefix(f"{prefix}."), record) for record in records]
            left = {part for part in left if await consumer.position(part) < ends[part]}
    return found


class Follower:
    """Reads along, whatever happens to the brokers; `arrivals` tells when each id came (Unix seconds)."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.seen: list[Seen] = []
        self.arrivals: dict[str, float] = {}
        self._bootstrap, self._prefix = bootstrap, prefix

    async def follow(self) -> None:
        """Read until cancelled; the topics have to be there soon."""
        parts = await self._found()
        async with _consumer(self._bootstrap) as consumer:
            consumer.assign(parts)
            while True:
                with contextlib.suppress(KafkaError):
                    for part, records in (await consumer.getmany(timeout_ms=500)).items():
                        now = time.time()
                        for record in records:
                            found = seen_of(part.topic.removeprefix(f"{self._prefix}."), record)
                            self.seen.append(found)
                            self.arrivals.setdefault(found.id, now)

    async def _found(self) -> list[TopicPartition]:
        """Return the partitions as soon as a bridge has made the topics."""
        while True:
            with contextlib.suppress(KafkaError, OSError):
                parts = await _parts(self._bootstrap, self._prefix)
                if any(part.topic.endswith(".job-events") for part in parts):
                    return parts
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, max_partition_fetch_bytes=4 << 20, metadata_max_age_ms=2_000,
        retry_backoff_ms=50, request_timeout_ms=5_000,
    )  # fmt: skip
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _parts(bootstrap: str, prefix: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(f"{prefix}.")]
        described = await admin.describe_topics(topics) if topics else []
    finally:
        await admin.close()
    return [TopicPartition(topic["topic"], part["partition"]) for topic in described for part in topic["partitions"]]
