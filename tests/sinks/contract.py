"""What every sink promises, as one suite: subclass it with a `place` fixture."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import pytest

from orchbridge.core.batch import Batch
from orchbridge.core.errors import Fenced, SinkLost
from orchbridge.core.ports import Lane, Sink, StreamId
from orchbridge.core.records import Record

JOBS = StreamId("prod", "jobs")
BACKFILL = StreamId("prod", "jobs-backfill")
PLANS = StreamId("prod", "plans")
NODES = StreamId("prod", "inventory")
OTHER_JOBS = StreamId("test", "jobs")
OTHER_NODES = StreamId("test", "inventory")
STREAMS = (JOBS, BACKFILL, PLANS, NODES, OTHER_JOBS, OTHER_NODES)

NOW = datetime.now(UTC).isoformat()  # records older than a topic's retention may vanish at any time


class Seen(msgspec.Struct, frozen=True):
    """A record as a reader of the sink sees it."""

    topic: str
    key: str
    id: str


class Place(Protocol):
    """Somewhere records go, surviving the sinks that write to it."""

    def sink(self) -> Sink:
        """Return a new sink on this place, as after a restart."""

    def rival(self, sink: Sink) -> Sink:
        """Return a sink whose claims compete with this one's."""

    async def seen(self) -> list[Seen]:
        """Return what a careful reader sees, in order per key."""


def record(
    number: int, key: str = "350", channel: str = "job-events", source: str = "prod", data: Any = ..., **more: Any
) -> Record:
    return Record(
        channel=channel,
        instance=source,
        key=key,
        id=f"e1:job/{key}/event/{number}",
        type="node.document.v1" if channel.endswith("state") else "job.node.finished.v1",
        subject=f"job/{key}",
        epoch="e1",
        data={"number": number} if data is ... else data,
        **{"time": NOW, "observed": NOW} | more,
    )


def quarantined(record: Record, reason: str) -> Record:
    """Stand in for the program's own: the same id and key on the quarantine channel, with the reason."""
    assert msgspec.json.encode(record.data)  # as the program's own does
    return msgspec.structs.replace(
        record,
        channel="quarantine",
        id=f"{record.id}/quarantine",
        type="quarantine.v1",
        subject="bridge",
        data={"reason": reason},
    )


def head(owner: str, **more: Any) -> bytes:
    """A head document as far as a sink looks into it."""
    return msgspec.json.encode({"v": 1, "owner": owner, **more})


def batch(*records: Record, **documents: bytes | None) -> Batch:
    return Batch(records=records, documents=documents, state=None)


def remember(documents: dict[str, bytes | None], *records: Record) -> Batch:
    return Batch(records=records, documents=documents, state=None)


async def recalled(lane: Lane, *channels: str) -> dict[tuple[str, str], bytes]:
    """Fold what a lane remembers: (place, key) -> newest value."""
    memory: dict[tuple[str, str], bytes] = {}
    async for item in lane.recall(channels):
        memory.pop((item.place, item.key), None)
        if item.value is not None:
            memory[item.place, item.key] = item.value
    return memory


async def cursors(lane: Lane) -> dict[str, Any]:
    return {key: msgspec.json.decode(value) for (_, key), value in (await recalled(lane)).items()}


@contextlib.asynccontextmanager
async def opened(sink: Sink, *streams: StreamId) -> AsyncIterator[Sink]:
    try:
        await sink.open(streams or STREAMS)
        yield sink
    finally:
        await sink.close()


@contextlib.asynccontextmanager
async def claimed(place: Place, stream: StreamId = JOBS) -> AsyncIterator[Lane]:
    """A lane of a sink that starts anew."""
    async with opened(place.sink()) as sink, sink.claim(stream) as lane:
        yield lane


def per_key(seen: Iterable[Seen]) -> dict[tuple[str, str], list[str]]:
    found = defaultdict(list)
    for item in seen:
        found[item.topic.rpartition(".")[2], item.key].append(item.id)
    return dict(found)


