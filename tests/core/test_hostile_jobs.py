"""Single jobs that cannot be read, end strangely or send late: certificates stay true, and nothing is kept for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, count, repeat
from typing import Any

import msgspec
import pytest

from orchbridge.core.facts import JobEvent
from orchbridge.core.idset import IdSet
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.track import Track
from orchbridge.core.memos import encode
from orchbridge.core.questions import Answer, JobDetail, JobEvents, JobNodes, JobsPage, Page, Question, Trouble
from tests.core.live import Life, settings
from tests.core.server import ScriptedJob, Server, simple_job


def altered(server: Server, change: Callable[[Question, Answer], Answer]) -> None:
    """Let the server's answers pass through `change`."""
    answer = server.answer
    server.answer = lambda question, now: change(question, answer(question, now))  # type: ignore[method-assign]


def summaries(life: Life, job: int) -> list[dict[str, Any]]:
    return [record.data for record in life.store.of("job.summary.v1") if record.key == str(job) and record.data]


def asked(server: Server, kind: type, job: int) -> int:
    return sum(isinstance(question, kind) and question.job == job for question in server.asked)  # type: ignore[attr-defined]


def test_the_revised_certificate_survives_a_crash_right_after_the_late_event() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 40.0)
    life = Life(JobStream(settings("jobs")), Server([job]))
    while "e1:job/7/event/103" not in life.store.ids:
        life.lap()
        life.now += 0.5
    assert len(summaries(life, 7)) == 1, "the revision comes in a later commit, and here the process dies"
    life.claim()
    life.until(life.now + 5.0)
    assert [summary["complete"] for summary in summaries(life, 7)] == [False, True]
    assert summaries(life, 7)[-1]["delivered"]["events"] == 5
    assert len(life.store.ids) == len(set(life.store.ids))


def test_a_job_pruned_before_its_revision_is_certified_once_more() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 40.0)
    server = Server([job, simple_job(8, 200)])
    life = Life(JobStream(settings("jobs")), server)
    while "e1:job/7/event/103" not in life.store.ids:
        life.lap()
        life.now += 0.5
    server.jobs = server.jobs[1:]
    life.until(life.now + 5.0)
    assert [(summary["truncated"], summary["delivered"]["events"]) for summary in summaries(life, 7)] == [
        (False, 4),
        (True, 5),
    ]


@pytest.mark.parametrize("kind", ["forbidden", "oversize", "absent"])
def test_a_job_that_cannot_be_read_is_not_kept_for_ever(kind: str) -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200)])
    altered(
        server,
        lambda q, a: Trouble(kind, "no", 403) if isinstance(q, JobEvents | JobNodes | JobDetail) and q.job == 1 else a,
    )
    life = Life(JobStream(settings("jobs", late_window_s=100.0)), server)
    life.until(1_000.0, step=1.0)
    if kind != "absent":
        assert [summary["complete"] for summary in summaries(life, 1)] == [False]
        assert set(life.store.documents) == {"prod/jobs"}
    server.asked.clear()
    life.until(1_100.0, step=1.0)
    assert asked(server, JobEvents, 1) + asked(server, JobDetail, 1) <= 4


def test_a_sweep_that_fails_for_a_while_is_made_up_for() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 80.0)
    server = Server([job])
    life = Life(JobStream(settings("jobs", late_window_s=100.0)), server)
    life.until(20.0, step=1.0)
    server.trouble = {JobEvents: Trouble("server", "500", 500), JobsPage: Trouble("server", "500", 500)}
    life.until(200.0, step=1.0)
    server.trouble = {}
    life.until(300.0, step=1.0)
    assert [summary["complete"] for summary in summaries(life, 7)] == [False, True]


def test_behind_the_last_event_a_server_may_refuse_to_look() -> None:
    server = Server([simple_job(1, 100, nodes=8)], cut=17)
    kinds = iter(["invalid", "absent"])

    def refuse(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, JobEvents) or not isinstance(answer, Page):
            return answer
        answer = msgspec.structs.replace(answer, cut=bool(answer.items) and answer.items[-1].id == 116)  # type: ignore[union-attr]
        past = question.start is not None and not answer.items
        return Trouble(next(kinds, "absent"), "no such event", 400) if past else answer

    altered(server, refuse)
    life = Life(JobStream(settings("jobs")), server)
    life.until(12.0)
    assert [summary["complete"] for summary in summaries(life, 1)] == [True]


