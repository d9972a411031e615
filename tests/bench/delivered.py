"""What arrived: counted with a read-committed consumer or line by line, unique ids only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord


@dataclass
class Delivered:
    """Records by channel, and their bytes (key, value and headers, without what the transport adds)."""

    channels: dict[str, int] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    records: int = 0
    bytes: int = 0

    def add(self, channel: str, id_: str, size: int) -> None:
        self.ids.add(id_)
        self.channels[channel] = self.channels.get(channel, 0) + 1
        self.records += 1
        self.bytes += size

    def prove(self, jobs: int, events: int) -> None:
        """End with an explanation where anything is missing or there twice."""
        found = sum("/event/" in id_ for id_ in self.ids)
        summaries = sum("/summary/" in id_ for id_ in self.ids)
        if (found, summaries) != (jobs * events, jobs):
            raise SystemExit(f"MISSING: {found} of {jobs * events} events, {summaries} of {jobs} certificates arrived")
        if len(self.ids) != self.records:
            raise SystemExit(f"TWICE: {self.records} records have only {len(self.ids)} ids")


async def topics(bootstrap: str, prefix: str) -> dict[str, int]:
    """Return topic -> number of partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(f"{prefix}.")]
        described = await admin.describe_topics(names) if names else []
    finally:
        await admin.close()
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def consumed(bootstrap: str, prefix: str) -> AsyncIterator[ConsumerRecord]:
    """Yield every committed record of these topics, partition by partition as they come."""
    counts = await topics(bootstrap, prefix)
    places = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, max_partition_fetch_bytes=4 << 20,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        left = {place for place in places if ends[place]}
        async with asyncio.timeout(300):
            while left:
                for records in (await consumer.getmany(*left, timeout_ms=500)).values():
                    for record in records:
                        yield record
                left = {place for place in left if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()


async def in_kafka(bootstrap: str, prefix: str) -> Delivered:
    """Count what a read-committed consumer sees."""
    found = Delivered()
    records = consumed(bootstrap, prefix)
    async with aclosing(records):
        async for record in records:
            headers = dict(record.headers)
            size = sum(len(name) + len(value) for name, value in record.headers)
            size += len(record.key or b"") + len(record.value or b"")
            found.add(record.topic.removeprefix(f"{prefix}."), headers["ce_id"].decode(), size)
    return found


def in_files(folder: Path) -> Delivered:
    """Count the lines of a JSONL directory."""

    class Line(msgspec.Struct):
        id: str

    found = Delivered()
    decoder = msgspec.json.Decoder(Line)
    for path in folder.glob("*.jsonl"):
        with path.open("rb") as lines:
            for line in lines:
                found.add(path.name.removesuffix(".jsonl").removeprefix("prod."), decoder.decode(line).id, len(line))
    return found
