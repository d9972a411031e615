"""Plans that cannot be read or talk late: texts stay whole, and nothing is asked or kept for ever."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from orchbridge.core.facts import PlanEvent
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.questions import (
    Answer,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    Trouble,
)
from tests.core.live import Life, settings
from tests.core.server import Server
from tests.core.test_plans import LONG, events, plan


def altered(server: Server, change: Callable[[Question, Answer], Answer]) -> None:
    """Let the server's answers pass through `change`."""
    answer = server.answer
    server.answer = lambda question, now: change(question, answer(question, now))  # type: ignore[method-assign]


def test_a_long_text_that_comes_after_the_end_is_delivered_whole() -> None:
    server = Server(plans={81: (plan(), events("short"))})
    life = Life(PlanStream(settings("plans", late_window_s=200.0)), server)
    life.until(30.0)
    assert life.state.tracks[81].memo.closed_at
    server.plans[81][1].insert(1, PlanEvent(502, "out_message", b"{}", None, message=LONG))
    life.until(60.0, step=1.0)
    messages = [record.data["message"] for record in life.store.of("plan.message.v1") if record.data]
    assert messages == ["short", LONG]
    assert sum(isinstance(question, PlanEventWhole) for question in server.asked) == 1
    life.until(400.0, step=1.0)
    assert life.state.tracks == {}


@pytest.mark.parametrize("before", ["", "a", "aa", "aaa"])
@pytest.mark.parametrize("character", ["x", "ä", "€", "😀"])
def test_a_text_cut_within_a_character_is_delivered_whole(before: str, character: str) -> None:
    text = before + 1_100 * character
    life = Life(PlanStream(settings("plans")), Server(plans={81: (plan(), events(text))}))
    life.until(30.0)
    assert [record.data["message"] for record in life.store.of("plan.message.v1") if record.data] == [text]


@pytest.mark.parametrize("kind", ["forbidden", "oversize", "absent", "invalid"])
def test_a_plan_whose_events_cannot_be_read_is_told_once_and_let_go(kind: str) -> None:
    server = Server(plans={81: (plan(), events("short"))}, trouble={PlanEvents: Trouble(kind, "no", 403)})
    life = Life(PlanStream(settings("plans", late_window_s=100.0)), server)
    life.until(1_500.0, step=1.0)
    assert [record.id for record in life.store.of("plan.state.changed.v1")] == [
        "e1:plan/81/state/running",
        "e1:plan/81/state/success",
    ]
    assert len(life.store.of("bridge.notice.v1")) == 1
    assert set(life.store.documents) == {"prod/plans"}
    server.asked.clear()
    life.until(1_600.0, step=1.0)
    assert {type(question) for question in server.asked} == {PlansPage}


def test_plan_events_without_a_usable_id_are_set_aside() -> None:
    server = Server(plans={81: (plan(), events("short"))})

    def odd(question: Question, answer: Answer) -> Answer:
        if isinstance(question, PlanEvents) and isinstance(answer, Page):
            zero = PlanEvent(0, "out_message", b'{"id":"0"}')
            return msgspec.structs.replace(answer, items=(zero, *answer.items))
        return answer

    altered(server, odd)
    life = Life(PlanStream(settings("plans")), server)
    life.until(20.0)
    assert [id_ for id_ in life.store.ids if "/event/5" in id_] == [
        f"e1:plan/81/event/{id_}" for id_ in (501, 590, 599)
    ]
    assert len(life.store.of("quarantine.v1")) == 1


def test_a_plan_that_ended_long_ago_is_not_followed() -> None:
    server = Server(plans={81: (plan(), events("short"))})
    life = Life(PlanStream(settings("plans")), server, now=50_000.0)
    life.until(50_003.0)
    assert len([id_ for id_ in life.store.ids if "/event/" in id_]) == 3
    assert life.state.tracks == {}
    assert sum(isinstance(question, PlanEvents) for question in server.asked) == 1


