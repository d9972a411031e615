"""The jobs stream: every event once, states in order, certificates that tell the truth."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.errors import Corrupt
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.questions import JobDetail, JobEvents, JobNodes, JobsPage, TaskMetadata, Trouble
from orchbridge.core.walk import Start
from tests.core.live import Life, Store, settings
from tests.core.server import ScriptedJob, Server, simple_job


def event_ids(store: Store) -> list[str]:
    return [record.id for record in store.records if "/event/" in record.id and record.channel == "job-events"]


def wanted(server: Server, epoch: str = "e1") -> set[str]:
    return {f"{epoch}:job/{job.id}/event/{event[0]}" for job in server.jobs for event in job.events}


def test_a_job_is_delivered_whole_and_certified() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(352, 1267, nodes=3, fail=1)]))
    life.until(8.0)
    assert sorted(event_ids(life.store)) == sorted(wanted(life.server))
    states = [(r.id, r.data["previous"]) for r in life.store.of("job.state.changed.v1") if r.data]
    assert states == [
        ("e1:job/352/state/new", None),
        ("e1:job/352/state/ready", "new"),
        ("e1:job/352/state/running", "ready"),
        ("e1:job/352/state/failed", "running"),
    ]
    (summary,) = life.store.of("job.summary.v1")
    assert summary.data is not None
    assert summary.id == "e1:job/352/summary/1"
    assert summary.data["complete"] is True
    assert summary.data["outcome"] == "failure"
    assert summary.data["expected"] == {"nodes": 3, "by_state": {"failed": 1, "finished": 2}}
    assert summary.data["delivered"]["ids"] == [1267, 1268, 1269, 1270, 1271, 1272, 1273]
    assert summary.data["reasons"] == []


def test_the_certificate_is_last() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(352, 1267)]))
    life.until(8.0)
    of_job = [record.id for record in life.store.records if record.channel in {"jobs", "job-events"}]
    assert of_job[-1] == "e1:job/352/summary/1"


def test_late_visible_events_come_at_once_and_are_marked() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[0] = (*job.events[0][:4], 2.6)  # the lowest id becomes visible after higher ones
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(8.0)
    late = [record.id for record in life.store.records if record.data and record.data.get("late")]
    assert late == ["e1:job/7/event/100"]
    assert len(event_ids(life.store)) == len(set(event_ids(life.store))) == 5


def test_an_event_after_the_certificate_revises_it() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 40.0)
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(80.0, step=1.0)
    first, second = [record.data for record in life.store.of("job.summary.v1") if record.data]
    assert (first["complete"], first["revision"], first["missing"]) == (
        False,
        1,
        [{"node": "n1.test", "state": "finished"}],
    )
    assert (second["complete"], second["revision"], second["missing"]) == (True, 2, [])
    assert sorted(event_ids(life.store)) == sorted(wanted(life.server))


def test_the_incomplete_certificate_follows_within_ten_seconds() -> None:
    job = simple_job(7, 100, nodes=2)
    job.events[3] = (*job.events[3][:4], 1e9)
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(13.9)
    assert not life.store.of("job.summary.v1")[1:]
    life.until(14.6)
    (summary,) = life.store.of("job.summary.v1")
    assert summary.data is not None
    assert summary.data["complete"] is False
    assert summary.data["missing_count"] == 1


def test_a_pruned_job_ends_truncated_and_is_forgotten() -> None:
    server = Server([simple_job(7, 100, begin=0.0), simple_job(8, 110, begin=0.0)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(2.0)
    server.jobs = server.jobs[1:]
    life.until(12.0)
    by_job = {record.key: record.data for record in life.store.of("job.summary.v1")}
    assert by_job["7"]["truncated"] is True
    assert by_job["7"]["complete"] is False
    assert by_job["8"]["complete"] is True
    assert "prod/jobs/7" not in life.store.documents
    assert [record.key for record in life.store.records if record.channel == "job-state" and record.data is None] == [
        "7"
    ]


def test_a_job_without_nodes_is_complete() -> None:
    job = ScriptedJob(7, 0.0, [(0.0, "new"), (1.0, "failed")])
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(4.0)
    (summary,) = life.store.of("job.summary.v1")
    assert summary.data is not None
    assert summary.data["complete"] is True
    assert summary.data["reasons"] == ["no job_finished event"]
    assert not [question for question in life.server.asked if isinstance(question, JobNodes)]


def test_tracked_jobs_are_let_go_after_the_late_window() -> None:
    life = Life(JobStream(settings("jobs", late_window_s=100.0)), Server([simple_job(7, 100)]))
    life.until(90.0, step=1.0)
    assert "prod/jobs/7" in life.store.documents
    life.until(120.0, step=1.0)
    assert set(life.store.documents) == {"prod/jobs"}
    assert len(life.store.ids) == len(set(life.store.ids))


def test_kindness_idle_is_one_request_a_tick() -> None:
    life = Life(JobStream(settings("jobs", late_window_s=20.0)), Server([simple_job(7, 100)]))
    life.until(60.0, step=1.0)
    life.server.asked.clear()
    life.until(100.0, step=1.0)
    assert {type(question) for question in life.server.asked} == {JobsPage}
    assert len(life.server.asked) == 40


def test_kindness_only_moved_jobs_are_asked_for_events() -> None:
    """With J active jobs of which K moved since the last tick: at most K + 2 requests (lists and events)."""

    def active(id_: int) -> ScriptedJob:
        first = (id_ * 100, "a.test", "node_running", 0.0, 0.0)
        second = (id_ * 100 + 1, "b.test", "node_running", 20.0 + id_, 0.0)
        return ScriptedJob(id_, 0.0, [(0.0, "running")], [first, second], ["a.test", "b.test"])

    jobs = [active(id_) for id_ in range(1, 21)]
    life = Life(JobStream(settings("jobs")), Server(jobs))
    life.until(10.0, step=1.0)
    life.server.asked.clear()
    for _ in range(10):
        life.until(life.now + 1.0, step=1.0)
        asked = [q for q in life.server.asked if isinstance(q, JobsPage | JobEvents)]
        assert len(asked) <= 2
        life.server.asked.clear()
    life.until(25.0, step=1.0)
    life.server.asked.clear()
    for _ in range(10):
        life.until(life.now + 1.0, step=1.0)
        asked = [q for q in life.server.asked if isinstance(q, JobsPage | JobEvents)]
        assert len(asked) <= 1 + 2
        life.server.asked.clear()


def test_start_now_takes_over_what_is_unfinished_whole() -> None:
    done, open_ = simple_job(1, 100, begin=-100.0), simple_job(2, 200, begin=-2.0)
    life = Life(JobStream(settings("jobs", start=Start("now"))), Server([done, open_]))
    life.lap()
    assert "prod/jobs" in life.store.documents
    life.until(8.0)
    assert {id_.split("/")[1] for id_ in event_ids(life.store)} == {"2"}
    assert len(event_ids(life.store)) == 5


def test_start_now_on_an_idle_server_commits_its_place() -> None:
    server = Server([simple_job(5, 100, begin=-100.0)])
    life = Life(JobStream(settings("jobs", start=Start("now"))), server)
    life.lap()
    assert json.loads(life.store.documents["prod/jobs"])["high"] == 5
    life.claim()
    server.jobs.append(simple_job(6, 200, begin=1.0))
    life.until(8.0)
    assert {id_.split("/")[1] for id_ in event_ids(life.store)} == {"6"}


@pytest.mark.parametrize(
    ("start", "jobs"),
    [(Start("earliest"), {"3", "4", "5"}), (Start("from", id=4), {"4", "5"}), (Start("since", at=-150.0), {"4", "5"})],
)
def test_start_rules(start: Start, jobs: set[str]) -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-500.0 + 100 * id_) for id_ in (3, 4, 5)])
    life = Life(JobStream(settings("jobs", start=start)), server)
    life.until(5.0)
    assert {id_.split("/")[1] for id_ in event_ids(life.store)} == jobs


def test_a_gap_is_looked_up_and_told() -> None:
    server = Server([simple_job(1, 100), simple_job(4, 400)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(60.0, step=1.0)
    assert [question.job for question in server.asked if isinstance(question, JobDetail) and question.job in {2, 3}]
    assert sorted(record.id for record in life.store.of("bridge.notice.v1")) == [
        "e1:jobs/notice/gap/2-2",
        "e1:jobs/notice/gap/3-3",
    ]
    head = json.loads(life.store.documents["prod/jobs"])
    assert (head["high"], head.get("gaps", [])) == (4, [])


def test_a_job_that_becomes_visible_late_is_not_lost() -> None:
    late = simple_job(2, 200)
    late.visible = 9.0
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100), late, simple_job(3, 300)]))
    life.until(25.0)
    assert sorted(event_ids(life.store)) == sorted(wanted(life.server))
    assert not life.store.of("bridge.notice.v1")


def test_a_restored_server_opens_a_new_epoch() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    server.jobs = [*server.jobs[:3], simple_job(4, 400, begin=12.0)]
    life.until(40.0)
    (notice,) = life.store.of("bridge.notice.v1")
    assert notice.id == "e2:jobs/notice/source_reset/e2"
    again = [id_ for id_ in event_ids(life.store) if id_.startswith("e2:")]
    assert {id_.split("/")[1] for id_ in again} == {"4"}
    assert len(again) == 5
    assert len(life.store.ids) == len(set(life.store.ids))


def test_one_strange_answer_is_no_new_epoch() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    jobs, server.jobs = server.jobs, server.jobs[:2]
    life.now += 1.0
    questions = life.stream.ask(life.state, life.now)
    assert [type(question) for question in questions] == [JobsPage]
    life.state = life.stream.fold(life.state, [msgspec.structs.replace(_reply(life, questions[0]))], life.now).state
    server.jobs = jobs
    life.until(20.0)
    assert not life.store.of("bridge.notice.v1")
    assert json.loads(life.store.documents["prod/jobs"]).get("epoch", 1) == 1


def _reply(life: Life, question: object) -> object:
    from orchbridge.core.questions import Reply

    return Reply(question, life.server.answer(question, life.now), life.now, life.now)  # type: ignore[arg-type]


def test_an_emptied_server_keeps_the_place() -> None:
    server = Server([simple_job(id_, id_ * 100, begin=-50.0) for id_ in range(1, 6)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    server.jobs = []
    life.until(20.0)
    server.jobs = [simple_job(6, 600, begin=21.0)]
    life.until(40.0)
    assert {id_.split("/")[1] for id_ in event_ids(life.store)} == {"1", "2", "3", "4", "5", "6"}
    assert not life.store.of("bridge.notice.v1")


def test_away_for_longer_than_the_retention_is_told() -> None:
    server = Server([simple_job(1, 100, begin=-50.0)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(10.0)
    server.jobs = [simple_job(200, 20_000, begin=-20.0)]
    life.claim()
    life.until(20.0)
    (notice,) = life.store.of("bridge.notice.v1")
    assert notice.id == "e1:jobs/notice/pruned_unread/2-199"


def test_a_sick_job_does_not_delay_the_others() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200)])
    life = Life(JobStream(settings("jobs")), server)
    answer = server.answer
    sick = Trouble("server", "500")
    server.answer = lambda q, now: sick if getattr(q, "job", 0) == 1 else answer(q, now)  # type: ignore[method-assign]
    life.until(8.0)
    assert {record.key for record in life.store.of("job.summary.v1")} == {"2"}
    server.answer = answer  # type: ignore[method-assign]
    life.until(80.0, step=1.0)
    assert {record.key for record in life.store.of("job.summary.v1")} == {"1", "2"}


def test_a_forbidden_job_is_certified_as_unreadable() -> None:
    server = Server([simple_job(1, 100), simple_job(2, 200)])
    answer = server.answer
    no = Trouble("forbidden", "not-permitted", status=403)
    server.answer = lambda q, now: (  # type: ignore[method-assign]
        no if isinstance(q, JobEvents | JobNodes | JobDetail) and q.job == 1 else answer(q, now)
    )
    life = Life(JobStream(settings("jobs")), server)
    life.until(20.0)
    by_job = {record.key: record.data for record in life.store.of("job.summary.v1")}
    assert by_job["1"]["complete"] is False
    assert by_job["1"]["reasons"] == ["it could not be read: forbidden"]
    assert len(life.store.of("bridge.notice.v1")) == 1


def test_large_answers_are_read_piece_by_piece() -> None:
    server = Server([simple_job(1, 100, nodes=50)], cut=17)
    life = Life(JobStream(settings("jobs")), server)
    life.until(8.0)
    assert sorted(event_ids(life.store)) == sorted(wanted(server))
    assert [record.data["complete"] for record in life.store.of("job.summary.v1") if record.data] == [True]


def test_more_events_than_a_batch_holds() -> None:
    server = Server([simple_job(1, 100, begin=-60.0, nodes=3_000)])
    life = Life(JobStream(settings("jobs")), server)
    life.until(3.0)
    assert len(event_ids(life.store)) == len(set(event_ids(life.store))) == 6_001
    assert [record.data["complete"] for record in life.store.of("job.summary.v1") if record.data] == [True]


def test_sensitive_parameters_never_leave() -> None:
    job = simple_job(1, 100)
    job.task, job.params = "db::dump", {"login": "s3cr3t-value", "path": "/tmp"}
    job.events[2] = job.events[2]
    life = Life(JobStream(settings("jobs")), Server([job], tasks={"db::dump": ("login",)}))
    life.until(8.0)
    everything = msgspec.json.encode([record.data for record in life.store.records])
    assert b"s3cr3t-value" not in everything
    assert b"/tmp" in everything


def test_an_unknown_task_hides_all_its_parameters() -> None:
    job = simple_job(1, 100)
    job.task, job.params = "db::gone", {"path": "/very/private"}
    life = Life(JobStream(settings("jobs")), Server([job]))
    life.until(8.0)
    everything = msgspec.json.encode([record.data for record in life.store.records])
    assert b"/very/private" not in everything
    assert b"[redacted:unknown-task]" in everything
    assert len([question for question in life.server.asked if isinstance(question, TaskMetadata)]) == 1


def test_a_foreign_memory_is_refused() -> None:
    life = Life(JobStream(settings("jobs")), Server([simple_job(1, 100)]))
    life.until(3.0)
    other = JobStream(msgspec.structs.replace(settings("jobs"), url="https://other.test"))
    with pytest.raises(Corrupt, match=r"belongs to https://pe\.test"):
        Life(other, life.server, life.store).claim()
    adopted = JobStream(msgspec.structs.replace(settings("jobs"), url="https://other.test", adopt=True))
    Life(adopted, life.server, life.store).claim()


@given(st.lists(st.sampled_from(["ok", "ok", "ok", "refused", "answer_lost"]), max_size=60), st.integers(0, 3))
def test_every_record_exactly_once_whatever_the_commits_do(fates: list[str], lateness: int) -> None:
    jobs = [simple_job(id_, 100 + id_, begin=id_ * 0.7, nodes=2, step=4, fail=id_ % 2) for id_ in range(1, 4)]
    for job in jobs:
        job.events[1] = (*job.events[1][:4], lateness * 0.9)
    life = Life(JobStream(settings("jobs")), Server(jobs))
    life.until(30.0, step=0.5, fates=iter(fates))
    assert sorted(event_ids(life.store)) == sorted(wanted(life.server))
    assert len(life.store.ids) == len(set(life.store.ids))
    assert {record.key for record in life.store.of("job.summary.v1")} == {"1", "2", "3"}


def test_a_tasks_metadata_that_fails_for_a_moment_hides_nothing_for_good() -> None:
    job = simple_job(1, 100)
    job.task, job.params = "db::dump", {"login": "Pa55-login", "path": "/var/tmp/dump"}
    server = Server([job], tasks={"db::dump": ("login",)})
    server.trouble = {TaskMetadata: Trouble("timeout", "no answer")}
    life = Life(JobStream(settings("jobs")), server)
    life.until(20.0)
    assert [record for record in life.store.records if record.channel != "notices"] == []
    server.trouble = {}
    life.until(40.0)
    everything = b"".join(msgspec.json.encode(record.data) for record in life.store.records)
    assert b"/var/tmp/dump" in everything
    assert b"Pa55-login" not in everything
    assert b"unknown-task" not in everything
    assert "e1:job/1/summary/1" in life.store.ids
    assert len([question for question in server.asked if isinstance(question, TaskMetadata)]) <= 5


def test_a_tasks_metadata_that_fails_for_long_hides_the_parameters_until_it_can_be_read() -> None:
    job = simple_job(1, 100)
    job.states = [(0.0, "running"), (300.0, "finished")]
    job.task, job.params = "db::dump", {"path": "/var/tmp/dump"}
    server = Server([job], tasks={"db::dump": ()})
    server.trouble = {TaskMetadata: Trouble("timeout", "no answer")}
    life = Life(JobStream(settings("jobs")), server)
    life.until(61.0)
    (state,) = life.store.of("job.state.changed.v1")
    assert b"[redacted:unknown-task]" in msgspec.json.encode(state.data)
    assert len([question for question in server.asked if isinstance(question, TaskMetadata)]) <= 8
    server.trouble = {}
    life.until(310.0, step=1.0)
    assert b"/var/tmp/dump" in msgspec.json.encode(life.store.of("job.state.changed.v1")[-1].data)
