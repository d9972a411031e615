"""A backfill beside its live stream while the server's history changes under both."""

from __future__ import annotations

from collections import Counter
from itertools import chain, repeat

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.questions import JobsPage, Reply, Trouble
from orchbridge.core.walk import Start
from tests.core.live import FATES, Life, Store, settings
from tests.core.server import ScriptedJob, Server, simple_job
from tests.core.test_window_jobs import LONG_AGO, Half, halves, history, twice

EARLIEST = Start("earliest")


def pair(server: Server, fates: list[str] | None = None, other: list[str] | None = None) -> tuple[Half, Half]:
    ok = repeat("ok")
    return halves(JobStream, JobWindow, "jobs", server, EARLIEST, chain(fates or [], ok), chain(other or [], ok))


def notices(store: Store) -> Counter[str]:
    return Counter(record.data["kind"] for record in store.of("bridge.notice.v1") if record.data)


def over(half: Half) -> bool:
    stream = half.life.stream
    assert isinstance(stream, JobWindow)
    return stream.done(half.life.state)


def restored(server: Server, survivor: int, count: int, begin: float) -> None:
    """Go back to when `survivor` was the newest job; since then `count` other jobs ran under the ids after it."""
    server.jobs = [job for job in server.jobs if job.id <= survivor]
    for id_ in range(survivor + 1, survivor + 1 + count):
        server.jobs.append(simple_job(id_, 100_000 + id_ * 100, begin=begin, nodes=1))


def truth(jobs: list[ScriptedJob], epoch: str) -> set[str]:
    return {f"{epoch}:job/{job.id}/event/{event[0]}" for job in jobs for event in job.events}


def delivered(store: Store) -> set[str]:
    return {id_ for id_ in store.ids if "/event/" in id_}


@hypothesis.settings(max_examples=40)
@given(
    fates=st.lists(st.sampled_from(FATES), max_size=30),
    other=st.lists(st.sampled_from(FATES), max_size=30),
    count=st.integers(1, 120),
    turns=st.integers(0, 6),
    first=st.booleans(),
)
def test_a_restore_cuts_the_window_and_nothing_is_told_under_a_wrong_epoch(
    fates: list[str], other: list[str], count: int, turns: int, first: bool
) -> None:
    """Whoever of the two looks first, what the ids mean now is never said under the old epoch."""
    server = history(100)
    live, backfill = pair(server, fates, other)
    live(2.0)
    for turn in range(turns):
        backfill.life.now = 2.0 + turn / 10
        backfill.life.lap(next(backfill.fates))
    old = list(server.jobs)
    restored(server, 80, count, 3.0)
    for moment in range(60):
        for half in (backfill, live) if first else (live, backfill):
            half.life.now = max(half.life.now, 6.0 + moment)
            half(7.0 + moment)
    store = live.store
    assert twice(store) == []
    kept, new = [job for job in old if job.id <= 80], [job for job in server.jobs if job.id > 80]
    said = delivered(store)
    assert said >= truth(kept, "e1") | truth(new, "e2")
    assert said - truth(new, "e2") <= truth(old, "e1"), "an event of the new history under the old epoch"
    assert over(backfill)
    assert notices(store)["source_reset"] == 1
    assert notices(store)["pruned_unread"] == 0


def test_a_restore_to_a_running_job_is_the_live_streams() -> None:
    server = history(60)
    live, backfill = pair(server)
    live(2.0)
    restored(server, 50, 3, 3.0)
    running = simple_job(50, 5000, begin=20.0)
    running.created, running.states = server.jobs[49].created, [(LONG_AGO, "running"), (24.0, "finished")]
    server.jobs[49] = running
    for moment in range(60):
        live(3.0 + moment)
        backfill(3.0 + moment)
    epochs = {record.epoch for record in live.store.of("job.summary.v1") if record.key == "50"}
    assert epochs == {"e2"}
    assert twice(live.store) == []
    assert over(backfill)


def test_what_was_pruned_before_it_was_read_is_counted_once() -> None:
    server = history(300)
    live, backfill = pair(server)
    live(2.0)
    backfill.life.lap()
    backfill.life.lap()
    server.jobs = [job for job in server.jobs if job.id > 120]
    for moment in range(120):
        live(3.0 + moment)
        backfill(3.0 + moment)
    assert notices(live.store) == {"backfill_started": 1, "pruned_unread": 1, "backfill_done": 1}
    (notice,) = [r.data for r in live.store.of("bridge.notice.v1") if r.data and r.data["kind"] == "pruned_unread"]
    certified = {int(record.key) for record in live.store.of("job.summary.v1")}
    assert certified >= set(range(121, 301))
    assert f"{300 - len(certified)} of 300 finished jobs" in notice["explanation"]


