"""Heartbeats: through the lane that carries the records, counted without gaps, and in nobody's way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchbridge.core.batch import Batch
from orchbridge.core.errors import SinkLost
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import JobsPage, Trouble
from orchbridge.core.records import HEARTBEAT, Record
from orchbridge.core.view import StreamView
from orchbridge.runtime.heart import WAIT_S, Hearts
from orchbridge.sinks.memory import MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.test_tail import FATES, Crash, doomed, few_jobs, wanted
from tests.runtime.virtual import clock, live

EVERY_S = 10.0


def view(stream: StreamId, state: Any) -> StreamView:
    kinds = {"jobs": JobStream(settings("jobs")), "inventory": InventoryStream(settings("inventory"))}
    return kinds[stream.kind].view(state)


HEARTS = Hearts({"prod": EVERY_S}, view, "0.1.0")


def beats(store: MemoryStore) -> list[Record]:
    return [record for record in store.records if record.channel == HEARTBEAT]


def told(record: Record) -> dict[str, Any]:
    assert record.data is not None
    return record.data


def test_an_idle_stream_beats_steadily_and_asks_no_more_for_it() -> None:
    async def main(hearts: Hearts | None) -> tuple[Stage, Orchestrator]:
        api = Orchestrator(Server([simple_job(1, 100, begin=-9_000.0)]))
        stage = Stage() if hearts is None else Stage(hearts=hearts)
        async with stage.carrying(api):
            await asyncio.sleep(100.0)
        return stage, api

    (plain, asked), (stage, asked_too) = live(main(None)), live(main(HEARTS))
    assert abs(len(asked.asked) - len(asked_too.asked)) <= 1
    assert beats(plain.store) == []
    found = beats(stage.store)
    assert [told(record)["n"] for record in found] == list(range(1, 11))
    assert stage.store.commits == plain.store.commits + len(found) - 1, "the first travels with the first batch"
    assert {(record.key, record.subject, record.type) for record in found} == {
        ("prod", "bridge", "bridge.heartbeat.v1")
    }
    assert told(found[-1]) | {"worker": "w1", "stream": "jobs", "position": 1, "records": 0} == told(found[-1])


def test_a_source_that_never_answers_leaves_the_heart_alone() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Stage(hearts=HEARTS)
        api.hold(lambda _: True)
        async with stage.carrying(api):
            await asyncio.sleep(60.0)
        times = [round(float(told(r)["observed_at"][17:23]) - WAIT_S) for r in beats(stage.store)]
        assert times == [0, 10, 20, 30, 40, 50]

    live(main())


def test_a_heartbeat_makes_no_lap() -> None:
    """A source that is in trouble must not look alive because we are."""

    async def main() -> None:
        stage = Stage(hearts=HEARTS)
        trouble = {JobsPage: Trouble("server", "500", status=500)}
        api = Orchestrator(Server(trouble=trouble), seconds=WAIT_S)  # comes in the moment a heartbeat goes out alone
        laps: list[Batch] = []
        lapped = stage.watch.lapped
        stage.watch.lapped = lambda stream, batch, now: (laps.append(batch), lapped(stream, batch, now))[1]  # type: ignore[method-assign]
        async with stage.carrying(api):
            await asyncio.sleep(60.0)
        assert len(beats(stage.store)) >= 5
        assert not [record for batch in laps for record in batch.records if record.channel == HEARTBEAT]

    live(main())


def test_each_stream_has_claims_of_its_own() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Stage(hearts=HEARTS)
        async with stage.carrying(api, JobStream(settings("jobs")), InventoryStream(settings("inventory"))):
            await asyncio.sleep(35.0)
        ids = [record.id for record in beats(stage.store)]
        assert len(ids) == len(set(ids)) == 8

    live(main())


def test_a_batch_that_cannot_be_committed_is_not_hurried_by_heartbeats() -> None:
    """A heartbeat alone may succeed between two failures; the pauses grow all the same."""

    async def main() -> None:
        stage = Stage(hearts=HEARTS)
        api = Orchestrator(Server([simple_job(1, 100)]), seconds=5.0)

        async def lose(stream: StreamId, batch: Batch) -> None:
            if batch.documents:
                raise SinkLost("not this one")

        stage.store.before = lose
        async with stage.carrying(api):
            await asyncio.sleep(300.0)
        assert len(beats(stage.store)) > 5
        assert stage.watch.count("stumbled") < 300 / 10

    live(main())


@hypothesis_settings(deadline=None)
@given(st.lists(FATES, max_size=40))
def test_contiguous_and_exactly_once_whatever_the_commits_do(fates: list[str]) -> None:
    server = few_jobs()
    store = doomed(iter(fates))

    async def main() -> None:
        workers = 0
        while clock() < 60.0 + 16.0 * len(fates):
            workers += 1
            stage = Stage(store, hearts=HEARTS)
            stage.worker = stage.worker._replace(name=f"w{workers}")
            try:
                async with stage.carrying(Orchestrator(server)) as task:
                    await asyncio.wait([task], timeout=60.0 + 16.0 * len(fates) - clock())
            except* Crash:
                await asyncio.sleep(0.3)

    live(main())
    assert sorted(id_ for id_ in store.ids if "/event/" in id_) == wanted(server)
    assert len(store.ids) == len(set(store.ids))
    by_claim: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    before = 0
    for at, record in enumerate(store.records):
        if record.channel == HEARTBEAT:
            data = told(record)
            claim, _, n = record.id.rpartition("/")
            assert data["n"] == int(n)
            by_claim[claim].append((at, data["n"], data["records"]))
            before += 1
    assert by_claim
    for found in by_claim.values():
        assert [n for _, n, _ in found] == list(range(1, len(found) + 1))
        for (earlier, _, _), (later, _, records) in pairwise(found):
            assert records == later - earlier - 1, "what lies between two heartbeats of a claim"
