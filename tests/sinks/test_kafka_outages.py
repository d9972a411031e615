"""The Kafka sink while its broker dies, hangs and comes back: nothing lost, nothing twice, nothing waits for ever."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import Sink
from tests.broker import Broker
from tests.sinks.contract import JOBS, STREAMS, cursors, head, opened, record, remember
from tests.sinks.kafka_place import KafkaPlace

pytestmark = pytest.mark.kafka

BUSY_S = 4.0  # a machine with other things to do is late by as much; without its limits nothing below would end
IMPATIENT = {"commit_limit_s": 2.0, "claim_limit_s": 3.0, "recall_stall_s": 3.0}


@pytest.fixture
def place(kafka_broker: Broker, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka_broker.bootstrap, prefix, **IMPATIENT)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio logs what nobody listened to: forgotten exceptions, tasks that were thrown away."""
    yield
    assert [
        entry.message for entry in caplog.records if entry.name == "asyncio" and entry.levelno >= logging.ERROR
    ] == []


async def live(sink: Sink, until: int, losses: list[SinkLost]) -> None:
    """Be the heart: claim, recall, commit 20 records at a time; after a loss do it again."""
    while True:
        try:
            async with sink.claim(JOBS) as lane:
                high = (await cursors(lane)).get("prod/jobs", {"high": 0})["high"]
                while high < until:
                    items = [record(n, str(n % 5)) for n in range(high + 1, high + 21)]
                    await lane.commit(remember({"prod/jobs": head("a", high=high + 20)}, *items))
                    high += 20
                return
        except SinkLost as loss:
            losses.append(loss)
            await asyncio.sleep(0.1)


async def test_a_broker_that_dies_during_commits_costs_time_only(place: KafkaPlace, kafka_broker: Broker) -> None:
    losses: list[SinkLost] = []
    async with opened(place.sink(), JOBS) as sink, asyncio.TaskGroup() as group:
        group.create_task(live(sink, 2_400, losses))
        for pause_s in (0.2, 0.6):
            await asyncio.sleep(pause_s)
            await asyncio.to_thread(kafka_broker.kill)
            await asyncio.to_thread(kafka_broker.start)
    assert losses, "the broker died at the wrong moments"
    seen = await place.seen()
    assert sorted(int(item.id.rsplit("/", 1)[1]) for item in seen) == list(range(1, 2_401))


async def test_a_hanging_broker_is_given_up_within_the_limit(place: KafkaPlace, kafka_broker: Broker) -> None:
    async with opened(place.sink(), JOBS) as sink:
        async with sink.claim(JOBS) as lane:
            await lane.commit(remember({"prod/jobs": head("a", high=1)}, record(1)))
            kafka_broker.freeze()
            begun = time.monotonic()
            with pytest.raises(SinkLost, match="outcome of its last commit is unknown: no answer in time"):
                await lane.commit(remember({"prod/jobs": head("a", high=2)}, record(2)))
            assert time.monotonic() - begun < 2.0 + BUSY_S
            with pytest.raises(SinkLost, match="closed"):
                await lane.commit(remember({"prod/jobs": head("a", high=2)}, record(2)))
            begun = time.monotonic()
        assert time.monotonic() - begun < 2.0 + BUSY_S, "letting go of the lane"
        begun = time.monotonic()
        with pytest.raises(SinkLost, match=r"cannot be (used|claimed)"):
            async with sink.claim(JOBS):
                pass
        assert time.monotonic() - begun < 3.0 + 2.0 + BUSY_S
        kafka_broker.thaw()
        losses: list[SinkLost] = []
        await live(sink, 21, losses)
    numbers = [int(item.id.rsplit("/", 1)[1]) for item in await place.seen()]
    assert len(numbers) == len(set(numbers))
    assert sorted(numbers)[0] == 1


async def test_a_dead_broker_does_not_hold_up_the_end(place: KafkaPlace, kafka_broker: Broker) -> None:
    async with opened(place.sink(), JOBS) as sink:
        async with sink.claim(JOBS) as lane:
            commit = asyncio.create_task(lane.commit(remember({"prod/jobs": head("a")}, record(1))))
            await asyncio.sleep(0.005)
            kafka_broker.kill()
            await asyncio.sleep(0.3)
            commit.cancel()
            await asyncio.gather(commit, return_exceptions=True)
            begun = time.monotonic()
        assert time.monotonic() - begun < 2.0 + BUSY_S


