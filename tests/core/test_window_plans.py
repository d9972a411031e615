"""Windows on the plans' history: what they give is what the live stream gives, whenever they are cut off."""

from __future__ import annotations

from collections import Counter
from itertools import chain, repeat

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core import times
from orchbridge.core.facts import Owner, Plan, PlanEvent
from orchbridge.core.head import Era
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.plans.window import PlanWindow
from orchbridge.core.questions import PlanDetail, PlanEvents, PlanEventWhole, Trouble
from orchbridge.core.records import NOTICES
from orchbridge.core.walk import Start
from orchbridge.core.window import Window
from tests.core.live import FATES, Life, settings
from tests.core.server import Server
from tests.core.test_window_jobs import facts, halves

LONG_AGO = -90_000.0
LONG = "long " * 400


def past_plan(id_: int, state: str = "success", begin: float = LONG_AGO) -> Plan:
    over = state in {"success", "failure"}
    return Plan(
        id_, state, b'{"options":{"parameters":{"password":"hunter22"}}}', name=f"plan{id_ % 3}",
        created=times.text(begin + id_), finished=times.text(begin + id_ + 60.0) if over else None,
        stamp=times.text(begin + id_ + 60.0), owner=Owner("o1", "ops"), result=b'{"ok":1}' if over else None,
    )  # fmt: skip


def told(id_: int) -> list[PlanEvent]:
    first = id_ * 100
    texts = ["short", LONG, "after"] if id_ % 2 else ["only"]
    found = [PlanEvent(first + n, "out_message", b"{}", times.text(1.0), message=text) for n, text in enumerate(texts)]
    return [*found, PlanEvent(first + 50, "plan_finished", b"{}", times.text(9.0), details=b'{"result":1}')]


def history(count: int = 6) -> Server:
    ids = range(1, count + 1)
    return Server(plans={id_: (past_plan(id_, "failure" if id_ % 4 == 0 else "success"), told(id_)) for id_ in ids})


def replay(window: Window, server: Server) -> Life:
    return Life(PlanWindow(settings("replay-x"), window, "x"), server, now=1.0)


def test_a_window_gives_the_very_records_of_the_live_stream_marked_as_a_replay() -> None:
    live = Life(PlanStream(settings("plans")), history(), now=1.0)
    live.until(30.0)
    window = replay(Window(), history())
    window.until(30.0)
    assert facts(window.store.records) == facts(live.store.records)
    assert len(facts(live.store.records)) > 20
    assert {(r.replay, r.headers) for r in window.store.records} == {(True, (("orchbridge-replay", "x"),))}


@given(st.lists(st.sampled_from(FATES), max_size=60), st.integers(1, 6))
def test_whatever_is_cut_off_nothing_is_missing_and_nothing_comes_twice(fates: list[str], count: int) -> None:
    whole = Life(PlanStream(settings("plans")), history(count), now=1.0)
    whole.until(30.0)
    life = replay(Window(), history(count))
    life.until(80.0, fates=chain(fates, repeat("ok")))
    assert facts(life.store.records) == facts(whole.store.records)
    assert list(life.store.documents) == ["prod/replay-x"]
    progress = life.stream.view(life.state).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.over) == (count, count, True)


def test_every_id_gets_its_epoch_and_only_what_lies_inside_is_read() -> None:
    life = replay(Window(first=2, last=5, skip=(3,), eras=(Era(4, 2),)), history())
    life.until(20.0)
    assert {record.id.partition("/state")[0] for record in life.store.of("plan.state.changed.v1")} == {
        "e1:plan/2", "e1:plan/4", "e2:plan/5",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["forbidden", "oversize", "malformed", "invalid", "missing", "absent"])
@pytest.mark.parametrize("asked", [PlanDetail, PlanEvents, PlanEventWhole])
def test_a_plan_that_cannot_be_read_does_not_keep_the_window_from_its_end(kind: str, asked: type) -> None:
    server = history(3)
    honest = server.answer
    sick = Trouble(kind, "sick")
    server.answer = lambda q, now: sick if isinstance(q, asked) and q.plan == 1 else honest(q, now)  # type: ignore[method-assign, attr-defined]
    life = replay(Window(), server)
    life.until(900.0, step=1.0)
    assert isinstance(life.stream, PlanWindow)
    assert life.stream.done(life.state)
    finished = {record.key for record in life.store.records if record.type == "plan.finished.v1"}
    assert finished >= {"2", "3"}
    notices = [record for record in life.store.records if record.channel == NOTICES]
    assert len(notices) <= 1


@pytest.mark.parametrize("start", [Start("earliest"), Start("since", at=LONG_AGO + 3), Start("from", id=2)])
@given(fates=st.lists(st.sampled_from(FATES), max_size=30), other=st.lists(st.sampled_from(FATES), max_size=30))
def test_live_and_backfill_together_give_everything_once(start: Start, fates: list[str], other: list[str]) -> None:
    server = history(5)
    server.plans[6] = (past_plan(6, "running", begin=-5.0), told(6)[:1])
    live, backfill = halves(
        PlanStream, PlanWindow, "plans", server, start, chain(fates, repeat("ok")), chain(other, repeat("ok"))
    )
    for moment in range(40):
        if moment == 20:
            server.plans[6] = (past_plan(6, begin=-5.0), told(6))
            server.plans[7] = (past_plan(7, begin=10.0), told(7))
        live(moment + 2.0)
        backfill(moment + 2.0)
    store = live.store
    whole = Life(PlanStream(settings("plans")), server, now=60.0)
    whole.until(100.0)
    ids = [record.id for record in store.records if record.channel == "plans"]
    assert [id_ for id_, count in Counter(ids).items() if count > 1] == []
    first = 3 if start.kind == "since" else 1
    expected = {r.id for r in whole.store.records if r.channel == "plans" and int(r.key) >= first}
    assert set(ids) == expected
    assert {record.key for record in store.records if record.replay} == {str(id_) for id_ in range(first, 6)}
    assert msgspec.json.decode(store.documents["prod/plans-backfill"])["passage"]["over"]
