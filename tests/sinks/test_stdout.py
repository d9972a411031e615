"""Standard output: whole lines in order, no memory, and no waiting for a reader that is gone."""

from __future__ import annotations

import asyncio
import io
import os

import msgspec
import pytest

from orchbridge.core.errors import Refused
from orchbridge.core.ports import Sink
from orchbridge.formats.cloudevents import StructuredCodec
from orchbridge.sinks.stdout import StdoutSink
from tests.sinks.contract import JOBS, Seen, Writes, batch, claimed, cursors, head, quarantined, record, remember


class StdoutPlace:
    def __init__(self, out: io.RawIOBase | None = None) -> None:
        self.out = out or io.BytesIO()

    def sink(self) -> Sink:
        return StdoutSink(StructuredCodec("pe.{source}", version="0"), self.out, quarantine=quarantined)

    async def seen(self) -> list[Seen]:
        events = map(msgspec.json.decode, self.out.getvalue().splitlines())
        return [Seen(_topic(event), event["partitionkey"], event["id"]) for event in events]


def _topic(event: dict[str, str]) -> str:
    """A line does not name its topic; tell it from what the suite writes."""
    if event["id"].endswith("/quarantine"):
        return "quarantine"
    return "jobs" if event["partitionkey"] == "351" else "job-events"


class TestStdout(Writes):
    @pytest.fixture
    def place(self) -> StdoutPlace:
        return StdoutPlace()


async def test_it_remembers_nothing() -> None:
    place = StdoutPlace()
    async with claimed(place) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        assert await cursors(lane) == {}


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as far, open(writer, "wb", buffering=0) as near:  # noqa: PTH123
        yield far, near


async def test_a_reader_that_left_is_refused_and_nothing_more_is_written(pipe) -> None:
    far, near = pipe
    far.close()
    async with claimed(StdoutPlace(near)) as lane:
        with pytest.raises(Refused, match="standard output"):
            await lane.commit(batch(record(1)))
        with pytest.raises(Refused, match="cut off"):
            await lane.commit(batch(record(2)))


async def test_a_reader_that_does_not_read_holds_up_nobody_else(pipe) -> None:
    """The pipe is full: the commit waits, can be given up, and later lines still are whole."""
    far, near = pipe
    sink = StdoutPlace(near).sink()
    async with sink.claim(JOBS) as lane, sink.claim(JOBS) as next_lane:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await lane.commit(batch(*(record(n, data={"text": "x" * 1000}) for n in range(200))))
        waiting = asyncio.create_task(next_lane.commit(batch(record(200))))
        text = b""
        while not text.endswith(b"\n") or text.count(b"\n") < 201:
            text += await asyncio.to_thread(far.read, 1 << 16)
        await waiting
    ids = [msgspec.json.decode(line)["id"] for line in text.splitlines()]
    assert ids == [f"e1:job/350/event/{n}" for n in range(201)]