def test_events_without_a_usable_id_are_set_aside() -> None:
    server = Server([simple_job(1, 100)])

    def odd(question: Question, answer: Answer) -> Answer:
        if isinstance(question, JobEvents) and isinstance(answer, Page):
            zero = JobEvent(0, "node_running", b'{"id":"0","type":"node_running"}')
            return msgspec.structs.replace(answer, items=(zero, *answer.items))
        return answer

    altered(server, odd)
    life = Life(JobStream(settings("jobs")), server)
    life.until(8.0)
    assert [summary["complete"] for summary in summaries(life, 1)] == [True]
    assert len(life.store.of("quarantine.v1")) == 1


def test_an_old_server_that_tells_no_node_states_is_asked_every_tick() -> None:
    events: list[tuple[int, str | None, str, float, float]] = [
        (100 + at, f"n{at}.test", "node_running", 60.0 * at, 0.0) for at in range(5)
    ]
    job = ScriptedJob(1, 0.0, [(0.0, "running")], events, [f"n{at}.test" for at in range(5)])
    server = Server([job])
    altered(
        server,
        lambda q, a: (
            msgspec.structs.replace(
                a,
                items=tuple(msgspec.structs.replace(item, node_states=None) for item in a.items),  # type: ignore[type-var]
            )
            if isinstance(q, JobsPage) and isinstance(a, Page)
            else msgspec.structs.replace(a, node_states=None)
            if isinstance(q, JobDetail) and not isinstance(a, Trouble | Page)
            else a
        ),
    )
    life = Life(JobStream(settings("jobs")), server)
    for number, event in enumerate(events):
        life.until(event[3] + 2.5)
        assert len([id_ for id_ in life.store.ids if "/event/" in id_]) == number + 1


def test_stamps_of_a_clock_that_was_ahead_hold_nothing_up() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100), simple_job(2, 200)]))
    life.until(3.5)
    ahead = Memo(1, IdSet.of(range(100, 104)), states=("new", "ready", "running"), ended=9_000.0)
    done = Memo(1, IdSet.of(range(200, 205)), ended=9_000.0, certified=9_001.0, counted=5, revision=1, complete=True)
    life.store.documents["prod/jobs/1"], life.store.documents["prod/jobs/2"] = encode(ahead), encode(done)
    life.claim()
    life.until(20.0)
    assert [summary["complete"] for summary in summaries(life, 1)] == [True]
    life.until(1_200.0, step=2.0)
    assert set(life.store.documents) == {"prod/jobs"}


def test_what_ended_long_ago_is_not_followed_after_its_certificate() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-20_000.0) for id_ in range(1, 301)])
    life = Life(JobStream(settings("jobs")), server, now=1.0)
    life.until(5.0)
    assert len(life.store.of("job.summary.v1")) == 300
    assert life.state.tracks == {}
    assert set(life.store.documents) == {"prod/jobs"}
    assert sum(isinstance(question, JobEvents) for question in server.asked) == 300
    life.claim()
    life.until(10.0)
    assert len(life.store.of("job.summary.v1")) == 300


def ticks(life: Life, count: int) -> Iterator[list[Question]]:
    """Yield what was asked in each of the next ticks."""
    for _ in range(count):
        life.server.asked.clear()
        life.until(life.now + 1.0, step=1.0)
        yield list(life.server.asked)


def test_looking_for_late_events_never_takes_more_than_one_question_a_tick() -> None:
    jobs = [simple_job(id_, id_ * 100, begin=0.0) for id_ in range(1, 81)]
    for job in jobs:
        job.events.pop(0)  # something may still come, so all the looks are needed
    server = Server(jobs)
    life = Life(JobStream(settings("jobs", late_window_s=200.0)), server)
    life.until(10.0)
    assert len(life.store.of("job.summary.v1")) == 80
    for questions in ticks(life, 100):
        assert sum(isinstance(question, JobsPage | JobEvents) for question in questions) <= 2
    life.until(400.0, step=1.0)
    assert life.state.tracks == {}


def test_jobs_that_lack_nothing_are_looked_at_twice_and_let_go_without_a_question() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=0.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs", late_window_s=300.0)), server)
    life.until(10.0)
    server.asked.clear()
    life.until(400.0, step=1.0)
    assert [asked(server, JobEvents, id_) for id_ in range(1, 6)] == [2] * 5
    assert life.state.tracks == {}


def test_a_busy_server_does_not_make_the_memory_grow() -> None:
    """Two jobs a second for an hour: more than the looks for late events could ever keep up with."""
    server = Server([])
    life = Life(JobStream(settings("jobs", late_window_s=60.0)), server, now=1.0)
    most = 0
    for second in range(600):
        now = float(second)
        server.jobs.extend(simple_job(1 + 2 * second + at, 1 + 20 * second + 10 * at, begin=now) for at in range(2))
        server.jobs = server.jobs[-300:]
        life.until(now + 2.0, step=1.0)
        most = max(most, len(life.state.tracks))
    assert most <= 2 * (60 + 15)
    assert len(life.store.of("job.summary.v1")) >= 1_180
    assert len(life.store.ids) == len(set(life.store.ids))


