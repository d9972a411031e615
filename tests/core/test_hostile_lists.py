"""Walking lists that lie, hide, cut, refuse or go back: no job is lost, none is read twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.gaps import take
from orchbridge.core.head import Anchor, Head
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.questions import Answer, JobDetail, JobEvents, JobsPage, Page, Question, Reply, Trouble
from orchbridge.core.walk import Start, Walk
from tests.core.live import Life, settings
from tests.core.server import Server, simple_job


def event_ids(life: Life, epoch: str = "e1") -> list[str]:
    return sorted(id_ for id_ in life.store.ids if id_.startswith(epoch) and "/event/" in id_)


def jobs_read(life: Life, epoch: str = "e1") -> set[int]:
    return {int(id_.split("/")[1]) for id_ in event_ids(life, epoch)}


def notices(life: Life) -> list[str]:
    return [record.id for record in life.store.of("bridge.notice.v1")]


def altered(server: Server, change: Callable[[Question, Answer], Answer]) -> None:
    """Let the server's answers pass through `change`."""
    answer = server.answer
    server.answer = lambda question, now: change(question, answer(question, now))  # type: ignore[method-assign]


def test_a_job_visible_late_is_not_lost_to_a_stream_that_starts_now() -> None:
    done, late, newest = simple_job(1, 100, begin=-50.0), simple_job(2, 200), simple_job(3, 300)
    late.visible = 3.0
    life = Life(JobStream(settings("jobs", start=Start("now"))), Server([done, late, newest]))
    life.until(15.0)
    assert jobs_read(life) == {2, 3}
    assert notices(life) == []


def test_the_very_first_jobs_of_a_server_may_appear_in_any_order() -> None:
    first, second = simple_job(500, 100, begin=5.0), simple_job(501, 200, begin=5.0)
    first.visible = 8.0
    life = Life(JobStream(settings("jobs")), Server([first, second]))
    life.until(25.0)
    assert jobs_read(life) == {500, 501}


def test_what_becomes_visible_later_than_the_patience_with_its_gap_is_still_read() -> None:
    late = simple_job(2, 200)
    late.visible = 90.0
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100), late, simple_job(3, 300)]))
    life.until(120.0, step=1.0)
    assert notices(life) == ["e1:jobs/notice/gap/2-2"]
    assert jobs_read(life) == {1, 2, 3}


def test_the_lowest_job_above_a_pruned_range_may_be_visible_late() -> None:
    server = Server([simple_job(1, 100, begin=-50.0)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    late = simple_job(200, 20_000, begin=10.0)
    late.visible = 14.0
    server.jobs = [late, simple_job(201, 20_100, begin=10.0)]
    life.until(30.0)
    assert notices(life) == ["e1:jobs/notice/pruned_unread/2-200"]
    assert jobs_read(life) == {1, 200, 201}


def test_an_empty_first_list_means_nothing_before_it_is_confirmed() -> None:
    jobs = [simple_job(id_, id_ * 100, begin=-500.0) for id_ in range(1, 6)]
    server = Server([])
    life = Life(JobStream(settings("jobs", start=Start("now"))), server)
    life.lap()
    server.jobs = jobs  # the broker was still starting
    life.until(20.0)
    assert jobs_read(life) == set()


def test_a_job_that_comes_and_ends_after_an_empty_first_list_is_read() -> None:
    server = Server([])
    life = Life(JobStream(settings("jobs", start=Start("now"))), server, now=1_000.0)
    life.lap()
    server.jobs = [simple_job(1, 100, begin=-500.0), simple_job(2, 200, begin=1_001.0)]
    life.now = 1_040.0
    life.until(1_060.0)
    assert jobs_read(life) == {2}


@pytest.mark.parametrize("start", [Start("earliest"), Start("now")], ids=lambda start: start.kind)
def test_a_server_without_paging_shows_more_when_asked_for_more(start: Start) -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-900.0) for id_ in range(1, 501)])
    altered(server, lambda q, a: msgspec.structs.replace(a, paged=False, total=None) if isinstance(q, JobsPage) else a)
    life = Life(JobStream(settings("jobs", start=start)), server)
    life.until(5.0)
    assert len(jobs_read(life)) == (500 if start.kind == "earliest" else 0)
    life.claim()  # and away for a while, in which more happened than one list shows
    server.jobs += [simple_job(id_, id_ * 100, begin=4.0) for id_ in range(501, 701)]
    life.until(20.0)
    assert jobs_read(life) >= set(range(501, 701))
    assert notices(life) == []


