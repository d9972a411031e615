"""Who carries a stream and what it remembers, as somebody sees it who only looks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import StreamId
from orchbridge.sinks.kafka import KafkaSettings
from orchbridge.sinks.kafka.packing import cursor_partition
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.broker import free_port
from tests.sinks.contract import JOBS, NODES, PLANS, claimed, head, opened, record, remember
from tests.sinks.jsonl_place import JsonlPlace
from tests.sinks.kafka_place import KafkaPlace


async def test_memory_names_nobody_but_an_open_lane() -> None:
    store = MemoryStore()
    async with MemorySink(store).claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}))
        assert await MemorySink(store).owner(JOBS) == "this process"
        assert await MemorySink(store).owner(PLANS) is None
    assert await MemorySink(store).owner(JOBS) is None
    assert [one.key for one in await MemorySink(store).kept()] == ["prod/jobs"]


async def test_jsonl_names_the_process_and_takes_nothing_away(tmp_path: Path) -> None:
    place = JsonlPlace(tmp_path / "records")
    looking = place.sink()
    assert await looking.owner(JOBS) is None
    assert await looking.kept() == []
    assert not place.directory.exists(), "looking creates nothing"
    async with opened(place.sink()) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a"), "prod/jobs/7": b"[]"}))
        assert await looking.owner(PLANS) == f"process {os.getpid()}"
        await lane.commit(remember({"prod/jobs": head("a", high=2)}))
    assert await looking.owner(JOBS) is None
    assert {one.key: one.value for one in await looking.kept()} == {
        "prod/jobs": head("a", high=2),
        "prod/jobs/7": b"[]",
    }
    await looking.close()


async def test_looking_all_the_time_keeps_no_writer_out(tmp_path: Path) -> None:
    """Another process asks in a tight loop; every start must succeed."""
    place = JsonlPlace(tmp_path / "records")
    async with opened(place.sink()):
        pass
    code = """
        import sys
        from pathlib import Path
        from orchbridge.sinks.jsonl import disk
        print("looking", flush=True)
        while True:
            disk.locked(Path(sys.argv[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(place.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as onlooker:  # noqa: ASYNC220 - starting is quick
        try:
            assert onlooker.stdout is not None
            onlooker.stdout.readline()
            ends = time.monotonic() + 2
            while time.monotonic() < ends:
                async with opened(place.sink()):
                    pass
        finally:
            onlooker.kill()


@contextlib.asynccontextmanager
async def member(place: KafkaPlace, name: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A worker as far as the group can tell."""
    consumer = AIOKafkaConsumer(
        place.settings.cursor_topic,
        bootstrap_servers=place.settings.bootstrap_servers,
        group_id=place.settings.group,
        client_id=name,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
        yield consumer
    finally:
        await consumer.stop()


@pytest.mark.kafka
async def test_kafka_names_the_member_that_has_the_partition(kafka: str, prefix: str) -> None:
    place = KafkaPlace(kafka, prefix)
    async with claimed(place) as lane:
        await lane.commit(remember({"prod/jobs": head("a"), "prod/jobs/350": b"[1]"}, record(1)))
        await lane.commit(remember({"prod/jobs": head("a", high=3), "prod/jobs/350": None, "prod/jobs/351": b"[2]"}))
    looking = place.sink()
    begun = time.time()
    kept = {one.key: one for one in await looking.kept()}
    assert {key: one.value for key, one in kept.items()} == {"prod/jobs": head("a", high=3), "prod/jobs/351": b"[2]"}
    assert all(abs((one.written or 0) - begun) < 60 for one in kept.values())
    assert await looking.owner(JOBS) is None
    async with member(place, "worker-one") as one:
        assert str(await looking.owner(JOBS)).startswith("worker-one at ")
        async with member(place, "worker-two") as two:
            both = {"worker-one": one, "worker-two": two}
            async with asyncio.timeout(30):
                while not two.assignment() or len(one.assignment()) + len(two.assignment()) != 48:
                    await asyncio.gather(*(each.getmany(timeout_ms=100) for each in both.values()))
            for stream in (JOBS, PLANS, NODES, StreamId("test", "jobs"), StreamId("lab", "plans")):
                mine = [
                    name
                    for name, each in both.items()
                    if cursor_partition(stream.name) in {place.partition for place in each.assignment()}
                ]
                assert str(await looking.owner(stream)).split()[0] in mine
    assert await looking.owner(JOBS) is None


@pytest.mark.kafka
async def test_kafka_creates_nothing_by_being_looked_at(run_broker) -> None:  # type: ignore[no-untyped-def]
    """A broker that creates topics on demand, and that never had a group or a transaction."""
    with run_broker(properties={"auto.create.topics.enable": "true"}) as broker:
        place = KafkaPlace(broker.bootstrap, "fresh")
        looking = place.sink()
        assert await looking.kept() == []
        assert await looking.owner(JOBS) is None
        assert await topics(broker.bootstrap) == set()
        async with claimed(place) as lane:
            await lane.commit(remember({"prod/jobs": head("a")}))
        assert len(await looking.kept()) == 1
        assert await looking.owner(JOBS) is None
        assert "__consumer_offsets" not in await topics(broker.bootstrap)


async def topics(bootstrap: str) -> set[str]:
    from tests.sinks.kafka_place import administration

    async with administration(bootstrap) as admin:
        return set(await admin.list_topics())


async def test_kafka_that_does_not_answer_is_lost() -> None:
    place = KafkaPlace("127.0.0.1:1", "nobody")
    place.settings = KafkaSettings(f"127.0.0.1:{free_port()}", group="nobody", claim_limit_s=3)
    with pytest.raises(SinkLost, match="cannot be read"):
        await place.sink().kept()
    with pytest.raises(SinkLost, match="who carries prod/jobs"):
        await place.sink().owner(JOBS)