def test_a_storm_costs_at_most_one_question_for_each_job_that_moves() -> None:
    jobs = [simple_job(id_, id_ * 100, begin=id_ / 10, nodes=6) for id_ in range(1, 101)]
    server = Server(jobs)
    life = Life(JobStream(settings("jobs")), server)
    before: dict[int, Any] = {}
    for questions in ticks(life, 30):
        shown = {job.id: (job.fact(life.now - 1.0).state, job.node_states(life.now - 1.0)) for job in jobs}
        moved = {id_ for id_, what in shown.items() if before.get(id_) != what}
        unsettled = {id_ for id_, track in life.state.tracks.items() if track.open}
        listed = sum(isinstance(question, JobsPage | JobEvents) for question in questions)
        assert listed <= len(moved | unsettled) + 2, f"at {life.now}: {listed}"
        before = shown


def test_asking_with_a_thousand_jobs_costs_little() -> None:
    count = 1_000
    names = [f"n{at}.test" for at in range(20)]
    jobs = [
        ScriptedJob(id_, 0.0, [(0.0, "running")], [(id_ * 100, names[0], "node_running", 0.0, 0.0)], names)
        for id_ in range(1, count + 1)
    ]
    life = Life(JobStream(settings("jobs")), Server(jobs))
    life.until(40.0, step=1.0)
    assert sum(track.open for track in life.state.tracks.values()) == count
    began = time.process_time()
    for _ in range(20):
        life.stream.ask(life.state, life.now)
    cost = (time.process_time() - began) / 20
    print(f"{cost * 1000:.2f} ms")
    assert cost < 0.02


def test_a_certified_track_is_small() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100, nodes=500)]))
    life.until(8.0)
    (track,) = life.state.tracks.values()
    assert isinstance(track, Track)
    assert track.memo.certified
    assert (len(track.nodes), len(track.rows), track.summary) == (0, 0, None)
    assert track.job is not None
    assert track.job.raw == b""


def test_a_batch_is_bounded_by_size_as_well() -> None:
    server = Server([simple_job(1, 100, begin=-60.0, nodes=200)])

    def heavy(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, JobEvents) or not isinstance(answer, Page):
            return answer
        raw = b'{"id":"1","x":"' + b"x" * 1_000_000 + b'"}'
        return msgspec.structs.replace(
            answer, items=tuple(msgspec.structs.replace(item, raw=raw) for item in answer.items)
        )  # type: ignore[type-var]

    altered(server, heavy)
    life = Life(JobStream(settings("jobs")), server)
    sizes = []
    apply = life.store.apply
    life.store.apply = lambda batch: (sizes.append(sum("/event/" in r.id for r in batch.records)), apply(batch))  # type: ignore[assignment, func-returns-value, method-assign]
    life.until(3.0)
    assert [summary["complete"] for summary in summaries(life, 1)] == [True]
    assert sum(sizes) == 401
    assert max(sizes) <= 17


def test_a_server_that_ignores_where_to_start_is_not_asked_for_ever() -> None:
    server = Server([simple_job(1, 100, nodes=8)])

    def first_part(question: Question, answer: Answer) -> Answer:
        if not isinstance(question, JobEvents):
            return answer
        items = Server.answer(server, JobEvents(question.job), 9.0).items[:5]  # type: ignore[union-attr]
        return Page(items, cut=True)

    altered(server, first_part)
    life = Life(JobStream(settings("jobs")), server)
    life.until(30.0)
    assert [summary["complete"] for summary in summaries(life, 1)] == [False]


def test_what_pe_said_of_a_running_job_is_not_kept_longer_than_needed() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100)]))
    life.until(2.5)
    (track,) = life.state.tracks.values()
    assert track.job is not None
    assert (track.job.state, track.job.raw) == ("running", b"")
    state = life.store.of("job.state.changed.v1")[-1].data
    assert state is not None
    assert msgspec.json.decode(state["pe"])["state"] == "running"


@pytest.mark.parametrize("poll_s", [0.5, 1.0, 2.0])
def test_the_incomplete_certificate_follows_the_end_within_ten_seconds(poll_s: float) -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 1e9)
    life = Life(JobStream(settings("jobs", poll_s=poll_s)), Server([job]))
    while not summaries(life, 7):
        life.lap()
        life.now += 0.25
    assert 4.0 + 10.0 - 3 * poll_s <= life.now <= 4.0 + 10.0