class Writes:
    """What holds of every sink, with a memory or without."""

    async def test_nothing_is_remembered_at_first(self, place: Place) -> None:
        async with claimed(place) as lane:
            assert await cursors(lane) == {}

    async def test_a_record_goes_to_its_topic_under_its_key(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(batch(record(1), record(2, "351", "jobs")))
        assert per_key(await place.seen()) == {
            ("job-events", "350"): ["e1:job/350/event/1"],
            ("jobs", "351"): ["e1:job/351/event/2"],
        }

    async def test_order_holds_per_key_within_and_between_batches(self, place: Place) -> None:
        async with claimed(place) as lane:
            for start in (0, 60, 120):
                await lane.commit(batch(*(record(n, str(300 + n % 7)) for n in range(start, start + 60))))
        found = per_key(await place.seen())
        for key in range(7):
            wanted = [f"e1:job/{300 + key}/event/{n}" for n in range(180) if n % 7 == key]
            assert found["job-events", str(300 + key)] == wanted

    async def test_a_large_batch_arrives_whole(self, place: Place) -> None:
        async with claimed(place) as lane:
            many = [record(n, str(n % 11), data={"text": "x" * 1_500}) for n in range(2_000)]
            await lane.commit(batch(*many))
        assert sorted(item.id for item in await place.seen()) == sorted(item.id for item in many)

    async def test_keys_in_any_script_stay_what_they_are(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(batch(record(1, "wéb01.例え.test")))
        assert [item.key for item in await place.seen()] == ["wéb01.例え.test"]

    async def test_what_cannot_be_encoded_is_quarantined_and_the_rest_goes_on(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(batch(record(1), record(2, data={"text": "\ud800"}), record(3, "we\udc80b")))
        assert per_key(await place.seen()) == {
            ("job-events", "350"): ["e1:job/350/event/1"],
            ("quarantine", "350"): ["e1:job/350/event/2/quarantine"],
            ("quarantine", "we\\udc80b"): ["e1:job/we\\udc80b/event/3/quarantine"],
        }

    async def test_a_closed_lane_takes_nothing(self, place: Place) -> None:
        async with claimed(place) as lane:
            pass
        with pytest.raises(SinkLost):
            await lane.commit(batch(record(1)))
        assert await place.seen() == []

    async def test_a_check_before_the_first_run_finds_nothing_wrong_and_changes_nothing(self, place: Place) -> None:
        sink = place.sink()
        try:
            findings = list(await sink.check(STREAMS))
        finally:
            await sink.close()
        assert findings
        assert [finding for finding in findings if finding.level == "failed"] == []
        assert await place.seen() == []


class Contract(Writes):
    """What holds of every sink that remembers."""

    async def test_a_commit_is_remembered_by_the_next_start(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(remember({"prod/jobs": head("a"), "prod/jobs/350": b'{"ids":"\xc3\xa9"}'}, record(1)))
        async with claimed(place) as lane:
            assert await cursors(lane) == {"prod/jobs": {"v": 1, "owner": "a"}, "prod/jobs/350": {"ids": "é"}}

    async def test_only_what_changed_is_written_anew(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(remember({"prod/jobs": head("a", high=1), "prod/jobs/350": b"[1]"}))
            await lane.commit(remember({"prod/jobs": head("a", high=2)}))
            assert await cursors(lane) == {"prod/jobs": {"v": 1, "owner": "a", "high": 2}, "prod/jobs/350": [1]}

    async def test_a_document_can_be_forgotten(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(remember({"prod/jobs": head("a"), "prod/jobs/350": b"[1]", "prod/jobs/351": b"[2]"}))
            await lane.commit(remember({"prod/jobs/350": None}))
        async with claimed(place) as lane:
            assert set(await cursors(lane)) == {"prod/jobs", "prod/jobs/351"}

    async def test_streams_do_not_see_each_other(self, place: Place) -> None:
        async with opened(place.sink()) as sink:
            for stream in (JOBS, BACKFILL, OTHER_JOBS):
                async with sink.claim(stream) as lane:
                    await lane.commit(remember({stream.name: head(stream.name), f"{stream.name}/350": b"[]"}))
            for stream in (JOBS, BACKFILL, OTHER_JOBS):
                async with sink.claim(stream) as lane:
                    found = await cursors(lane)
                    assert set(found) == {stream.name, f"{stream.name}/350"}
                    assert found[stream.name]["owner"] == stream.name

    async def test_streams_commit_side_by_side(self, place: Place) -> None:
        async def run(sink: Sink, stream: StreamId) -> None:
            async with sink.claim(stream) as lane:
                for n in range(5):
                    channel = "plans" if stream == PLANS else "jobs"
                    item = record(n, stream.kind, channel, stream.source)
                    await lane.commit(remember({stream.name: head("a", high=n)}, item))

        async with opened(place.sink()) as sink, asyncio.TaskGroup() as group:
            for stream in (JOBS, PLANS, OTHER_JOBS):
                group.create_task(run(sink, stream))
        found = per_key(await place.seen())
        assert [len(ids) for ids in found.values()].count(5) == 1, "two topics called jobs, one of plans"
        assert sum(len(ids) for ids in found.values()) == 15
        for stream in (JOBS, PLANS, OTHER_JOBS):
            async with claimed(place, stream) as lane:
                assert (await cursors(lane))[stream.name]["high"] == 4

    async def test_a_newer_claim_fences_the_older_one(self, place: Place) -> None:
        async with opened(place.sink()) as sink, sink.claim(JOBS) as older:
            await older.commit(remember({"prod/jobs": head("older")}, record(1)))
            async with opened(place.rival(sink)) as rival, rival.claim(JOBS) as newer:
                assert (await cursors(newer))["prod/jobs"]["owner"] == "older"
                await newer.commit(remember({"prod/jobs": head("newer")}, record(2)))
                with pytest.raises(Fenced):
                    await older.commit(remember({"prod/jobs": head("older")}, record(3)))
                with pytest.raises((Fenced, SinkLost)):
                    await older.commit(remember({"prod/jobs": head("older")}, record(4)))
                await newer.commit(remember({"prod/jobs": head("newer")}, record(5)))
                assert (await cursors(newer))["prod/jobs"]["owner"] == "newer"
            assert [item.id[-1] for item in await place.seen()] == ["1", "2", "5"]

    async def test_a_fence_stands_from_the_claim_on(self, place: Place) -> None:
        async with opened(place.sink()) as sink, sink.claim(JOBS) as older:
            await older.commit(remember({"prod/jobs": head("older")}, record(1)))
            async with opened(place.rival(sink)) as rival, rival.claim(JOBS) as newer:
                with pytest.raises((Fenced, SinkLost)):
                    await older.commit(remember({"prod/jobs": head("older", high=2)}, record(2)))
                assert (await cursors(newer))["prod/jobs"] == {"v": 1, "owner": "older"}
        assert [item.id[-1] for item in await place.seen()] == ["1"]

    @pytest.mark.parametrize("pause_s", [None, 0, 0.001, 0.002, 0.004, 0.008, 0.02])
    async def test_a_commit_that_is_cut_off_is_whole_or_nothing(self, place: Place, pause_s: float | None) -> None:
        async with opened(place.sink()) as sink:
            async with sink.claim(JOBS) as lane:
                await lane.commit(remember({"prod/jobs": head("a", high=0)}))
                items = [record(n, str(n % 5)) for n in range(1, 301)]
                commit = asyncio.create_task(lane.commit(remember({"prod/jobs": head("a", high=300)}, *items)))
                if pause_s is not None:
                    await asyncio.sleep(pause_s)
                commit.cancel()
                done = await asyncio.gather(commit, return_exceptions=True)
                if isinstance(done[0], asyncio.CancelledError) and pause_s is not None:
                    with pytest.raises(SinkLost):
                        await lane.commit(remember({"prod/jobs": head("a", high=301)}, record(301)))
            async with sink.claim(JOBS) as lane:
                high = (await cursors(lane))["prod/jobs"]["high"]
                seen = await place.seen()
                assert len(seen) == high
                assert len({item.id for item in seen}) == high
                await lane.commit(remember({"prod/jobs": head("a", high=high + 1)}, record(999, "z")))
        assert len(await place.seen()) == high + 1

    async def test_state_channels_are_a_memory(self, place: Place) -> None:
        async with opened(place.sink()) as sink:
            async with sink.claim(OTHER_NODES) as lane:
                await lane.commit(batch(record(1, "web01", "node-state", "test", data={"up": 9})))
            async with sink.claim(NODES) as lane:
                nodes = [record(n, f"wéb{n:02}", "node-state", data={"up": n}) for n in range(20)]
                await lane.commit(remember({"prod/inventory": head("a")}, *nodes))
                again = record(30, "wéb01", "node-state", data={"up": 30})
                await lane.commit(remember({}, again, record(31, "wéb02", "node-state", data=None)))
        async with claimed(place, NODES) as lane:
            memory = await recalled(lane, "node-state")
            assert memory.pop(("cursor", "prod/inventory")) == head("a")
            nodes_up = {key: msgspec.json.decode(value)["up"] for (_, key), value in memory.items()}
            assert nodes_up == {f"wéb{n:02}": n for n in range(20) if n != 2} | {"wéb01": 30}

    async def test_an_empty_batch_costs_nothing_and_changes_nothing(self, place: Place) -> None:
        async with claimed(place) as lane:
            await lane.commit(batch())
            assert await cursors(lane) == {}
