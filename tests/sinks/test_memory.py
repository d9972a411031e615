"""The shipped fake keeps the promises of the real sinks, and breaks where a test wants it to."""

from __future__ import annotations

import pytest

from orchbridge.core.batch import Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import Sink, StreamId
from orchbridge.formats.cloudevents import BinaryCodec
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.sinks.contract import Contract, Seen, claimed, cursors, head, quarantined, record, remember


class MemoryPlace:
    def __init__(self) -> None:
        self.store = MemoryStore()

    def sink(self) -> Sink:
        return MemorySink(self.store, BinaryCodec("pe.{source}", version="0"), quarantine=quarantined)

    def rival(self, sink: Sink) -> Sink:
        return self.sink()

    async def seen(self) -> list[Seen]:
        headers = [dict(message.headers) for message in self.store.messages]
        return [
            Seen(message.topic, message.key.decode(), header["ce_id"].decode())
            for message, header in zip(self.store.messages, headers, strict=True)
        ]


class TestMemory(Contract):
    @pytest.fixture
    def place(self) -> MemoryPlace:
        return MemoryPlace()


async def lose(stream: StreamId, batch: Batch) -> None:
    raise SinkLost(f"{stream.name}: lost on purpose")


async def test_a_commit_can_be_lost_before_it_takes_effect() -> None:
    place = MemoryPlace()
    place.store.before = lose
    async with claimed(place) as lane:
        with pytest.raises(SinkLost):
            await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        assert await cursors(lane) == {}
    assert place.store.ids == []


async def test_a_commit_can_take_effect_with_its_answer_lost() -> None:
    place = MemoryPlace()
    place.store.after = lose
    async with claimed(place) as lane:
        with pytest.raises(SinkLost):
            await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        with pytest.raises(SinkLost, match="closed"):
            await lane.commit(remember({"prod/jobs": head("a")}, record(2)))
        assert set(await cursors(lane)) == {"prod/jobs"}
    assert place.store.ids == ["e1:job/350/event/1"]
