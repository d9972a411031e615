"""The plans stream: events in order with whole texts, states with what came of them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core import times
from orchbridge.core.facts import Plan, PlanEvent
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.questions import PlanEvents, PlanEventWhole, PlansPage, Trouble
from orchbridge.core.walk import Start
from tests.core.live import Life, settings
from tests.core.server import Server, simple_job

LONG = "long " * 400


def plan(state: str = "success", created: float = 0.0) -> Plan:
    over = state in {"success", "failure"}
    return Plan(
        81, state, b'{"name":"81","options":{"parameters":{"password":"hunter22"}}}', name="rollout::web",
        created=times.text(created), finished=times.text(9.0) if over else None, stamp=times.text(9.0 if over else 0.0),
        duration=9.0, children=(413,), result=b'{"token":"abcdefgh","ok":1}' if over else None,
    )  # fmt: skip


def events(*texts: str) -> list[PlanEvent]:
    found = [PlanEvent(501 + at, "out_message", b"{}", times.text(1.0), message=text) for at, text in enumerate(texts)]
    started = PlanEvent(590, "task_start", b"{}", times.text(2.0), job_id=413, details=b'{"job-id":413}')
    details = b'{"plan-id":"81","result":{"n":1}}'
    ended = PlanEvent(599, "plan_finished", b"{}", times.text(9.0), details=details)
    return [*found, started, ended]


def test_a_plan_is_delivered_in_order_with_whole_texts() -> None:
    server = Server(plans={81: (plan(), events("short", LONG, "after"))})
    life = Life(PlanStream(settings("plans")), server)
    life.until(15.0)
    names = [record.id for record in life.store.records if "/event/" in record.id]
    assert names == [f"e1:plan/81/event/{id_}" for id_ in (501, 502, 503, 590, 599)]
    messages = [record.data["message"] for record in life.store.of("plan.message.v1") if record.data]
    assert messages == ["short", LONG, "after"]
    step = life.store.of("plan.step.started.v1")[0].data
    assert step is not None
    assert step["step"] == {"kind": "task", "job_id": 413}


def test_states_come_with_outcome_children_and_redacted_result() -> None:
    life = Life(PlanStream(settings("plans")), Server(plans={81: (plan("failure"), events())}))
    life.until(15.0)
    first, last = life.store.of("plan.state.changed.v1")
    assert [first.id, last.id] == ["e1:plan/81/state/running", "e1:plan/81/state/failure"]
    assert last.data is not None
    assert (last.data["outcome"], last.data["child_jobs"], last.data["previous"]) == ("failure", [413], "running")
    everything = msgspec.json.encode([record.data for record in life.store.records])
    assert b"hunter22" not in everything
    assert b"abcdefgh" not in everything


def test_a_server_without_the_single_event_route_gives_the_cut_text() -> None:
    server = Server(plans={81: (plan(), events(LONG))}, trouble={PlanEventWhole: Trouble("absent", "no such route")})
    life = Life(PlanStream(settings("plans")), server)
    life.until(15.0)
    (record,) = life.store.of("plan.message.v1")
    assert record.data is not None
    assert record.data["message"] == LONG[:1024]


def test_a_running_plan_is_asked_every_tick_and_an_ended_one_let_go() -> None:
    server = Server(plans={81: (plan("running"), events()[:1])})
    life = Life(PlanStream(settings("plans", late_window_s=30.0)), server)
    life.until(10.0, step=1.0)
    assert len([q for q in server.asked if isinstance(q, PlanEvents)]) >= 9
    server.plans[81] = (plan(), events())
    life.until(70.0, step=1.0)
    assert set(life.store.documents) == {"prod/plans"}
    server.asked.clear()
    life.until(80.0, step=1.0)
    assert {type(question) for question in server.asked} == {PlansPage}


def test_a_start_at_a_job_is_a_start_at_its_creation() -> None:
    old = msgspec.structs.replace(plan(created=-100.0), id=80)
    server = Server([simple_job(350, 100, begin=-50.0)], {80: (old, events()), 81: (plan(created=-10.0), events())})
    life = Life(PlanStream(settings("plans", start=Start("from", id=350))), server)
    life.until(15.0)
    assert {record.key for record in life.store.records} == {"81"}


def test_an_event_without_an_id_is_delivered_once() -> None:
    one = nameless(b'{"type":"out_message"}')
    life = Life(PlanStream(settings("plans")), Server(plans={81: (plan("running"), [one])}))
    life.until(5.0)
    life.claim()
    life.until(10.0)
    assert len(life.store.of("plan.message.v1")) == 1


def nameless(raw: bytes) -> PlanEvent:
    return PlanEvent(None, "out_message", raw, times.text(1.0), message="hello")


def test_events_without_an_id_that_look_alike_are_told_apart() -> None:
    many = [nameless(b'{"password":"a%d"}' % at) for at in (1, 2, 3)]
    server = Server(plans={81: (plan("running"), [*many[:2], many[0]])})
    life = Life(PlanStream(settings("plans")), server)
    life.until(5.0)
    life.claim()
    server.plans[81] = (plan("running"), many)
    life.until(10.0)
    ids = [record.id for record in life.store.of("plan.message.v1")]
    assert len(ids) == len(set(ids)) == 3
    assert [id_[-2:] for id_ in ids[1:]] == ["-2", "-3"]


def test_what_is_remembered_of_events_without_an_id_has_an_end() -> None:
    server = Server(plans={81: (plan("running"), [nameless(b'{"n":%d}' % at) for at in range(1_200)])})
    life = Life(PlanStream(settings("plans")), server)
    for moment in (5.0, 10.0, 15.0):
        life.until(moment)
        life.claim()
    assert len(life.store.of("plan.message.v1")) == 1_000
    (aside,) = life.store.of("quarantine.v1")
    assert (aside.id, aside.data and aside.data["original"]) == ("e1:plan/81/event/more/quarantine", None)
    assert len(life.state.tracks[81].memo.odd) == 1_001


@given(st.lists(st.sampled_from(["ok", "ok", "refused", "answer_lost"]), max_size=40))
def test_every_record_exactly_once_whatever_the_commits_do(fates: list[str]) -> None:
    life = Life(PlanStream(settings("plans")), Server(plans={81: (plan(), events("a", LONG, "b", LONG))}))
    life.until(30.0, fates=iter(fates))
    names = [record.id for record in life.store.records]
    assert len(names) == len(set(names))
    assert len([name for name in names if "/event/" in name]) == 6
    assert len([name for name in names if "/state/" in name]) == 2
