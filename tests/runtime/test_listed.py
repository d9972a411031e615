"""Streams of lists without events, carried by workers that lose their sink and each other's place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchbridge.core.activity.stream import ActivityStream
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Denied, SinkLost
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Activity, Answer, Question, Schedules
from orchbridge.core.schedules.stream import ScheduleStream
from orchbridge.sinks.memory import MemoryStore
from tests.core import test_activity as activity
from tests.core import test_schedules as schedules
from tests.core.live import settings
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import live


class Both:
    """The console's services and the orchestrator's scheduled jobs; `denied` where one may not be read."""

    def __init__(self) -> None:
        self.console = activity.Console([activity.entry(n) for n in range(3_000)])
        self.scheduled = schedules.Orchestrator([schedules.schedule(planned=50_000_000_000.0)])

    def answer(self, question: Question, now: float) -> Answer:
        if isinstance(question, Activity):
            return self.console.answer(question, now)
        return self.scheduled.answer(question, now)


def streams() -> tuple[ActivityStream, ScheduleStream]:
    return ActivityStream(settings("activity-rbac", poll_s=2.0)), ScheduleStream(settings("schedules", poll_s=5.0))


@pytest.mark.parametrize("written", [True, False])
def test_whatever_became_of_a_commit_each_entry_is_told_once(written: bool) -> None:
    async def main() -> None:
        both, stage = Both(), Stage()
        commits = 0

        async def lose(stream: StreamId, batch: Batch) -> None:
            nonlocal commits
            commits += bool(batch.records)
            if batch.records and commits in {1, 2, 4}:
                raise SinkLost("the broker went away")

        setattr(stage.store, "after" if written else "before", lose)
        async with stage.carrying(Orchestrator(both), *streams()):  # type: ignore[arg-type]
            await asyncio.sleep(120.0)
            both.console.entries.append(activity.entry(3_000))
            await asyncio.sleep(20.0)
        told = [record for record in stage.store.records if record.channel == "audit"]
        assert [int(record.key[6:]) for record in told] == list(range(3_001))
        assert [r.id for r in stage.store.records if r.channel == "jobs"] == ["e1:schedule/31/revision/1"]
        assert stage.watch.count("stumbled") >= 2

    live(main())


def test_a_second_worker_goes_on_where_the_first_was() -> None:
    async def main() -> None:
        both, store = Both(), MemoryStore()
        first, second = Stage(store), Stage(store)
        async with first.carrying(Orchestrator(both), *streams()):  # type: ignore[arg-type]
            await asyncio.sleep(0.07)  # in the midst of the history
            async with second.carrying(Orchestrator(both), *streams()):  # type: ignore[arg-type]
                await asyncio.sleep(60.0)
        told = [int(record.key[6:]) for record in store.records if record.channel == "audit"]
        assert told == list(range(3_000))
        assert len(store.ids) == len(set(store.ids))

    live(main())


def test_activity_that_may_not_be_read_parks_alone() -> None:
    class Picky(Orchestrator):
        async def answer(self, question: Question) -> Any:
            if isinstance(question, Activity):
                raise Denied("not permitted", kind="permission-denied")
            return await super().answer(question)

    async def main() -> None:
        both, stage = Both(), Stage()
        api = Picky(both)  # type: ignore[arg-type]
        async with stage.carrying(api, *streams()):
            await asyncio.sleep(60.0)
        assert stage.watch.count("parked") == 1
        assert [record.type for record in stage.store.records] == ["schedule.created.v1"]
        assert sum(isinstance(question, Schedules) for _, question in api.asked) > 8

    live(main())
