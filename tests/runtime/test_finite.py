"""Streams that end: carried until done, and looked at again where another stream has to write first."""

from __future__ import annotations

import asyncio

from orchbridge.core.errors import SinkLost
from orchbridge.core.handover import Handover, window_key
from orchbridge.core.idset import IdSet
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.memos import encode
from orchbridge.core.window import Window
from orchbridge.runtime.bridge import Feed, carry, carry_all
from orchbridge.runtime.shards import LOOK_AGAIN_S
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import clock, live


def past(count: int = 70) -> Server:
    return Server([simple_job(id_, id_ * 100, begin=-90_000.0) for id_ in range(1, count + 1)])


def test_a_window_is_carried_to_its_end_and_not_begun_again() -> None:
    async def main() -> None:
        api, stage = Orchestrator(past()), Stage()
        window = JobWindow(settings("replay-x"), Window(), "x")
        async with asyncio.timeout(60.0):
            await carry(Feed(window, api), stage.worker)
        assert stage.watch.count("finished") == stage.watch.count("claimed") == 1
        assert stage.certified == {str(id_): True for id_ in range(1, 71)}
        asked = len(api.asked)
        await carry(Feed(window, api), stage.worker)
        assert len(api.asked) == asked, "what is done is done in the next process, too"
        assert stage.watch.count("claimed") == 1

    live(main())


def test_a_backfill_waits_for_what_is_handed_over_without_a_stumble() -> None:
    async def main() -> None:
        api, stage = Orchestrator(past(3)), Stage()
        async with stage.carrying(api, JobWindow(settings("jobs-backfill"))) as task:
            await asyncio.sleep(100.0)
            assert stage.watch.count("waiting") > 5
            assert stage.watch.count("stumbled") == stage.watch.count("claimed") == 0
            assert api.asked == []
            stage.store.documents[window_key("prod/jobs")] = encode(
                Handover(mark="a", total=2, last=2, known=IdSet.of((1, 2)))
            )
            handed = clock()
            await task
            assert clock() - handed < 20.0
        assert stage.certified == {"1": True, "2": True}

    live(main())


def test_a_backfill_that_was_done_reads_what_a_reset_hands_over_anew() -> None:
    """A person resets the live stream while the worker runs; nobody should have to restart it for its history."""

    async def main() -> None:
        api, stage = Orchestrator(past(5)), Stage()

        async def lose_once(*_: object) -> None:
            stage.store.before = None
            raise SinkLost("somebody else has claimed it meanwhile")

        live_jobs, backfill = JobStream(settings("jobs", backfill=True)), JobWindow(settings("jobs-backfill"))
        async with asyncio.TaskGroup() as group:
            group.create_task(carry_all([Feed(live_jobs, api), Feed(backfill, api)], stage.worker))
            await asyncio.sleep(200.0)
            assert stage.watch.count("finished") == 1
            for key in [key for key in stage.store.documents if key.startswith("prod/jobs") and "backfill" not in key]:
                del stage.store.documents[key]
            before = len(stage.store.records)
            stage.store.before = lose_once
            api.server.jobs.append(simple_job(6, 600, begin=clock()))  # its commit finds that the claim is over
            await asyncio.sleep(LOOK_AGAIN_S + 100.0)
            stage.stop.ask()
        again = [record for record in stage.store.records[before:] if record.type == "job.summary.v1"]
        assert {record.key for record in again} == set("123456")

    live(main())