def test_a_plan_of_another_clock_is_closed_all_the_same() -> None:
    server = Server(plans={81: (plan("running"), events("short"))})
    life = Life(PlanStream(settings("plans")), server, now=9_000.0)
    life.until(9_003.0)
    ended = msgspec.json.decode(life.store.documents["prod/plans/81"]) | {"ended": 19_000.0, "states": ["running"]}
    life.store.documents["prod/plans/81"] = msgspec.json.encode(ended)
    server.plans[81] = (msgspec.structs.replace(plan(), finished=None, stamp=None), server.plans[81][1])
    life.claim()
    life.until(9_040.0)
    assert life.state.tracks[81].memo.closed_at


def test_behind_the_last_event_a_server_may_refuse_to_look() -> None:
    server = Server(plans={81: (plan(), events("short"))})

    def refuse(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, PlanEvents) or not isinstance(answer, Page):
            return answer
        if question.start is not None and not answer.items:
            return Trouble("invalid", "no such event", 400)
        return msgspec.structs.replace(answer, cut=True)

    altered(server, refuse)
    life = Life(PlanStream(settings("plans")), server)
    life.until(30.0)
    assert life.state.tracks[81].memo.closed_at


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    server = Server(plans={81: (plan(), events("short"))}, trouble={PlanDetail: Trouble("throttled", "429", 429, 20.0)})
    life = Life(PlanStream(settings("plans")), server)
    life.until(1.0)
    server.asked.clear()
    life.until(18.0)
    assert server.asked == []


def test_a_server_without_plans_is_asked_now_and_then() -> None:
    server = Server(plans={81: (plan(), events("short"))}, trouble={PlansPage: Trouble("absent", "404", 404)})
    life = Life(PlanStream(settings("plans")), server)
    life.until(200.0, step=1.0)
    assert len(server.asked) == 4
    assert len(life.troubles) == 1
    server.trouble = {}  # it was upgraded
    life.until(300.0, step=1.0)
    assert len([id_ for id_ in life.store.ids if "/event/" in id_]) == 3


@pytest.mark.parametrize("torn", [1, 3, 1_000])
def test_one_torn_answer_does_not_cut_a_text(torn: int) -> None:
    server = Server(plans={81: (plan(), events(LONG, "short"))})
    asked: list[Question] = []

    def tear(question: Question, answer: Answer) -> Answer:
        if isinstance(question, PlanEventWhole):
            asked.append(question)
            return Trouble("malformed", "HTML") if len(asked) <= torn else answer
        return answer

    altered(server, tear)
    life = Life(PlanStream(settings("plans")), server)
    life.until(60.0)
    messages = [record.data for record in life.store.of("plan.message.v1") if record.data]
    whole = torn < 1_000
    assert [data["message"] == text for data, text in zip(messages, (LONG, "short"), strict=True)] == [whole, True]
    assert messages[0].get("message_truncated", False) is not whole
    assert len(asked) == (torn + 1 if whole else 4)
    assert life.store.of("bridge.notice.v1") == []


def test_the_last_state_of_a_plan_that_was_given_up_comes_once_it_can_be_read() -> None:
    server = Server(plans={81: (plan("running"), events("short"))})
    life = Life(PlanStream(settings("plans", late_window_s=1_000.0)), server)
    life.until(5.0)
    server.plans[81] = (plan(), server.plans[81][1])
    server.trouble = {PlanEvents: Trouble("invalid", "no", 400), PlanDetail: Trouble("invalid", "no", 400)}
    while life.state.tracks[81].open:
        life.until(life.now + 1.0, step=1.0)
        assert life.now < 200.0
    assert [record.id for record in life.store.of("plan.state.changed.v1")] == ["e1:plan/81/state/running"]
    server.trouble = {}
    life.until(life.now + 150.0, step=1.0)
    assert [record.id for record in life.store.of("plan.state.changed.v1")][1:] == ["e1:plan/81/state/success"]
