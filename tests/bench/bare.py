"""The reference: how fast a bare aiokafka producer moves the very same records to the very same broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.delivered import consumed, topics

BATCH_BYTES = 262_144
SAMPLE_MAX = 100_000  # records kept for it; more would only need memory


@dataclass(frozen=True)
class Message:
    """A record as it was delivered."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


async def rate(bootstrap: str, prefix: str, per_transaction: int) -> float:
    """Return records a second: the records of `<prefix>.*` sent again to topics of their own, as they are.

    Keys, values, headers and partitions are the same, batches are prepared ones, transactions hold
    `per_transaction` records; building the batches counts, reading the records beforehand does not.
    """
    await _copy_topics(bootstrap, prefix)
    messages = await _sample(bootstrap, prefix)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"bare-{prefix}", max_batch_size=BATCH_BYTES, linger_ms=0
    )
    await producer.start()
    try:
        await _send(producer, messages[:per_transaction])  # connections and metadata are not what is measured
        started = time.perf_counter()
        for first in range(0, len(messages), per_transaction):
            await _send(producer, messages[first : first + per_transaction])
        return len(messages) / (time.perf_counter() - started)
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
    await producer.begin_transaction()
    batches: dict[tuple[str, int], Any] = {}
    sent = []
    for message in messages:
        place = (message.topic, message.partition)
        if place not in batches:
            batches[place] = producer.create_batch()
        if not _append(batches[place], message):
            sent.append(await producer.send_batch(batches.pop(place), place[0], partition=place[1]))
            batches[place] = producer.create_batch()
            _append(batches[place], message)
    for (topic, partition), batch in batches.items():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    for future in sent:
        await future
    await producer.commit_transaction()


def _append(batch: Any, message: Message) -> bool:
    added = batch.append(
        timestamp=message.timestamp, key=message.key, value=message.value, headers=message.headers
    )  # fmt: skip
    return added is not None


async def _sample(bootstrap: str, prefix: str) -> list[Message]:
    """Return records in about the order in which they were committed."""
    found = []
    records = consumed(bootstrap, prefix)
    async with aclosing(records):
        async for record in records:
            topic = f"bare.{record.topic}"
            found.append(
                Message(topic, record.partition, record.key, record.value, list(record.headers), record.timestamp)
            )
            if len(found) == SAMPLE_MAX:
                break
    return sorted(found, key=lambda message: dict(message.headers)["ce_recordedtime"])


async def _copy_topics(bootstrap: str, prefix: str) -> None:
    counts = await topics(bootstrap, prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"bare.{name}", count, 1) for name, count in counts.items()])
    finally:
        await admin.close()
