"""Two owners of one stream, as two processes; one of them killed, or frozen and thawed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.transaction import EndTxnRequest

from orchbridge.core.errors import SinkLost
from tests.sinks.contract import JOBS, claimed, cursors, head, opened, record, remember
from tests.sinks.kafka_place import KafkaPlace

pytestmark = pytest.mark.kafka

WRITER = """
import asyncio, sys
from orchbridge.core.errors import OrchbridgeError
from tests.sinks.contract import *
from tests.sinks.kafka_place import KafkaPlace

async def main(bootstrap, prefix, owner, count, size):
    async with claimed(KafkaPlace(bootstrap, prefix, transaction_timeout_s=1.0)) as lane:
        high = (await cursors(lane)).get("prod/jobs", {"high": 0})["high"]
        while True:
            data = {"text": "x" * int(size)}
            items = [record(n, str(n % 3), data=data) for n in range(high + 1, high + int(count) + 1)]
            high += int(count)
            await lane.commit(remember({"prod/jobs": head(owner, high=high)}, *items))
            print(high, flush=True)

try:
    asyncio.run(main(*sys.argv[1:]))
except OrchbridgeError as error:
    print(type(error).__name__, flush=True)
"""


@pytest.fixture
def place(kafka: str, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka, prefix)


def start(place: KafkaPlace, owner: str, count: int, size: int) -> subprocess.Popen[str]:
    """Start a process that commits `count` records of `size` bytes at a time and says how far it is."""
    told = [place.settings.bootstrap_servers, place.prefix, owner, str(count), str(size)]
    command = [sys.executable, "-c", WRITER, *told]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.fixture
def writer(place: KafkaPlace) -> Iterator[subprocess.Popen[str]]:
    with start(place, "first", 7, 10) as process:
        yield process
        process.kill()


@pytest.fixture
def slow_writer(place: KafkaPlace) -> Iterator[subprocess.Popen[str]]:
    with start(place, "first", 600, 8_000) as process:
        yield process
        process.kill()


def heard(process: subprocess.Popen[str], lines: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(lines)]


async def numbers(place: KafkaPlace) -> list[int]:
    return sorted(int(item.id.rsplit("/", 1)[1]) for item in await place.seen())


@pytest.mark.parametrize("commits", [1, 4, 7])
async def test_a_killed_writer_leaves_whole_batches(
    place: KafkaPlace, writer: subprocess.Popen[str], commits: int
) -> None:
    said = int(heard(writer, commits)[-1])
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    async with claimed(place) as lane:
        high = (await cursors(lane))["prod/jobs"]["high"]
        assert high in (said, said + 7), "at most the commit that was under way"
        assert await numbers(place) == list(range(1, high + 1))
        await lane.commit(remember({"prod/jobs": head("second", high=high + 1)}, record(high + 1)))
    assert await numbers(place) == list(range(1, high + 2))


async def test_a_live_writer_is_told_that_somebody_else_goes_on(
    place: KafkaPlace, writer: subprocess.Popen[str]
) -> None:
    heard(writer, 2)
    writer.send_signal(signal.SIGSTOP)  # frozen in the middle of whatever it does
    async with claimed(place) as lane:
        high = (await cursors(lane))["prod/jobs"]["high"]
        await lane.commit(remember({"prod/jobs": head("second", high=high + 1)}, record(high + 1, "new")))
        writer.send_signal(signal.SIGCONT)
        told = [line for line in iter(lambda: heard(writer, 1)[0], "") if not line.isdigit()]
        assert told == ["Fenced"]
        assert writer.wait(timeout=20) == 0
        assert await numbers(place) == list(range(1, high + 2))


async def test_a_rival_that_claimed_but_wrote_nothing_is_no_reason_to_let_go(place: KafkaPlace) -> None:
    async with opened(place.sink(), JOBS) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("first")}, record(1)))
        async with place.sink().claim(JOBS):
            with pytest.raises(SinkLost) as caught:
                await lane.commit(remember({"prod/jobs": head("first")}, record(2)))
            assert "unknown" in str(caught.value)
    assert await numbers(place) == [1]


async def test_the_coordinators_own_abort_is_no_reason_to_let_go(
    place: KafkaPlace, slow_writer: subprocess.Popen[str]
) -> None:
    """A writer that sleeps through its transaction timeout finds itself fenced, by nobody."""
    writer = slow_writer
    for attempt in range(1, 9):
        heard(writer, 1)
        await asyncio.sleep(0.02 * attempt)  # into the next commit, which takes some 150 ms
        writer.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.6)
        writer.send_signal(signal.SIGCONT)
        line = next((line for line in heard(writer, 2) if not line.isdigit()), None)
        if line is not None:
            break
    assert line == "SinkLost"
    assert writer.wait(timeout=20) == 0
    async with claimed(place) as lane:
        high = (await cursors(lane))["prod/jobs"]["high"]
        assert await numbers(place) == list(range(1, high + 1))


async def test_the_end_of_a_transaction_that_nobody_answered_is_not_asked_for_again(
    place: KafkaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request may still be on its way, and would end the next transaction of the same epoch."""
    send, ends = AIOKafkaClient.send, []

    async def cut_off(client: Any, node: int, request: Any, **options: Any) -> Any:
        answer = await send(client, node, request, **options)
        if isinstance(request, EndTxnRequest):
            ends.append(request)
            if len(ends) == 2:
                raise KafkaConnectionError("cut off before the answer")
        return answer

    monkeypatch.setattr(AIOKafkaClient, "send", cut_off)
    async with opened(place.sink(), JOBS) as sink:
        async with sink.claim(JOBS) as lane:
            await lane.commit(remember({"prod/jobs": head("first", high=1)}, record(1)))
            with pytest.raises(SinkLost, match="outcome of its last commit is unknown") as caught:
                await lane.commit(remember({"prod/jobs": head("first", high=2)}, record(2)))
            assert not caught.value.contested
            await asyncio.sleep(0.5)
            assert len(ends) == 2
        async with sink.claim(JOBS) as lane:
            assert (await cursors(lane))["prod/jobs"]["high"] == 2, "it had been done"
            await lane.commit(remember({"prod/jobs": head("first", high=3)}, record(3)))
    assert await numbers(place) == [1, 2, 3]
