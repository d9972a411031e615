"""Each stream's own fate: parked, let go or claimed again, while the others go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchbridge.core.batch import Batch
from orchbridge.core.errors import Corrupt, Denied, Refused, SinkLost
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Inventory, JobsPage, Question, Trouble
from orchbridge.runtime.bridge import Feed, carry, carry_all
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core.live import settings
from tests.core.server import Server, simple_job
from tests.runtime.stage import Orchestrator, Stage
from tests.runtime.virtual import clock, live

REVOKED = Denied("prod: 401 puppetlabs.rbac/token-revoked", hint="a fresh token", kind="puppetlabs.rbac/token-revoked")


def test_denied_parks_and_a_changed_token_unparks_within_ten_seconds() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Stage()
        async with stage.carrying(api):
            await asyncio.sleep(2.0)
            api.denied = REVOKED
            assert await stage.watch.wait_for("parked") is REVOKED
            asked = len(api.asked)
            await asyncio.sleep(300.0)
            assert len(api.asked) == asked, "nothing is asked while a person has not changed anything"
            api.denied, api.mended, since = None, True, clock()
            await stage.watch.wait_for("resumed")
            assert clock() - since <= 10.0
            await asyncio.sleep(20.0)
            assert stage.certified == {"1": True}

    live(main())


@pytest.mark.parametrize("refusal", [Refused("no topic"), Corrupt("not ours")], ids=lambda r: type(r).__name__)
def test_what_only_a_person_can_mend_parks_and_is_tried_again(refusal: Refused | Corrupt) -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Stage()

        async def refuse(stream: StreamId, batch: Batch) -> None:
            if clock() < 100.0:
                raise refusal

        stage.store.before = refuse
        async with stage.carrying(api):
            await asyncio.sleep(200.0)
        assert 2 <= stage.watch.count("parked") <= 3
        assert stage.certified == {"1": True}

    live(main())


def test_fenced_lets_go_and_asks_nothing_more() -> None:
    async def main() -> None:
        store = MemoryStore()
        api, first, second = Orchestrator(Server([simple_job(1, 100)])), Stage(store), Stage(store)
        async with first.carrying(api) as task:
            await first.watch.wait_for("claimed")
            async with second.carrying(Orchestrator(api.server)):
                await asyncio.wait([task])
                asked = len(api.asked)
                await asyncio.sleep(20.0)
                assert len(api.asked) == asked
        assert first.watch.count("released") == 1
        assert second.watch.count("released") == 0
        assert second.certified == {"1": True}
        assert len(store.ids) == len(set(store.ids))

    live(main())


def test_a_parked_stream_leaves_the_others_alone() -> None:
    class Picky(Orchestrator):
        async def answer(self, question: Question) -> Any:
            if isinstance(question, Inventory):
                raise Denied("not permitted", kind="not-permitted")
            return await super().answer(question)

    async def main() -> None:
        stage, api = Stage(), Picky(Server([simple_job(1, 100)]))
        jobs, inventory = JobStream(settings("jobs")), InventoryStream(settings("inventory"))
        async with stage.carrying(api, jobs, inventory):
            await asyncio.sleep(20.0)
        assert stage.watch.count("parked", "inventory") == 1
        assert stage.watch.count("parked", "jobs") == 0
        assert stage.certified == {"1": True}

    live(main())


def test_an_absent_sink_is_awaited_and_nothing_is_read_meanwhile() -> None:
    class Late(MemorySink):
        async def open(self, streams: object) -> None:
            if clock() < 60.0:
                raise SinkLost("nobody there")

    async def main() -> None:
        store = MemoryStore()
        stage, api = Stage(store, sink=Late(store)), Orchestrator(Server([simple_job(1, 100)]))
        async with asyncio.TaskGroup() as group:
            group.create_task(carry_all([Feed(JobStream(settings("jobs")), api)], stage.worker))
            await asyncio.sleep(100.0)
            stage.stop.ask()
        assert min(at for at, _ in api.asked) >= 60.0
        assert stage.certified == {"1": True}

    live(main())


def test_wrong_topics_at_the_start_are_told_at_once() -> None:
    class Wrong(MemorySink):
        async def open(self, streams: object) -> None:
            raise Refused("topic pe.prod.jobs is missing")

    async def main() -> None:
        store = MemoryStore()
        stage = Stage(store, sink=Wrong(store))
        with pytest.raises(Refused):
            await carry_all([Feed(JobStream(settings("jobs")), Orchestrator(Server()))], stage.worker)

    live(main())


@pytest.mark.parametrize("where", ["answer", "fold", "commit"])
def test_a_bug_ends_the_group(where: str) -> None:
    class Bug(Exception):
        pass

    class Buggy(Orchestrator):
        async def answer(self, question: Question) -> Any:
            if where == "answer" and clock() > 3.0:
                raise Bug
            return await super().answer(question)

    class Folding(JobStream):
        def fold(self, state: Any, replies: Any, now: float) -> Batch:
            if where == "fold" and now > 3.0:
                raise Bug
            return super().fold(state, replies, now)

    async def main() -> None:
        stage, api = Stage(), Buggy(Server([simple_job(1, 100)]))

        async def fail(stream: StreamId, batch: Batch) -> None:
            if where == "commit" and clock() > 3.0:
                raise Bug

        stage.store.before = fail
        feeds = [Feed(Folding(settings("jobs")), api), Feed(InventoryStream(settings("inventory")), api)]
        with pytest.raises(ExceptionGroup) as caught:
            await carry_all(feeds, stage.worker)
        assert caught.group_contains(Bug)
        assert api.under_way == 0
        assert clock() < 10.0

    live(main())


def test_losses_pause_longer_and_longer_but_not_for_ever() -> None:
    async def main() -> None:
        stage, api = Stage(), Orchestrator(Server([simple_job(1, 100)]))

        async def lose(stream: StreamId, batch: Batch) -> None:
            if clock() < 120.0:
                raise SinkLost("no broker")

        stage.store.before = lose
        async with stage.carrying(api):
            await asyncio.sleep(120.0)
            losses = stage.watch.count("stumbled")
            assert 8 <= losses <= 20
            await asyncio.sleep(40.0)
            assert stage.certified == {"1": True}
        assert sorted(stage.events) == [f"e1:job/1/event/{id_}" for id_ in range(100, 105)]

    live(main())


def test_a_list_that_fails_slows_down_only_its_stream() -> None:
    async def main() -> None:
        server = Server([simple_job(1, 100, begin=40.0)], trouble={Inventory: Trouble("server", "500", status=500)})
        stage, api = Stage(), Orchestrator(server)
        streams = JobStream(settings("jobs")), InventoryStream(settings("inventory"))
        async with stage.carrying(api, *streams):
            await asyncio.sleep(60.0)
        lists = [at for at, question in api.asked if isinstance(question, JobsPage)]
        inventories = [at for at, question in api.asked if isinstance(question, Inventory)]
        assert len(lists) >= 55
        assert len(inventories) <= 8
        assert stage.certified == {"1": True}

    live(main())


async def test_carry_ends_quietly_when_asked_before_it_began() -> None:
    stage = Stage(clock_=lambda: 0.0)
    stage.stop.ask()
    await carry(Feed(JobStream(settings("jobs")), Orchestrator(Server())), stage.worker)
    assert stage.watch.told == []


def test_a_stream_that_is_taken_from_us_again_and_again_is_left_to_a_person() -> None:
    async def main() -> None:
        api, stage = Orchestrator(Server([simple_job(1, 100)])), Stage()
        claims = 0

        async def taken(stream: StreamId, batch: Batch) -> None:
            nonlocal claims
            claims += 1
            raise SinkLost("fenced, perhaps", contested=True)

        stage.store.before = taken
        async with stage.carrying(api):
            refusal = await stage.watch.wait_for("parked")
            assert "contested" in str(refusal)
            assert claims == 4, "the claim and three new ones"
            stage.store.before = None
            await asyncio.sleep(100.0)
        assert stage.certified == {"1": True}

    live(main())
