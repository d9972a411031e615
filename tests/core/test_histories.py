"""Servers that went back in time: what both histories share stays as it is, everything else is read anew."""

from __future__ import annotations

import pytest

from orchbridge.core.facts import Connection, Job, Odd
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.questions import JobEvents, JobsPage, Page, Reply
from tests.core.live import Life, settings
from tests.core.server import Server, simple_job
from tests.core.test_hostile_lists import altered, jobs_read, notices


@pytest.mark.parametrize("fresh", [2, 32, 60])
def test_ids_given_again_are_recognised_however_many_came_since(fresh: int) -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 21)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    newer = [simple_job(id_, 10_000 + id_ * 100, begin=9.0) for id_ in range(11, 21 + fresh)]
    server.jobs = [*server.jobs[:10], *newer]
    life.until(40.0)
    assert notices(life) == ["e2:jobs/notice/source_reset/e2"]
    assert jobs_read(life, "e2") == set(range(11, 21 + fresh))


def test_what_both_histories_share_is_not_read_again_though_it_stands_on_a_later_page() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 101)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    server.jobs = [*server.jobs[:80], *(simple_job(id_, 20_000 + id_ * 100, begin=9.0) for id_ in range(81, 191))]
    life.until(40.0)
    assert jobs_read(life, "e2") == set(range(81, 191))


def test_a_job_not_yet_visible_when_the_server_went_back_is_read_afterwards() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    server.jobs[2].visible = 5.0
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    server.jobs = server.jobs[:4]
    life.now = 6.0
    life.until(60.0)
    assert jobs_read(life) | jobs_read(life, "e2") == {1, 2, 3, 4, 5}


def test_a_gap_that_both_histories_share_still_ends_in_a_notice() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in (1, 2, 4, 5)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    server.jobs = server.jobs[:3]
    life.until(100.0)
    assert notices(life) == ["e2:jobs/notice/source_reset/e2", "e2:jobs/notice/gap/3-3"]


def test_an_item_that_cannot_be_read_for_once_is_not_new_after_a_claim() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs", late_window_s=30.0)), server)
    life.until(100.0, step=1.0)
    assert set(life.store.documents) == {"prod/jobs"}

    def torn(question: object, answer: object) -> object:
        if not isinstance(question, JobsPage) or not isinstance(answer, Page):
            return answer
        items = [Odd(b"{", "torn") if isinstance(job, Job) and job.id == 3 else job for job in answer.items]
        return Page(tuple(items), answer.total)

    altered(server, torn)  # type: ignore[arg-type]
    life.until(104.0)
    life.claim()
    del server.answer  # type: ignore[attr-defined]
    life.until(140.0)
    assert len(life.store.ids) == len(set(life.store.ids))


def test_events_of_another_job_with_the_same_id_are_not_told_before_the_list_was_asked() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 4)])
    server.jobs.append(simple_job(4, 400, begin=0.0))
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.5)
    assert {"e1:job/4/event/400", "e1:job/4/event/401"} <= set(life.store.ids)
    other = simple_job(4, 440, begin=-9.0)
    server.jobs[3] = other
    early = server.answer(JobEvents(4), life.now)
    batch = life.stream.fold(life.state, [Reply(JobEvents(4), early, life.now, life.now)], life.now)
    assert batch.records == ()
    life.state = batch.state
    life.until(30.0)
    assert {id_ for id_ in life.store.ids if id_.startswith("e1:job/4/event/")} == {
        "e1:job/4/event/400",
        "e1:job/4/event/401",
    }
    assert sum(id_.startswith("e2:job/4/event/") for id_ in life.store.ids) == 5


def test_a_server_that_lost_an_event_for_good_is_believed_in_the_end() -> None:
    server = Server([simple_job(1, 100, begin=0.0)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.5)
    assert "e1:job/1/event/100" in life.store.ids
    del server.jobs[0].events[0]
    life.until(40.0)
    assert sum("/event/" in id_ for id_ in life.store.ids) == 5
    assert notices(life) == []


def test_a_forgotten_node_that_comes_back_gets_ids_of_its_own() -> None:
    session = "2026-01-01T00:00:00Z"
    server = Server(inventory={name: Connection(name, True, "b1", session) for name in ("a.test", "b.test")})
    life = Life(InventoryStream(settings("inventory", poll_s=5.0, forget_after_s=120.0)), server, now=1_800_000_000.0)
    for since in (session, session, "2027-02-01T00:00:00Z", None, None, session):
        server.inventory["a.test"] = Connection("a.test", True, "b1", since)
        life.until(life.now + 20.0)
        life.claim()
        server.inventory["a.test"] = Connection("a.test", False)
        life.until(life.now + 200.0, step=5.0)
        assert "a.test" not in life.state.nodes
        life.claim()
    assert len(life.store.ids) == len(set(life.store.ids))
    documents = [int(id_.rpartition("/")[2]) for id_ in life.store.ids if "a.test/document/" in id_]
    assert documents == sorted(documents)


def test_an_older_session_that_shows_again_gets_an_id_of_its_own() -> None:
    first, second = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    server = Server(inventory={name: Connection(name, True, "b1", first) for name in ("a.test", "b.test")})
    life = Life(InventoryStream(settings("inventory", poll_s=5.0)), server, now=1_800_000_000.0)
    for since in (first, second, None, first, None, second, None, first, None, None):
        server.inventory["a.test"] = Connection("a.test", since is not None, "b1", since)
        life.until(life.now + 30.0)
    assert len(life.store.ids) == len(set(life.store.ids))


def test_the_start_of_a_node_that_never_ended_is_waited_for_as_long_as_its_end_would_be() -> None:
    job = simple_job(1, 100, begin=0.0, nodes=1)
    job.events = [(100, "n0.test", "node_running", 1.0, 500.0), (101, None, "job_aborted", 4.0, 0.0)]
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(1_200.0, step=2.0)
    assert {"e1:job/1/event/100", "e1:job/1/event/101"} <= set(life.store.ids)


def test_what_shows_after_the_first_ever_is_not_lost_by_a_claim() -> None:
    second = simple_job(2, 200, begin=10.0)
    first = simple_job(1, 100, begin=10.0)
    first.visible = 20.0
    life = Life(JobStream(settings("jobs")), Server([first, second]))
    life.until(15.0)
    assert jobs_read(life) == {2}
    life.now = 30.0  # nobody looked when it showed
    life.claim()
    life.until(60.0)
    assert jobs_read(life) == {1, 2}
    assert not notices(life)


def test_a_first_id_that_is_high_says_nothing_of_those_before() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(5_000, 100, begin=10.0)]))
    life.until(100.0)
    assert jobs_read(life) == {5_000}
    assert not notices(life)


def test_an_older_item_that_cannot_be_read_right_after_a_claim_is_not_new_later() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0, nodes=1) for id_ in range(1, 61)])
    life = Life(JobStream(settings("jobs", late_window_s=20.0)), server)
    life.until(60.0)
    assert not life.state.tracks
    torn = iter([20])

    def change(question: object, answer: object) -> object:
        if isinstance(question, JobsPage) and isinstance(answer, Page) and (id_ := next(torn, 0)):
            items = [Odd(b"{}", "torn") if isinstance(item, Job) and item.id == id_ else item for item in answer.items]
            return Page(tuple(items), total=answer.total)
        return answer

    altered(server, change)
    life.claim()
    life.until(70.0)
    assert next(torn, 0) == 0
    assert len(life.store.ids) == len(set(life.store.ids))