def test_a_server_that_ignores_the_offset_is_not_asked_for_ever() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-900.0) for id_ in range(1, 301)])

    def first_page(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, JobsPage):
            return answer
        items = Server.answer(server, JobsPage(question.limit), 0.0).items  # type: ignore[union-attr]
        return Page(items, total=None)

    altered(server, first_page)
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    assert jobs_read(life) == set(range(101, 301))


@pytest.mark.parametrize("most", [10, 25, 180])
def test_a_server_that_refuses_large_limits_is_asked_for_less(most: int) -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-900.0, nodes=30) for id_ in range(1, 61)])

    def refused(question: Question, answer: Answer) -> Answer:
        limit = getattr(question, "limit", 0)
        return Trouble("invalid", f"limit must be at most {most}", status=400) if limit > most else answer

    altered(server, refused)
    life = Life(JobStream(settings("jobs")), server, now=1.0)
    life.until(30.0)
    assert jobs_read(life) == set(range(1, 61))
    assert len(life.store.of("job.summary.v1")) == 60


def test_patience_with_a_gap_begins_anew_after_a_restart() -> None:
    first, late, last = (simple_job(id_, id_ * 100, begin=1_000.0) for id_ in (1, 2, 3))
    late.visible = 1_030.0
    life = Life(JobStream(settings("jobs")), Server([first, late, last]), now=1_000.0)
    life.until(1_003.0)
    life.claim()
    life.until(1_029.0, step=1.0)
    assert notices(life) == []
    life.until(1_045.0, step=1.0)
    assert jobs_read(life) == {1, 2, 3}


def test_after_a_reset_what_was_over_but_not_certified_is_read_anew() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    unsettled = simple_job(4, 400, begin=6.0)
    unsettled.events[3] = (*unsettled.events[3][:4], 4.0)
    server.jobs[3] = unsettled
    life = Life(JobStream(settings("jobs", late_window_s=100.0)), server)
    life.until(11.0)  # job 4 is over, and waits for its last node's event
    assert {record.key for record in life.store.of("job.summary.v1")} == {"1", "2", "3", "5"}
    server.jobs = server.jobs[:4]
    life.until(40.0)
    assert notices(life) == ["e2:jobs/notice/source_reset/e2"]
    last = [record for record in life.store.of("job.summary.v1") if record.key == "4"][-1]
    assert last.id.startswith("e2:")
    assert last.data is not None
    assert last.data["complete"] is True
    assert len([id_ for id_ in event_ids(life, "e2") if "/4/" in id_]) == 5


def test_after_a_reset_late_events_of_certified_jobs_still_get_through() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    server.jobs[1] = simple_job(2, 200, begin=-3.0)
    server.jobs[1].events[1] = (*server.jobs[1].events[1][:4], 40.0)
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    server.jobs = server.jobs[:3]
    life.until(90.0, step=1.0)
    assert notices(life) == ["e2:jobs/notice/source_reset/e2"]
    assert "e1:job/2/event/201" in life.store.ids
    assert len(life.store.ids) == len(set(life.store.ids))
    revisions = [record.id for record in life.store.of("job.summary.v1") if record.key == "2"]
    assert revisions == ["e1:job/2/summary/1", "e1:job/2/summary/2"]


def test_an_answer_from_before_a_reset_says_nothing_about_the_job_that_has_the_id_now() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 5)])
    server.jobs[3] = simple_job(4, 400, begin=0.0)
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    asked_at, question = life.now - 0.1, JobEvents(4)
    slow = server.answer(question, life.now)
    server.jobs = [*server.jobs[:3], simple_job(4, 440, begin=2.5)]
    life.until(4.5)
    assert life.state.walk.head.epoch == 2
    batch = life.stream.fold(life.state, [Reply(question, slow, asked_at, life.now)], life.now)
    assert batch.records == ()


