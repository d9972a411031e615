"""What the encoders remember of one event for the next stays small, however long they go on."""

from __future__ import annotations

import tracemalloc

import pytest

from orchbridge.core import times
from orchbridge.core.records import JOB_EVENTS, Record
from orchbridge.formats.cloudevents import BinaryCodec, StructuredCodec

HOURS_OF_EVENTS = 10_000
HELD_MAX = 1_000_000  # bytes
CODECS = (BinaryCodec("pe.{source}", version="0"), StructuredCodec("{source}", version="0"))


def event(number: int) -> Record:
    stamp, read = times.text(1_790_000_000 + 1.3 * number), times.text(1_790_000_001 + 1.3 * number)
    return Record(
        JOB_EVENTS, "prod", f"{number // 20}", f"e1:job/{number // 20}/event/{number}", "job.node.finished.v1",
        f"job/{number // 20}/node/web{number % 40:02d}.example.com", stamp, read, "e1", {"node": "web01"}, number,
    )  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: type(codec).__name__)
def test_hours_of_events_each_at_a_time_of_its_own_leave_little_behind(codec: BinaryCodec | StructuredCodec) -> None:
    codec.encode(event(-1))
    tracemalloc.start()
    try:
        for number in range(HOURS_OF_EVENTS):
            record = event(number)
            codec.encode(record)
            times.seconds(record.time)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < HELD_MAX, f"{held / 1e6:.1f} MB"
