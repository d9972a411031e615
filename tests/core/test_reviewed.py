"""Answers that lie a little: none of them may make a certificate lie, end a live job or keep us asking for ever."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Odd, PlanEvent
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.ports import Recalled
from orchbridge.core.questions import JobDetail, JobNodes, JobsPage, Page, PlanEvents, PlanEventWhole, Trouble
from tests.core.live import Life, settings
from tests.core.server import MISSING, Server, simple_job
from tests.core.test_plans import LONG, events, plan


def lying(server: Server, lie: Any) -> None:
    """Let `lie(question, now, answer)` change what the server answers."""
    honest = server.answer
    server.answer = lambda q, now: lie(q, now, honest(q, now))  # type: ignore[method-assign]


def summaries(life: Life) -> list[Any]:
    return [record.data for record in life.store.of("job.summary.v1")]


@pytest.mark.parametrize("rows", [Page((), paged=False), Page((Odd(b"[]", "not a node"),), paged=False)])
def test_nodes_that_cannot_be_listed_are_never_complete(rows: Page) -> None:
    job = simple_job(7, 100, nodes=3)
    job.events = [event for event in job.events if event[2] == "job_finished"]
    server = Server([job])
    lying(server, lambda q, _, answer: rows if isinstance(q, JobNodes) else answer)
    life = Life(JobStream(settings("jobs")), server)
    life.until(20.0)
    (summary,) = summaries(life)
    assert summary["complete"] is False
    assert "3 node(s) of the job are not in its list of nodes" in summary["reasons"]


def test_nodes_listed_at_the_second_look_are_complete() -> None:
    server = Server([simple_job(7, 100, nodes=3)])
    lying(server, lambda q, now, answer: Page((), paged=False) if isinstance(q, JobNodes) and now < 6.0 else answer)
    life = Life(JobStream(settings("jobs")), server)
    life.until(15.0)
    (summary,) = summaries(life)
    assert (summary["complete"], summary["expected"]["nodes"]) == (True, 3)


def test_one_moment_of_404_does_not_end_a_job_that_the_list_still_shows() -> None:
    server = Server([simple_job(7, 100)])

    def blip(question: Any, now: float, answer: Any) -> Any:
        return MISSING if 3.9 < now < 5.6 and getattr(question, "job", 0) == 7 else answer

    lying(server, blip)
    life = Life(JobStream(settings("jobs")), server)
    life.until(15.0)
    (summary,) = summaries(life)
    assert (summary["complete"], summary["truncated"]) == (True, False)


def test_a_job_that_can_never_be_read_is_told_and_not_asked_for_for_ever() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200), simple_job(3, 300)])

    def torn(question: Any, now: float, answer: Any) -> Any:
        if isinstance(question, JobsPage):
            items = tuple(Odd(job.raw, "too deep") if job.id == 2 else job for job in answer.items)
            return msgspec.structs.replace(answer, items=items)
        return Trouble("malformed", "too deep") if getattr(question, "job", 0) == 2 else answer

    lying(server, torn)
    life = Life(JobStream(settings("jobs", late_window_s=5.0)), server)
    life.until(120.0, step=1.0)
    (notice,) = [r for r in life.store.of("bridge.notice.v1") if r.id == "e1:jobs/notice/gap/2-2"]
    assert notice.data is not None
    assert "too deep" in notice.data["explanation"]
    server.asked.clear()
    life.until(160.0, step=1.0)
    assert not [question for question in server.asked if isinstance(question, JobDetail)]
    assert {record.key for record in life.store.of("job.summary.v1")} == {"1", "3"}


def test_an_unreadable_newest_item_is_no_new_epoch() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-60.0) for id_ in (1, 2, 3)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(5.0)

    def torn(question: Any, now: float, answer: Any) -> Any:
        if not isinstance(question, JobsPage):
            return answer
        items = tuple(Odd(job.raw, "torn") if job.id == 3 else job for job in answer.items)
        return msgspec.structs.replace(answer, items=items)

    lying(server, torn)
    life.until(30.0)
    assert not [record for record in life.store.records if record.id.startswith("e2:")]


def test_a_page_that_contradicts_the_list_is_asked_for_with_pauses() -> None:
    server = Server([simple_job(7, 100)])

    def other(question: Any, now: float, answer: Any) -> Any:
        if isinstance(question, JobDetail) and not isinstance(answer, Trouble):
            return msgspec.structs.replace(answer, created="2020-01-01T00:00:00Z")
        return answer

    lying(server, other)
    life = Life(JobStream(settings("jobs")), server)
    life.until(60.0)
    assert len([question for question in server.asked if isinstance(question, JobsPage)]) < 130
    assert summaries(life)


def test_one_cut_connection_costs_no_text() -> None:
    texts = [f"{n} {LONG}" for n in range(6)]
    server = Server(plans={81: (plan(), events(*texts))})

    def cut(question: Any, now: float, answer: Any) -> Any:
        return Trouble("unreachable", "cut") if isinstance(question, PlanEventWhole) and now < 2.0 else answer

    lying(server, cut)
    life = Life(PlanStream(settings("plans")), server)
    life.until(60.0)
    assert [record.data["message"] for record in life.store.of("plan.message.v1") if record.data] == texts


def test_a_text_that_stays_cut_says_so() -> None:
    server = Server(plans={81: (plan(), events(LONG))}, trouble={PlanEventWhole: Trouble("absent", "no such route")})
    life = Life(PlanStream(settings("plans")), server)
    life.until(15.0)
    assert [record.data["message_truncated"] for record in life.store.of("plan.message.v1") if record.data] == [True]


def test_an_ended_plan_with_a_large_list_is_let_go() -> None:
    many = [PlanEvent(id_, "wait_start", b"{}", "2026-01-01T00:00:00Z") for id_ in range(500, 540)]
    server = Server(plans={81: (plan(), many)})

    def slices(question: Any, now: float, answer: Any) -> Any:
        if isinstance(question, PlanEvents) and isinstance(answer, Page) and len(answer.items) > 15:
            return Page(answer.items[:15], cut=True)
        return answer

    lying(server, slices)
    life = Life(PlanStream(settings("plans", late_window_s=20.0)), server)
    life.until(120.0, step=1.0)
    assert set(life.store.documents) == {"prod/plans"}
    assert len([record for record in life.store.records if "/event/" in record.id]) == 40


@pytest.mark.parametrize("stream", [JobStream(settings("jobs")), PlanStream(settings("plans"))])
def test_a_foreign_key_among_the_cursors_is_refused_not_a_crash(stream: Any) -> None:
    with pytest.raises(Corrupt, match="no stream of ours"):
        stream.recall("w1").learn(Recalled("cursor", f"{stream.id.name}/abc", b"{}"))


@pytest.mark.parametrize("until", [60.0, 890.0])
def test_the_last_state_of_a_job_that_was_given_up_comes_once_it_can_be_read(until: float) -> None:
    job = simple_job(7, 100)
    job.events[-1] = (104, None, "job_finished", 3.0, 0.0)
    job.states[-1] = (6.0, "finished")  # all its events are delivered by then
    server = Server([job])
    life = Life(JobStream(settings("jobs")), server)
    life.until(5.5)
    server.trouble = {JobDetail: Trouble("forbidden", "no", 403)}
    life.until(until)
    assert [record.data["complete"] for record in life.store.of("job.summary.v1") if record.data] == [False]
    assert not [id_ for id_ in life.store.ids if id_.startswith("e1:job/7/state/finished")]
    server.trouble = {}
    life.until(2_000.0, step=2.0)
    assert [id_ for id_ in life.store.ids if id_.startswith("e1:job/7/state/")][-1] == "e1:job/7/state/finished"
    assert len(life.store.ids) == len(set(life.store.ids))
    assert not life.state.tracks