def test_a_reset_in_the_middle_of_a_backlog_loses_nothing() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-5_000.0 + 20 * id_) for id_ in range(1, 201)])
    life = Life(JobStream(settings("jobs")), server)
    for _ in range(2):
        life.lap()
    assert 0 < len(life.state.walk.todo) < 200
    server.jobs = [*server.jobs[:197], simple_job(198, 19_800, begin=-1.0)]
    life.until(30.0)
    assert life.state.walk.head.epoch == 2
    read = jobs_read(life) | jobs_read(life, "e2")
    assert read >= set(range(1, 199))
    assert 198 in jobs_read(life, "e2")
    assert len(life.store.ids) == len(set(life.store.ids))


def test_a_history_that_was_doubted_and_is_the_old_one_after_all_is_no_new_epoch() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    jobs, server.jobs = server.jobs, server.jobs[:2]
    life.lap()
    life.lap()
    assert life.state.walk.survivor is not None
    server.jobs = [*jobs, simple_job(6, 600, begin=10.0)]
    life.until(20.0)
    assert notices(life) == []
    assert jobs_read(life) == {1, 2, 3, 4, 5, 6}


def test_the_same_moment_written_more_precisely_is_no_new_epoch() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)

    def newer(question: Question, answer: Answer) -> Answer:
        if not isinstance(answer, Page) or not isinstance(question, JobsPage):
            return answer
        cut = [msgspec.structs.replace(job, created=f"{job.created[:-5]}Z") for job in answer.items]  # type: ignore[union-attr]
        return msgspec.structs.replace(answer, items=tuple(cut))

    altered(server, newer)
    life.until(20.0)
    assert notices(life) == []


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("2024-03-09T10:15:40Z", "2024-03-09T10:15:40.999Z", False),
        ("2024-03-09T10:15:40Z", "2024-03-09T11:15:40+01:00", False),
        ("2024-03-09T10:15:40Z", "2024-03-09T10:15:41Z", True),
        ("2024-003-09T10:15:40Z", "2024-03-09T10:15:40Z", True),
        ("nonsense", "nonsense", False),
        (None, "2024-03-09T10:15:41Z", False),
    ],
)
def test_when_two_stamps_are_two_moments(one: str | None, other: str, *, apart: bool) -> None:
    assert Anchor(1, one).contradicts(Anchor(1, other)) is apart


def test_the_page_of_another_job_with_the_same_id_is_not_believed() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    other = simple_job(2, 900, begin=1_000_000.0, fail=1).fact(1_000_009.0, detail=True)
    batch = life.stream.fold(life.state, [Reply(JobDetail(2), other, life.now, life.now)], life.now)
    assert batch.records == ()
    assert batch.state.walk.due <= life.now