async def test_without_a_broker_everything_says_so(place: KafkaPlace, kafka_broker: Broker) -> None:
    kafka_broker.kill()
    sink = place.sink()
    with pytest.raises(SinkLost, match=f"Kafka at {kafka_broker.bootstrap} cannot be used"):
        await sink.open(STREAMS)
    findings = list(await sink.check(STREAMS))
    assert [(finding.subject, finding.level) for finding in findings] == [("kafka", "failed")]
    assert "bootstrap_servers" in findings[0].hint
    with pytest.raises(SinkLost, match="cannot be read"):
        await sink.peek(JOBS)


async def test_a_frozen_broker_does_not_hold_up_a_recall(place: KafkaPlace, kafka_broker: Broker) -> None:
    async with opened(place.sink(), JOBS) as sink, sink.claim(JOBS) as lane:
        kafka_broker.freeze()
        begun = time.monotonic()
        with pytest.raises(SinkLost, match="cannot be recalled"):
            await cursors(lane)
        assert time.monotonic() - begun < 3.0 + 2.0 + BUSY_S


async def test_recall_waits_for_a_foreign_transaction_only_so_long(place: KafkaPlace) -> None:
    """Another stream of the same partition has a transaction open: our cursor lies behind it, unseen."""
    from orchbridge.core.ports import StreamId
    from orchbridge.sinks.kafka import cursor_partition

    neighbour = next(
        stream
        for stream in (StreamId(f"s{n}", "jobs") for n in range(1_000))
        if cursor_partition(stream.name) == cursor_partition(JOBS.name)
    )
    async with opened(place.sink(recall_stall_s=1.0), JOBS, neighbour) as sink, sink.claim(neighbour) as other:
        hanging = other._producer  # a neighbour that hangs in the middle of its commit
        await hanging.begin_transaction()
        await hanging.send_and_wait(place.settings.cursor_topic, b"{}", b"?", partition=cursor_partition(JOBS.name))
        async with sink.claim(JOBS) as lane:
            await lane.commit(remember({"prod/jobs": head("a")}))
            with pytest.raises(SinkLost, match="stands still") as caught:
                await cursors(lane)
            assert "another producer's transaction" in caught.value.hint
            await hanging.abort_transaction()
            assert (await cursors(lane))["prod/jobs"]["owner"] == "a", "as soon as it is gone"


async def test_a_recall_whose_fetch_pauses_is_given_up_without_cancelling_us(
    place: KafkaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's consumer lets the cancellation of a pausing fetch out: it would end the stream without a word."""

    async def pausing(*_: object) -> None:
        await asyncio.sleep(60.0)

    async with opened(place.sink(recall_stall_s=1.0), JOBS) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}))
        monkeypatch.setattr("aiokafka.consumer.fetcher.Fetcher._proc_fetch_request", pausing)
        with pytest.raises(SinkLost, match="stands still"):
            await cursors(lane)
        left = [task for task in asyncio.all_tasks() if "pausing" in repr(task)]
        assert left == []
        monkeypatch.undo()
        assert (await cursors(lane))["prod/jobs"]["owner"] == "a"


async def test_a_member_outlives_its_broker_and_its_lane_too(
    place: KafkaPlace, kafka_broker: Broker, tmp_path: Path
) -> None:
    """Whatever the coordinator does after its restart: in the end the worker has its stream, and nothing is twice."""
    losses: list[SinkLost] = []
    async with opened(place.sink(), JOBS) as sink, sink.join([JOBS], "w1") as group, asyncio.timeout(100):
        while (await group.share()).apart is not None:
            pass
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live(sink, 1_000, losses))
            for down_s in (0.0, 8.0):  # the second time beyond the session
                await asyncio.sleep(0.5)
                await asyncio.to_thread(kafka_broker.kill)
                await asyncio.sleep(down_s)
                await asyncio.to_thread(kafka_broker.start)
    seen, again = await place.seen(), await place.seen()
    numbers = sorted(int(item.id.rsplit("/", 1)[1]) for item in seen)
    if numbers != list(range(1, 1_001)):
        kept = tmp_path / "kafka"
        told = await place.autopsy()
        await asyncio.to_thread(kafka_broker.kill)
        shutil.copytree(kafka_broker.folder, kept)
        pytest.fail(f"read {len(seen)}, then {len(again)}; {told}; lost {list(map(str, losses))}; the broker: {kept}")
    assert losses, "the broker died at the wrong moments"
    assert not any(loss.contested for loss in losses)


async def test_leaving_waits_for_no_broker(place: KafkaPlace, kafka_broker: Broker) -> None:
    async with opened(place.sink(), JOBS) as sink:
        async with sink.join([JOBS], "w1") as group:
            while (await group.share()).apart is not None:
                pass
            kafka_broker.freeze()
            begun = time.monotonic()
        assert time.monotonic() - begun < 2.0 + BUSY_S
