"""Reading a topic as it is committed, from its first record to where it ended when we asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from orchbridge.core.errors import SinkLost
from orchbridge.sinks.kafka.clients import Clients

POLL_MS = 200


async def committed(
    clients: Clients, topic: str, partitions: Collection[int] | None, stall_s: float
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the committed records of these partitions (None: of all); raise SinkLost where it does not get on.

    The end is the read_uncommitted one: a read_committed consumer would name the stable offset,
    which somebody's open transaction can hold below our own committed cursor. It is compared with
    the position, because transaction markers take up offsets and yield nothing.
    """
    places, ends = await _ends(clients, topic, partitions, stall_s)
    async with clients.consumer("read_committed", stall_s) as consumer:
        consumer.assign(places)
        async with asyncio.timeout(stall_s):
            await consumer.seek_to_beginning(*places)
        behind = await _behind(consumer, places, ends, stall_s)
        loop = asyncio.get_running_loop()
        reached, moved_at = sum(behind.values()), loop.time()
        while behind:
            async with asyncio.timeout(stall_s):
                fetched = await consumer.getmany(*behind, timeout_ms=POLL_MS)
            for records in fetched.values():
                for record in records:
                    yield record
            behind = await _behind(consumer, behind, ends, stall_s)
            if fetched or sum(behind.values()) != reached:
                reached, moved_at = sum(behind.values()), loop.time()
            elif loop.time() - moved_at > stall_s:
                raise SinkLost(
                    f"reading {topic} stands still before its end, at {_where(behind)}",
                    hint="another producer's transaction is open there until its timeout; or look at the brokers",
                )


async def _ends(
    clients: Clients, topic: str, partitions: Collection[int] | None, limit_s: float
) -> tuple[list[TopicPartition], dict[TopicPartition, int]]:
    async with clients.consumer("read_uncommitted", limit_s) as consumer, asyncio.timeout(limit_s):
        existing = await consumer._client._wait_on_metadata(topic)  # asking for offsets first costs a pause
        places = [TopicPartition(topic, partition) for partition in sorted(partitions or existing)]
        return places, await consumer.end_offsets(places)


async def _behind(
    consumer: AIOKafkaConsumer, places: Iterable[TopicPartition], ends: dict[TopicPartition, int], limit_s: float
) -> dict[TopicPartition, int]:
    """Return the partitions that are not read to their end -> position."""
    async with asyncio.timeout(limit_s):
        positions = {place: await consumer.position(place) for place in places}
    return {place: position for place, position in positions.items() if position < ends[place]}


def _where(behind: dict[TopicPartition, int]) -> str:
    return ", ".join(f"partition {place.partition} offset {position}" for place, position in behind.items())