def test_missing_pages_that_do_not_say_what_is_missing_end_a_job_and_a_gap_all_the_same() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200), simple_job(4, 400)])

    def bare(question: Question, answer: Answer) -> Answer:
        return Trouble("absent", "404", status=404) if isinstance(answer, Trouble) else answer

    altered(server, bare)
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    server.jobs = server.jobs[1:]
    life.until(120.0, step=1.0)
    certificates = {record.key: record.data["truncated"] for record in life.store.of("job.summary.v1") if record.data}
    assert certificates == {"1": True, "2": False, "4": False}
    assert notices(life) == ["e1:jobs/notice/gap/3-3"]
    head = json.loads(life.store.documents["prod/jobs"])
    assert head.get("gaps", []) == []


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    server = Server([simple_job(id_, id_ * 100) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    altered(server, lambda q, a: Trouble("throttled", "429", 429, 20.0) if isinstance(q, JobEvents) else a)
    life.until(3.5)
    server.asked.clear()
    life.until(20.0)
    assert server.asked == []
    del server.answer  # type: ignore[attr-defined]
    life.until(40.0)
    assert len(life.store.of("job.summary.v1")) == 5


def test_taking_up_a_hundred_thousand_jobs_costs_little() -> None:
    walk = Walk(Head(high=5), begun=True, todo=tuple(range(6, 100_006)))
    began = time.process_time()
    laps = 0
    while walk.todo:
        walk, taken, _ = take(walk, 64, 0.0)
        laps += 1
        assert len(taken) <= 64
    assert walk.head.high == 100_005
    assert (time.process_time() - began) / laps < 0.002


@given(
    st.lists(st.tuples(st.floats(0.0, 40.0), st.floats(0.0, 25.0), st.booleans()), min_size=1, max_size=14),
    st.sampled_from([200, 200, 3]),
    st.lists(st.sampled_from(["ok", "ok", "ok", "ok", "answer_lost"]), max_size=40),
    st.sampled_from(["earliest", "now"]),
)
def test_jobs_are_read_once_in_whatever_order_they_become_visible(
    births: list[tuple[float, float, bool]], most: int, fates: list[str], start: str
) -> None:
    """Ids with gaps, hidden for a while, on pages of any size, through lost answers of the sink."""
    births = sorted(births)
    jobs = []
    for number, (begin, hidden, _) in enumerate(births):
        id_ = 10 + number + sum(skip for _, _, skip in births[: number + 1])
        job = simple_job(id_, id_ * 100, begin=begin)
        # A page of three does not reach below the newest ids: there only what is a gap already can be missed.
        job.visible = begin + (hidden if most == 200 or (number and start == "earliest") else 0.0)
        jobs.append(job)
    server = Server(jobs)

    def clamped(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, JobsPage) or not isinstance(answer, Page):
            return answer
        return msgspec.structs.replace(answer, items=answer.items[:most])

    altered(server, clamped)
    life = Life(JobStream(settings("jobs", start=Start(start))), server)
    life.until(110.0, step=1.0, fates=iter(fates))
    begun = 1.0 if start == "now" else 0.0  # an empty first list is looked at twice
    expected = {job.id for job in jobs if start == "earliest" or job.visible is None or job.visible > begun}
    assert jobs_read(life) >= expected
    assert len(life.store.ids) == len(set(life.store.ids))
    for job in jobs:
        if job.id in jobs_read(life):
            assert sum(f"/{job.id}/event/" in id_ for id_ in life.store.ids) == len(job.events)


def test_a_limit_that_was_refused_for_a_moment_is_tried_again() -> None:
    server = Server([simple_job(1, 100, begin=-900.0)])
    life = Life(JobStream(settings("jobs")), server, now=1.0)
    life.until(5.0, step=1.0)
    server.trouble = {JobsPage: Trouble("invalid", "400 of a proxy", status=400)}
    life.until(7.0, step=1.0)
    server.trouble = {}
    life.until(30.0, step=1.0)
    assert isinstance(server.asked[-1], JobsPage)
    assert server.asked[-1].limit < 50
    life.until(640.0, step=1.0)
    assert isinstance(server.asked[-1], JobsPage)
    assert server.asked[-1].limit == 50


def test_a_list_that_was_away_for_long_is_asked_again_within_15_s() -> None:
    server = Server([simple_job(1, 100)], trouble={JobsPage: Trouble("unreachable", "refused")})
    life = Life(JobStream(settings("jobs")), server)
    life.until(300.0)
    before = len(server.asked)
    life.until(330.0)
    assert 2 <= len(server.asked) - before <= 3


def test_a_gap_that_is_torn_for_a_while_is_read_after_all() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200), simple_job(3, 300)])
    torn: list[JobDetail] = []

    def tear(question: Question, answer: Answer) -> Answer:
        if isinstance(question, JobsPage) and isinstance(answer, Page):
            return msgspec.structs.replace(answer, items=tuple(job for job in answer.items if job.id != 2))  # type: ignore[union-attr]
        if isinstance(question, JobDetail) and question.job == 2 and len(torn) < 9:
            torn.append(question)
            return Trouble("malformed", "HTML")
        return answer

    altered(server, tear)
    life = Life(JobStream(settings("jobs")), server)
    life.until(300.0, step=1.0)
    assert len(torn) == 9
    assert {record.key for record in life.store.of("job.summary.v1")} == {"1", "2", "3"}
