"""Windows on the jobs' history: what they give is what the live stream gives, whenever they are cut off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Odd
from orchbridge.core.head import Anchor, Era
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.questions import JobDetail, JobEvents, JobsPage, Trouble
from orchbridge.core.records import JOB_EVENTS, JOB_STATE, JOBS, NOTICES, PLANS, Record
from orchbridge.core.walk import Start
from orchbridge.core.window import Window
from tests.core.live import FATES, Life, Store, settings
from tests.core.server import Server, simple_job

LONG_AGO = -90_000.0


def history(count: int = 12, first: int = 1) -> Server:
    """Return a server whose jobs ended a day ago; every fourth has a failed node, every fifth a parameter to hide."""
    jobs = [simple_job(id_, id_ * 100, begin=LONG_AGO + id_, fail=id_ % 4 == 0) for id_ in range(first, first + count)]
    for job in jobs[::5]:
        job.sensitive, job.params = ("pin",), {"pin": "4711-secret"}
    return Server(jobs)


def replay(window: Window, server: Server, store: Store | None = None) -> Life:
    return Life(JobWindow(settings("replay-x"), window, "x"), server, store, now=1.0)


def data_of(record: Record) -> Any:
    data = msgspec.json.decode(msgspec.json.encode(record.data))
    if data is not None:
        data.pop("observed_at", None)
        if record.channel == JOB_STATE:
            data.pop("revision")
    return data


def facts(records: list[Record]) -> list[Any]:
    """Return what has to be equal: everything but when it was read, and how often a state document was written."""
    kept = [record for record in records if record.channel in {JOBS, JOB_EVENTS, PLANS}]
    return sorted((r.channel, r.id, r.key, r.type, r.subject, r.time, r.sequence, str(data_of(r))) for r in kept)


class Half:
    """One of two streams that live over the same store, moved on in turns."""

    def __init__(self, life: Life, fates: Iterator[str]) -> None:
        self.life, self.fates, self.store = life, fates, life.store

    def __call__(self, until: float) -> None:
        self.life.until(until, fates=self.fates)


def halves(
    live: Any, window: Any, kind: str, server: Server, start: Start, fates: Iterator[str], other: Iterator[str]
) -> tuple[Half, Half]:
    """Return a live stream and the backfill beside it."""
    store = Store()
    given = {"start": start, "poll_s": 1.0}
    first = Life(live(settings(kind, backfill=True, **given)), server, store, now=1.0)
    second = Life(window(settings(f"{kind}-backfill", **given)), server, store, now=1.0)
    return Half(first, fates), Half(second, other)


def twice(store: Store) -> list[str]:
    return [id_ for id_, count in Counter(store.ids).items() if count > 1]


def test_a_window_gives_the_very_records_of_the_live_stream_marked_as_a_replay() -> None:
    live = Life(JobStream(settings("jobs")), history())
    live.until(40.0)
    window = replay(Window(), history())
    window.until(40.0)
    assert facts(window.store.records) == facts(live.store.records)
    assert {(r.replay, r.headers) for r in window.store.records} == {(True, (("orchbridge-replay", "x"),))}
    assert {(r.channel, r.key) for r in window.store.records} >= {(JOB_STATE, str(id_)) for id_ in range(1, 13)}
    assert "4711-secret" not in str(window.store.records)


def test_only_what_lies_inside_is_read_and_in_ascending_order() -> None:
    life = replay(Window(first=3, last=7, skip=(5,)), history())
    life.until(20.0)
    certified = [record.key for record in life.store.of("job.summary.v1")]
    assert certified == sorted(certified, key=int) == ["3", "4", "6", "7"]
    told = life.stream.view(life.state).progress
    assert told is not None
    assert (told.done, told.total, told.skipped, told.over) == (4, 4, 0, True)


def test_a_time_chooses_by_creation() -> None:
    life = replay(Window(since=LONG_AGO + 4, until=LONG_AGO + 6), history())
    life.until(20.0)
    assert {record.key for record in life.store.of("job.summary.v1")} == {"4", "5", "6"}


def test_a_long_list_is_walked_once_down_to_the_window() -> None:
    server = history(1200)
    life = replay(Window(first=350, last=360), server)
    life.until(10.0)
    offsets = [question.offset for question in server.asked if isinstance(question, JobsPage)]
    assert offsets[:5] == [0, 200, 400, 600, 800]
    assert not any(offsets[5:])  # from then on only a look at the newest page, whether it is the same server
    assert len(life.store.of("job.summary.v1")) == 11


def test_ids_that_are_not_there_are_skipped_and_running_ones_are_named() -> None:
    server = history()
    server.jobs = [job for job in server.jobs if job.id not in {2, 9}]
    server.jobs.append(simple_job(20, 9000, begin=0.0))
    server.jobs[-1].states = [(0.0, "running")]
    life = replay(Window(first=1, last=20), server)
    life.until(30.0)
    told = life.stream.view(life.state).progress
    assert told is not None
    assert (told.done, told.total, told.running, told.over) == (10, 20, (20,), True)
    assert told.skipped == 10
    assert not life.store.of("bridge.notice.v1")


def test_a_newest_row_that_cannot_be_read_any_more_is_no_other_history() -> None:
    server = history()
    server.trouble[JobEvents] = Trouble("server", "busy")  # so that the newest page is looked at again meanwhile
    life = replay(Window(last=11), server)
    readable = server.answer

    def answer(question: Any, now: float) -> Any:
        given = readable(question, now)
        if isinstance(question, JobsPage) and now > 2.0:
            return msgspec.structs.replace(given, items=(Odd(b"{}", "no id"), *given.items[1:]))
        return given

    server.answer = answer  # type: ignore[method-assign]
    life.until(10.0)
    assert sum(isinstance(question, JobsPage) for question in server.asked) > 2
    server.trouble.clear()
    life.until(120.0)
    assert len(life.store.of("job.summary.v1")) == 11


def test_events_of_another_history_are_not_believed_under_the_ids_of_this_one() -> None:
    server = history()
    server.trouble[JobEvents] = Trouble("unreachable", "refused")  # restored between a job's page and its events
    life = replay(Window(), server)
    life.until(3.0)
    assert any(isinstance(question, JobEvents) for question in server.asked)
    server.jobs = [simple_job(id_, 50_000 + id_ * 100, begin=-10.0 + id_) for id_ in range(1, 13)]
    server.trouble.clear()
    with pytest.raises(Corrupt, match="not the one that was delivered"):
        life.until(60.0)
    assert not [record for record in life.store.records if record.channel == JOB_EVENTS]


def test_a_window_with_nothing_in_it_is_done() -> None:
    life = replay(Window(first=50, last=60), Server())
    life.until(60.0)
    assert isinstance(life.stream, JobWindow)
    assert life.stream.done(life.state)


@given(st.lists(st.sampled_from(FATES), max_size=60), st.integers(1, 12))
def test_whatever_is_cut_off_nothing_is_missing_and_nothing_comes_twice(fates: list[str], count: int) -> None:
    whole = Life(JobStream(settings("jobs")), history(count))
    whole.until(40.0)
    life = replay(Window(), history(count))
    life.until(80.0, fates=chain(fates, repeat("ok")))
    assert twice(life.store) == []
    assert facts(life.store.records) == facts(whole.store.records)
    assert list(life.store.documents) == ["prod/replay-x"]
    progress = life.stream.view(life.state).progress
    assert progress is not None
    assert (progress.done, progress.total) == (count, count)


def test_every_id_gets_the_epoch_it_was_delivered_under() -> None:
    life = replay(Window(eras=(Era(5, 2, (3,)), Era(9, 3))), history())
    life.until(20.0)
    epochs = {int(record.key): record.epoch for record in life.store.of("job.summary.v1")}
    assert epochs == {
        **dict.fromkeys((1, 2, 4, 5), "e1"),
        **dict.fromkeys((3, 6, 7, 8, 9), "e2"),
        10: "e3",
        11: "e3",
        12: "e3",
    }


def test_a_job_pruned_while_it_is_read_ends_truncated_and_one_pruned_before_is_skipped() -> None:
    server = history(4)
    life = replay(Window(), server)
    server.trouble[JobEvents] = Trouble("server", "restarting", 503)
    life.until(3.0)
    server.jobs = [job for job in server.jobs if job.id != 2]
    del server.trouble[JobEvents]
    life.until(60.0)
    certified = {r.key: (r.data["complete"], r.data["truncated"]) for r in life.store.of("job.summary.v1") if r.data}
    assert certified == {"1": (True, False), "2": (False, True), "3": (True, False), "4": (True, False)}

    server = history(4)
    life = replay(Window(), server)
    server.trouble[JobDetail] = Trouble("server", "restarting", 503)
    life.until(3.0)
    server.jobs = [job for job in server.jobs if job.id != 2]
    del server.trouble[JobDetail]
    life.until(60.0)
    assert {record.key for record in life.store.records} == {"1", "3", "4"}
    progress = life.stream.view(life.state).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.skipped, progress.over) == (3, 4, 1, True)


@pytest.mark.parametrize("kind", ["forbidden", "oversize", "malformed", "invalid"])
@pytest.mark.parametrize("asked", [JobDetail, JobEvents])
def test_a_job_that_cannot_be_read_is_certified_as_incomplete_and_the_window_ends(kind: str, asked: type) -> None:
    server = history(3)
    honest = server.answer
    sick = Trouble(kind, "sick")
    server.answer = lambda q, now: sick if isinstance(q, asked) and q.job == 2 else honest(q, now)  # type: ignore[method-assign, attr-defined]
    life = replay(Window(), server)
    life.until(900.0, step=1.0)
    certified = {record.key: record.data["complete"] for record in life.store.of("job.summary.v1") if record.data}
    assert certified == {"1": True, "2": False, "3": True}
    assert len([record for record in life.store.records if record.channel == NOTICES]) == 1
    assert isinstance(life.stream, JobWindow)
    assert life.stream.done(life.state)


def test_another_history_is_not_delivered_as_the_old_one() -> None:
    server = history(3)
    life = replay(Window(anchors=(Anchor(3, "2020-01-01T00:00:00Z", "o1"),)), server)
    with pytest.raises(Corrupt, match="id 3 was created"):
        life.until(20.0)
    assert life.store.records == []


def test_a_job_that_became_another_one_meanwhile_is_not_delivered() -> None:
    server = history(3)
    life = replay(Window(), server)
    life.lap()
    server.jobs[1].created += 50.0
    with pytest.raises(Corrupt, match="id 2 was created"):
        life.until(20.0)
    assert not [record for record in life.store.records if record.key == "2"]


STARTS = [Start("earliest"), Start("from", id=5), Start("since", at=LONG_AGO + 5), Start("from", id=900)]


def busy(finish: float = 20.0) -> Server:
    """Return a server with a past, with job 6 of it running on until `finish` and one id that appears late."""
    server = history(10)
    running = simple_job(6, 600, begin=finish - 4.0)
    running.created, running.states[0] = LONG_AGO + 6, (LONG_AGO + 6, "new")
    server.jobs[5] = running
    server.jobs[8].visible = 12.0
    server.jobs.append(simple_job(11, 1100, begin=8.0))
    return server


@pytest.mark.parametrize("start", STARTS, ids=lambda start: f"{start.kind}-{start.id}")
@given(
    fates=st.lists(st.sampled_from(FATES), max_size=40),
    other=st.lists(st.sampled_from(FATES), max_size=40),
    finish=st.sampled_from([1.0, 1.5, 2.0, 4.5, 20.0]),
    first=st.integers(0, 4),
)
def test_live_and_backfill_together_give_everything_once(
    start: Start, fates: list[str], other: list[str], finish: float, first: int
) -> None:
    server = busy(finish)
    live, backfill = halves(
        JobStream, JobWindow, "jobs", server, start, chain(fates, repeat("ok")), chain(other, repeat("ok"))
    )
    begun = live.life.now = backfill.life.now = first + 1.0
    for moment in range(50):
        live(begun + moment)
        backfill(begun + moment)
    whole = Life(JobStream(settings("jobs")), server, now=60.0)
    whole.until(120.0)
    chosen = {"earliest": range(1, 20), "from": range(start.id, 20), "since": range(5, 20)}[start.kind]
    unfinished = {6} if finish > begun else set()
    mine = {str(id_) for id_ in {*chosen, *unfinished, 9, 11}}
    assert twice(live.store) == []
    got = {record.id: record for record in live.store.records if record.channel in {JOBS, JOB_EVENTS}}
    assert set(got) == {r.id for r in whole.store.records if r.channel in {JOBS, JOB_EVENTS} and r.key in mine}
    assert {r.data["complete"] for r in live.store.of("job.summary.v1") if r.data} == {True}
    assert "9" not in {record.key for record in got.values() if record.replay}
    assert isinstance(backfill.life.stream, JobWindow)
    assert backfill.life.stream.done(backfill.life.state)
    kinds = Counter(record.data["kind"] for record in live.store.of("bridge.notice.v1") if record.data)
    assert kinds == ({} if start.id == 900 else {"backfill_started": 1, "backfill_done": 1})


def test_a_backfill_that_was_begun_goes_on_though_the_start_is_now_by_then() -> None:
    live, _ = halves(JobStream, JobWindow, "jobs", history(), Start("earliest"), repeat("ok"), repeat("ok"))
    live(3.0)
    assert not live.store.of("job.summary.v1")  # all of it is handed over
    after = Life(JobWindow(settings("jobs-backfill", start=Start("now"))), live.life.server, live.store, now=4.0)
    after.until(40.0)
    assert {record.key for record in live.store.of("job.summary.v1")} == {str(id_) for id_ in range(1, 13)}
    assert twice(live.store) == []


def test_a_backfill_to_which_nothing_was_left_is_done_at_once_where_the_start_is_now() -> None:
    life = Life(JobWindow(settings("jobs-backfill", start=Start("now"))), history())
    life.until(5.0)
    assert (life.server.asked, life.store.documents, life.claims) == ([], {}, 1)
    assert isinstance(life.stream, JobWindow)
    assert life.stream.done(life.state)


def test_the_last_event_of_a_job_that_ended_moments_ago_is_waited_for() -> None:
    late, long_over = simple_job(1, 100, begin=-5.0), simple_job(2, 200, begin=LONG_AGO)
    late.events[-1] = (*late.events[-1][:-1], 6.0)
    long_over.events.pop()  # it never came, and nobody waits for it
    life = replay(Window(), Server([late, long_over]))
    life.until(3.0)
    assert [record.key for record in life.store.of("job.summary.v1")] == ["2"]
    life.until(30.0)
    assert "e1:job/1/event/104" in life.store.ids
    assert life.store.of("job.summary.v1")[-1].data["delivered"]["events"] == 5


def test_an_event_of_history_that_is_torn_once_is_read_again() -> None:
    server, honest = history(1), Server.answer
    torn = iter([True])

    def answer(question: Any, now: float) -> Any:
        found = honest(server, question, now)
        if isinstance(question, JobEvents) and next(torn, False):
            return msgspec.structs.replace(found, items=(Odd(b'{"torn":1}', "torn"), *found.items[1:]))
        return found

    server.answer = answer  # type: ignore[method-assign]
    life = replay(Window(), server)
    life.until(20.0)
    assert {id_ for id_ in life.store.ids if "/event/" in id_} >= {f"e1:job/1/event/{id_}" for id_ in range(100, 105)}