def storm(server: Server, job: int, answers: Iterator[Trouble | None]) -> None:
    """Let every question about one job get the next of these answers, the server's own where that is None."""

    def change(question: Question, answer: Answer) -> Answer:
        if isinstance(question, JobDetail | JobEvents | JobNodes) and question.job == job:
            return next(answers, None) or answer
        return answer

    altered(server, change)


AWAY = Trouble("unreachable", "connection refused")
LOST_ROUTE = Trouble("absent", "404", 404)
TORN = Trouble("malformed", "torn")


def test_a_source_that_was_away_does_not_make_one_404_of_a_proxy_mean_that_a_job_is_gone() -> None:
    job = simple_job(1, 100, nodes=2)
    server = Server([job, *(simple_job(id_, 1_000 * id_, begin=0.5) for id_ in range(2, 80))])
    storm(server, 1, chain(repeat(AWAY, 9), repeat(LOST_ROUTE, 1)))
    life = Life(JobStream(settings("jobs")), server)
    life.until(120.0)
    assert [summary["truncated"] for summary in summaries(life, 1)] == [False]
    assert {f"e1:job/1/event/{id_}" for id_ in range(100, 105)} <= set(life.store.ids)


@pytest.mark.parametrize("kinds", [(AWAY,), (Trouble("throttled", "429", 429, 1.0),), (AWAY, TORN)])
def test_after_a_storm_a_job_is_read_within_a_minute(kinds: tuple[Trouble, ...]) -> None:
    server = Server([simple_job(1, 100, nodes=2)])
    over = [False]

    def answers() -> Iterator[Trouble | None]:
        for number in count():
            yield None if over[0] else TORN if number % 12 == 11 else kinds[number % len(kinds)]

    storm(server, 1, answers())
    life = Life(JobStream(settings("jobs")), server)
    life.until(90.0)
    over[0] = True
    life.until(150.0)
    assert [summary["complete"] for summary in summaries(life, 1)][-1:] == [True]
    assert not life.store.of("notice.v1") or TORN in kinds


def test_one_job_that_may_not_be_read_hides_no_other_that_has_left_the_newest_page() -> None:
    """Both are older than the list shows; the sick one was seen least recently, and always will have been."""
    jobs = [simple_job(1, 100, begin=100.0, nodes=2), simple_job(2, 200, begin=100.0, nodes=2)]
    for job in jobs:
        job.states[3] = (140.0, "finished")
        job.events[2:] = [(id_, node, kind, 138.0, 0.0) for id_, node, kind, _, _ in job.events[2:]]
    others = [simple_job(id_, 1_000 * id_, begin=90.0) for id_ in range(3, 300)]
    for job in others:
        job.visible = 106.0
    server = Server([*jobs, *others])
    life = Life(JobStream(settings("jobs")), server, now=100.0)

    def forbid(question: Question, answer: Answer) -> Answer:
        sick = isinstance(question, JobDetail) and question.job == 1 and life.now > 105.0
        return Trouble("forbidden", "no", 403) if sick else answer

    altered(server, forbid)
    life.until(160.0)
    assert [summary["complete"] for summary in summaries(life, 2)] == [True]


def test_many_jobs_that_cannot_be_read_keep_no_other_out() -> None:
    sick = range(1, 101)
    server = Server([simple_job(id_, 1_000 * id_, begin=100.0, nodes=1) for id_ in sick])
    broken = Trouble("server", "500", 500)
    altered(server, lambda q, a: broken if isinstance(q, JobEvents) and q.job in sick else a)
    life = Life(JobStream(settings("jobs")), server, now=110.0)
    life.until(130.0)
    server.jobs.append(simple_job(200, 500_000, begin=130.0))
    life.until(140.0)
    assert [summary["complete"] for summary in summaries(life, 200)] == [True]


@pytest.mark.parametrize("most", [200, 15])
def test_a_limit_that_is_refused_in_the_middle_of_the_nodes_is_lowered(most: int) -> None:
    server = Server([simple_job(1, 100, nodes=1_200)])

    def refuse(question: Question, answer: Answer) -> Answer:
        if isinstance(question, JobNodes) and question.offset and question.limit > most:
            return Trouble("invalid", "the limit is too large", 400)
        return answer

    altered(server, refuse)
    life = Life(JobStream(settings("jobs")), server)
    life.until(20.0)
    (summary,) = summaries(life, 1)
    assert (summary["complete"], summary["expected"]["nodes"]) == (True, 1_200)
