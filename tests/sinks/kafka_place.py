"""A corner of a Kafka cluster that one test has for itself, and a careful reader of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from orchbridge.core.ports import Sink
from orchbridge.formats.cloudevents import BinaryCodec
from orchbridge.sinks.kafka import KafkaSettings, KafkaSink
from tests.sinks.contract import Seen, quarantined


class KafkaPlace:
    def __init__(self, bootstrap: str, prefix: str, **more: Any) -> None:
        self.prefix = prefix
        self.settings = KafkaSettings(bootstrap, group=prefix, partitions=3, **more)

    def sink(self, **more: Any) -> KafkaSink:
        settings = KafkaSettings(**{name: getattr(self.settings, name) for name in KafkaSettings.__slots__} | more)
        return KafkaSink(settings, self.codec(), quarantine=quarantined)

    def rival(self, sink: Sink) -> KafkaSink:
        return self.sink()

    def codec(self) -> BinaryCodec:
        return BinaryCodec(f"{self.prefix}.{{source}}", version="0")

    async def seen(self) -> list[Seen]:
        return [_seen(record) for record in await self.records() if record.topic != self.settings.cursor_topic]

    async def topics(self) -> dict[str, int]:
        """Return our topics -> number of partitions."""
        async with administration(self.settings.bootstrap_servers) as admin:
            topics = await admin.describe_topics()
        mine = [topic for topic in topics if topic["topic"].startswith(f"{self.prefix}.")]
        return {topic["topic"]: len(topic["partitions"]) for topic in mine}

    async def records(self) -> list[ConsumerRecord]:
        """Return what a read_committed consumer sees in all our topics, in order per partition."""
        options = {
            "bootstrap_servers": self.settings.bootstrap_servers,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": 20,
        }
        places = [TopicPartition(name, n) for name, count in (await self.topics()).items() for n in range(count)]
        if not places:
            return []
        async with (
            AIOKafkaConsumer(**options) as uncommitted,
            AIOKafkaConsumer(**options, isolation_level="read_committed") as consumer,
        ):
            await uncommitted._client.set_topics({place.topic for place in places})
            ends = await uncommitted.end_offsets(places)
            wanted = {place: end for place, end in ends.items() if end}
            consumer.assign(list(wanted))
            found: list[ConsumerRecord] = []
            while wanted:
                for records in (await consumer.getmany(*wanted, timeout_ms=50)).values():
                    found += records
                wanted = {place: end for place, end in wanted.items() if await consumer.position(place) < end}
            return found

    async def autopsy(self) -> str:
        """Return what each partition of ours holds, for when a reader saw less than was acknowledged.

        `end` is where everybody's records end, `stable` where those that are decided do; `written` counts
        records whatever became of their transactions.
        """
        options = {"bootstrap_servers": self.settings.bootstrap_servers, "auto_offset_reset": "earliest"}
        places = [TopicPartition(name, n) for name, count in (await self.topics()).items() for n in range(count)]
        async with (
            AIOKafkaConsumer(**options) as reader,
            AIOKafkaConsumer(**options, isolation_level="read_committed") as committed,
        ):
            await asyncio.gather(
                *(each._client.set_topics({at.topic for at in places}) for each in (reader, committed))
            )
            ends, stable = await reader.end_offsets(places), await committed.end_offsets(places)
            reader.assign([place for place in places if ends[place]])
            written = Counter[TopicPartition]()
            deadline = asyncio.get_running_loop().time() + 10.0
            while asyncio.get_running_loop().time() < deadline:
                for place, records in (await reader.getmany(timeout_ms=500)).items():
                    written[place] += len(records)
        return "; ".join(
            f"{at.topic}-{at.partition}: end {ends[at]}, stable {stable[at]}, written {written[at]}"
            for at in places
            if ends[at]
        )


@contextlib.asynccontextmanager
async def administration(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _seen(record: ConsumerRecord) -> Seen:
    return Seen(record.topic, record.key.decode(), dict(record.headers)["ce_id"].decode())