def test_a_list_that_is_empty_for_a_moment_skips_nothing() -> None:
    server = history(5)
    live, backfill = pair(server)
    live(2.0)
    honest = server.jobs
    server.jobs = []
    backfill(4.0)
    server.jobs = honest
    backfill(30.0)
    assert {record.key for record in live.store.of("job.summary.v1")} == {"1", "2", "3", "4", "5"}
    assert notices(live.store)["pruned_unread"] == 0


def test_a_cursor_from_before_backfills_goes_on_and_leaves_nothing_over() -> None:
    server, store = history(5), Store()
    before = Life(JobStream(settings("jobs")), server, store, now=1.0)
    before.until(3.0)
    server.jobs.append(simple_job(6, 600, begin=10.0))
    head = msgspec.json.decode(store.documents["prod/jobs"])
    store.documents["prod/jobs"] = msgspec.json.encode({key: head[key] for key in head if key != "handed"})
    live, backfill = pair(server)
    live.life.store = backfill.life.store = store
    for moment in range(60):
        live(4.0 + moment)
        backfill(4.0 + moment)
    assert {record.key for record in store.of("job.summary.v1")} == {"1", "2", "3", "4", "5", "6"}
    assert twice(store) == []
    assert [record for record in store.records if record.replay] == []
    assert over(backfill)


def test_a_start_now_leaves_no_word_for_a_backfill() -> None:
    life = Life(JobStream(settings("jobs", start=Start("now"))), history(5), now=1.0)
    life.until(10.0)
    assert list(life.store.documents) == ["prod/jobs"]


@pytest.mark.parametrize("kind", ["server", "malformed", "throttled"])
def test_a_list_that_fails_is_asked_for_again(kind: str) -> None:
    server = history(5)
    live, backfill = pair(server)
    live(2.0)
    server.trouble[JobsPage] = Trouble(kind, "not now", 503)
    backfill(6.0)
    asked = len([question for question in server.asked if isinstance(question, JobsPage)])
    assert asked < 12
    del server.trouble[JobsPage]
    backfill(80.0)
    assert over(backfill)
    assert len(live.store.of("job.summary.v1")) == 5


@pytest.mark.parametrize("live_first", [True, False])
def test_a_job_that_appears_between_both_listings_is_delivered_by_one(live_first: bool) -> None:
    server = history(10)
    server.jobs[8].visible = 3.0
    live, backfill = pair(server)
    live(2.0)
    backfill.life.now = 5.0
    for half in (live, backfill) if live_first else (backfill, live):
        half(40.0)
    assert {record.key for record in live.store.of("job.summary.v1")} == {str(id_) for id_ in range(1, 11)}
    assert twice(live.store) == []


def test_a_server_that_forgot_everything_does_not_hold_the_backfill_up() -> None:
    server = history(5)
    late = server.jobs[-1]
    late.states[-1] = (-1.0, "finished")  # a moment ago: its last event is waited for
    late.events[-1] = (*late.events[-1][:3], -1.0, 60.0)
    live, past = pair(server)
    live(2.0)
    past(4.0)
    assert past.life.state.jobs.tracks, "one is waited for"
    server.jobs.clear()
    live(60.0)
    past(60.0)
    assert over(past)
    assert notices(past.store)["backfill_done"] == 1


def test_a_backfill_that_is_done_stays_done_whatever_the_newest_page_shows() -> None:
    server = history(1)
    live, past = pair(server)
    live(2.0)
    stream, life = past.life.stream, past.life
    past(20.0)
    assert over(past)
    server.jobs += [simple_job(id_, id_ * 100, begin=life.now) for id_ in range(2, 90)]
    question = JobsPage(50, 0)
    life.now += 5.0
    batch = stream.fold(life.state, [Reply(question, server.answer(question, life.now), life.now, life.now)], life.now)
    assert stream.done(batch.state)
    assert not batch.records
    life.state = batch.state
    life.until(life.now + 10.0)
    assert notices(past.store)["backfill_done"] == 1
