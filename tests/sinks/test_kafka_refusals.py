"""Records and documents that a broker will not take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from orchbridge.core.errors import Refused, SinkLost
from orchbridge.core.normalize.quarantine import quarantined
from orchbridge.core.ports import Sink
from orchbridge.core.records import Record
from orchbridge.sinks.kafka import KafkaSink
from tests.sinks.contract import JOBS, claimed, cursors, head, opened, per_key, record, remember
from tests.sinks.kafka_place import KafkaPlace, administration

pytestmark = pytest.mark.kafka


@pytest.fixture
def place(kafka: str, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka, prefix)


async def alter(place: KafkaPlace, channel: str, **configs: str) -> None:
    """Change a topic's settings and wait until the broker goes by them."""
    topic = place.settings.cursor_topic if channel == "cursors" else f"{place.prefix}.prod.{channel}"
    named = {name.replace("_", "."): value for name, value in configs.items()}
    async with administration(place.settings.bootstrap_servers) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, named)])
        async with asyncio.timeout(10):
            while True:
                (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
                entries = {key: value for key, value, *_ in answer.resources[0][4]}
                if all(entries[name] == value for name, value in named.items()):
                    return
                await asyncio.sleep(0.05)


async def persist(sink: Sink, *records: Record, attempts: int = 12) -> list[SinkLost]:
    """Commit these records, claiming again after every loss as the heart does; return the losses.

    The first commit of a claim says whose the stream is, before anything was read again.
    """
    losses: list[SinkLost] = []
    for _ in range(attempts):
        try:
            async with sink.claim(JOBS) as lane:
                if not (await cursors(lane)).get("prod/jobs", {}).get("done"):
                    await lane.commit(remember({"prod/jobs": head("a")}))
                    await lane.commit(remember({"prod/jobs": head("a", done=True)}, *records))
                return losses
        except SinkLost as loss:
            losses.append(loss)
    raise AssertionError(losses)


async def quarantine(place: KafkaPlace) -> dict[str, Any]:
    """Return what is in quarantine: id -> reason."""
    found = [item for item in await place.records() if item.topic.endswith(".quarantine")]
    return {dict(item.headers)["ce_id"].decode(): msgspec.json.decode(item.value)["reason"] for item in found}


async def test_a_record_larger_than_its_topic_takes_is_quarantined_at_once(place: KafkaPlace) -> None:
    huge = record(2, data={"text": "x" * 1_100_000})
    async with claimed(place) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1), huge, record(3)))
    assert per_key(await place.seen())["job-events", "350"] == ["e1:job/350/event/1", "e1:job/350/event/3"]
    (reason,) = (await quarantine(place)).values()
    assert "too large" in reason
    assert "takes 1048" in reason


async def test_a_record_as_large_as_its_topic_takes_arrives(place: KafkaPlace) -> None:
    async with claimed(place) as lane:
        await lane.commit(remember({}, record(1, data={"text": "x" * 1_040_000})))
    assert await quarantine(place) == {}
    assert len(await place.seen()) == 1


async def test_batches_stay_below_what_a_small_topic_takes(place: KafkaPlace) -> None:
    async with opened(place.sink(), JOBS) as sink:
        await alter(place, "job-events", max_message_bytes="66000")
    async with claimed(place) as lane:
        await lane.commit(remember({}, *(record(n, data={"text": "x" * 5_000}) for n in range(60))))
    assert len(await place.seen()) == 60
    assert sink is not None


async def test_a_limit_lowered_while_we_run_is_learned(place: KafkaPlace) -> None:
    async with opened(place.sink(), JOBS) as sink:
        await alter(place, "job-events", max_message_bytes="66000")
        losses = await persist(sink, record(1), record(2, data={"text": "x" * 70_000}), record(3))
        assert len(losses) == 1
    assert set(await quarantine(place)) == {"e1:job/350/event/2/quarantine"}
    assert len(await place.seen()) == 3


async def test_the_one_record_that_a_broker_finds_invalid_is_found(place: KafkaPlace) -> None:
    """Its timestamp is older than the topic takes; nothing on our side can tell beforehand."""
    old = record(777, "3", observed="2001-05-05T00:00:00Z", time="2001-05-05T00:00:00Z")
    items = [record(n, str(n % 5)) for n in range(300)]
    async with opened(place.sink(), JOBS) as sink:
        await alter(place, "job-events", message_timestamp_before_max_ms="3600000")
        losses = await persist(sink, *items[:150], old, *items[150:])
        assert 2 <= len(losses) <= 5, "each attempt narrows it down"
    assert set(await quarantine(place)) == {"e1:job/3/event/777/quarantine"}
    assert "refused by the broker" in next(iter((await quarantine(place)).values()))
    assert len(await place.seen()) == 301


async def test_a_quarantine_record_that_is_refused_as_well_travels_bare(place: KafkaPlace) -> None:
    """Its own topic takes it no more, and neither does the quarantine; what is left names it."""
    huge = record(2, data={"text": "x" * 70_000})

    def whole(record: Record, reason: str) -> Record:
        return quarantined(msgspec.structs.replace(record, data={"text": "y" * 9_000}), reason)

    sink = KafkaSink(place.settings, place.codec(), quarantine=whole)
    async with opened(sink, JOBS):
        await alter(place, "job-events", max_message_bytes="66000")
        await alter(place, "quarantine", max_message_bytes="4000")
        losses = await persist(sink, record(1), huge, record(3))
        assert len(losses) == 1, "the limits are learned together"
    (found,) = [item for item in await place.records() if item.topic.endswith(".quarantine")]
    assert dict(found.headers)["ce_id"] == b"e1:job/350/event/2/quarantine"
    told = msgspec.json.decode(found.value)
    assert (told["withheld"], told["original"], told["stage"]) == (True, None, "publish")
    assert len(await place.seen()) == 3


async def test_a_memory_too_large_for_the_cursor_topic_asks_for_a_person(place: KafkaPlace) -> None:
    async with claimed(place) as lane:
        with pytest.raises(Refused, match="the memory of prod/jobs/350") as caught:
            await lane.commit(remember({"prod/jobs/350": b'"%s"' % (b"x" * 1_100_000)}, record(1)))
        assert "max.message.bytes" in caught.value.hint
    assert await place.seen() == []


async def test_a_topic_deleted_under_us_is_not_made_anew_unseen(place: KafkaPlace) -> None:
    """With it the memory is gone; only a restart, which a person sees, may begin again."""
    async with opened(place.sink(commit_limit_s=2.0), JOBS) as sink:
        await persist(sink, record(1))
        async with administration(place.settings.bootstrap_servers) as admin:
            await admin.delete_topics([place.settings.cursor_topic])
            async with asyncio.timeout(20):
                while place.settings.cursor_topic in await admin.list_topics():  # noqa: ASYNC110 - the broker takes its time
                    await asyncio.sleep(0.05)
        begun = time.monotonic()
        with pytest.raises((Refused, SinkLost)):
            async with sink.claim(JOBS) as lane:
                await lane.commit(remember({"prod/jobs": head("a")}, record(2)))
        with pytest.raises(Refused) as caught:
            for _ in range(3):
                await persist(sink, record(2), attempts=1)
        assert place.settings.cursor_topic in str(caught.value)
        assert time.monotonic() - begun < 20
