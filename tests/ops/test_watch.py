"""What the watch makes of what it is told: counts, gauges, words of state, and not too many lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import parser

from orchbridge.core.errors import Denied, SinkLost
from orchbridge.core.ports import StreamId, Watch
from orchbridge.core.questions import Trouble
from orchbridge.core.records import JOB_STATE, NODE_STATE, NOTICES, PLANS, QUARANTINE, REACHABILITY, Record
from orchbridge.core.view import RecentJob, StreamView
from orchbridge.core.window import Progress
from orchbridge.ops import catalogue
from orchbridge.ops.missed import MissedRun
from orchbridge.ops.pulse import Pulse
from tests.ops.stage import JOBS_STREAM, NODES_STREAM, PLANS_STREAM, START, Asked, Stage, batch, ended, record

TIMEOUT = Trouble("timeout", "no answer within 30 s")
LOST = SinkLost("commit of prod/jobs timed out", hint="look at the broker")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_it_is_a_watch(stage: Stage) -> None:
    watch: Watch = stage.watch
    assert watch


def test_zeros_before_anything_happens(stage: Stage) -> None:
    for source, kinds in {"prod": ("jobs", "plans", "inventory"), "lab": ("jobs",)}.items():
        for result in catalogue.RESULTS:
            assert stage.value("pe_node_results_total", source, result) == 0
        for kind in kinds:
            for trouble in catalogue.TROUBLES:
                assert stage.value("orchbridge_troubles_total", source, kind, trouble) == 0
            for channel in catalogue.CHANNELS[kind]:
                assert stage.value("orchbridge_records_committed_total", source, kind, channel) == 0
            for name in ("stumbles_total", "commits_total", "stream_owned", "stream_parked"):
                assert stage.value(f"orchbridge_{name}", source, kind) == 0
        for name in ("jobs_incomplete_total", "gaps_total", "resets_total", "redacted_total"):
            assert stage.value(f"orchbridge_{name}", source) == 0


def test_facts_about_pe_wait_for_its_first_answer(stage: Stage) -> None:
    stage.watch.claimed(JOBS_STREAM, StreamView(jobs_by_state={"running": 3}))
    assert stage.value("pe_jobs", "prod", "running") is None
    assert stage.value("pe_up", "prod") is None
    stage.watch.lapped(JOBS_STREAM, batch(state=StreamView(jobs_by_state={"running": 3})), START)
    assert stage.value("pe_jobs", "prod", "running") == 3
    assert stage.value("pe_jobs", "prod", "new") == 0


def test_jobs_that_end_are_counted_and_measured(stage: Stage) -> None:
    stage.watch.committed(JOBS_STREAM, batch(ended(), ended(outcome="failure")), 0.02)
    assert stage.value("pe_jobs_finished_total", "prod", "task", "production", "success") == 1
    assert stage.value("pe_jobs_finished_total", "prod", "task", "production", "failure") == 1
    assert stage.value("pe_jobs_finished_total", "prod", "task", "production", "stopped") == 0
    assert stage.value("pe_job_last_success_timestamp_seconds", "prod", "task") == START - 1
    text = stage.metrics.text("")[0].decode()
    assert 'pe_job_duration_seconds_sum{source="prod",type="task"} 84.0' in text
    assert 'pe_job_queue_seconds_bucket{le="0.5",source="prod",type="task"} 2.0' in text


def test_a_running_job_opens_its_counters_at_zero(stage: Stage) -> None:
    """Else the first failure of an environment would be no change, and no alert."""
    job = msgspec.Raw(b'{"id":1,"name":"x","type":"deploy","environment":"dev","owner":{"id":null}}')
    stage.watch.committed(JOBS_STREAM, batch(record("job.state.changed.v1", {"job": job, "state": "running"})), 0.02)
    assert stage.value("pe_jobs_finished_total", "prod", "deploy", "dev", "failure") == 0
    stage.watch.committed(
        JOBS_STREAM, batch(record("job.state.changed.v1", {"job": job, "state": "failed", "outcome": "failure"})), 0.02
    )
    assert stage.value("pe_jobs_finished_total", "prod", "deploy", "dev", "failure") == 1


def test_environments_have_a_budget(stage: Stage) -> None:
    jobs = [ended(environment=f"env{n}") for n in range(130)]
    stage.watch.committed(JOBS_STREAM, batch(*jobs), 0.02)
    assert stage.value("pe_jobs_finished_total", "prod", "task", "env99", "success") == 1
    assert stage.value("pe_jobs_finished_total", "prod", "task", "env100", "success") is None
    assert stage.value("pe_jobs_finished_total", "prod", "task", "other", "success") == 30
    assert stage.value("orchbridge_series_overflow_total", "prod", "environment") == 30


@pytest.mark.parametrize("job", [None, 7, {"type": 3}, {}, {"environment": None, "type": ""}])
def test_a_job_object_of_another_shape_is_counted_too(stage: Stage, job: Any) -> None:
    data = {"job": job, "outcome": "success", "duration_s": None, "queue_s": None, "finished_at": "?"}
    stage.watch.committed(JOBS_STREAM, batch(record("job.state.changed.v1", data)), 0.02)
    assert stage.value("pe_jobs_finished_total", "prod", "none", "none", "success") == 1


def of_task(name: str, outcome: str | None = "success", **changes: Any) -> Record:
    end = ended(**changes)
    told = {**(end.data or {}), "job": {"id": 352, "name": name, "type": "task", "task": name}, "outcome": outcome}
    return msgspec.structs.replace(end, data=told)


def test_tasks_and_plans_are_counted_by_name_from_their_first_state_on(stage: Stage) -> None:
    plan = {"plan": msgspec.Raw(b'{"id":9,"name":"app::deploy"}'), "state": "running"}
    stage.watch.committed(JOBS_STREAM, batch(of_task("package", None)), 0.02)
    stage.watch.committed(PLANS_STREAM, batch(record("plan.state.changed.v1", plan, channel=PLANS)), 0.02)
    for outcome in catalogue.OUTCOMES:
        assert stage.value("pe_task_outcomes_total", "prod", "package", outcome) == 0
    for outcome in catalogue.PLAN_OUTCOMES:
        assert stage.value("pe_plan_outcomes_total", "prod", "app::deploy", outcome) == 0
    done = record("plan.state.changed.v1", plan | {"outcome": "failure"}, channel=PLANS)
    stage.watch.committed(PLANS_STREAM, batch(done, msgspec.structs.replace(done, replay=True)), 0.02)
    stage.watch.committed(JOBS_STREAM, batch(of_task("package", "failure"), of_task("package", replay=True)), 0.02)
    assert stage.value("pe_task_outcomes_total", "prod", "package", "failure") == 1
    assert stage.value("pe_task_outcomes_total", "prod", "package", "success") == 0
    assert stage.value("pe_plan_outcomes_total", "prod", "app::deploy", "failure") == 1
    assert stage.value("pe_plans_finished_total", "prod", "failure") == 1


def test_a_job_taken_over_opens_its_counters_at_zero(stage: Stage) -> None:
    """Its first states were counted by the worker that had it; its end must be a change here all the same."""
    job = RecentJob(352, "job", "package", "running", "dev", type="task", task="package")
    stage.carry(JOBS_STREAM, StreamView(running=(job,)))
    stage.carry(PLANS_STREAM, StreamView(running=(RecentJob(9, "plan", "app::deploy", "running"),)))
    assert stage.value("pe_jobs_finished_total", "prod", "task", "dev", "failure") == 0
    assert stage.value("pe_task_outcomes_total", "prod", "package", "failure") == 0
    assert stage.value("pe_plan_outcomes_total", "prod", "app::deploy", "failure") == 0


def test_only_what_is_counted_overflows() -> None:
    small = Stage(name_series=1)
    jobs = tuple(RecentJob(n, "job", f"t{n}", "running", "dev", type="task", task=f"t{n}") for n in range(5))
    small.carry(JOBS_STREAM, StreamView(running=jobs))
    for _ in range(3):
        assert small.value("orchbridge_series_overflow_total", "prod", "task") == 0
    small.watch.committed(JOBS_STREAM, batch(of_task("t4")), 0.02)
    assert small.value("orchbridge_series_overflow_total", "prod", "task") == 1


def test_names_have_a_budget_and_those_let_in_stay_in(stage: Stage) -> None:
    stage.watch.committed(JOBS_STREAM, batch(*(of_task(f"t{n}") for n in range(130))), 0.02)
    stage.watch.committed(JOBS_STREAM, batch(of_task("t0"), of_task("t129")), 0.02)
    assert stage.value("pe_task_outcomes_total", "prod", "t0", "success") == 2
    assert stage.value("pe_task_outcomes_total", "prod", "other", "success") == 31
    assert stage.value("orchbridge_series_overflow_total", "prod", "task") == 31
    small = Stage(name_series=2)
    small.watch.committed(JOBS_STREAM, batch(*(of_task(f"t{n}") for n in range(5))), 0.02)
    assert small.value("pe_task_outcomes_total", "prod", "other", "success") == 3


def test_types_and_environments_share_a_budget(stage: Stage) -> None:
    ends = [ended(type_=type_, environment=f"e{n}") for n in range(200) for type_ in catalogue.JOB_TYPES]
    stage.watch.committed(JOBS_STREAM, batch(*ends, *(ended(type_=f"new{n}") for n in range(50))), 0.02)
    series = stage.metrics.text("")[0].decode().count("\npe_jobs_finished_total{")
    assert series <= 3 * (100 + 3 * len(catalogue.JOB_TYPES) + 6)
    for type_ in catalogue.JOB_TYPES:
        known = sum(stage.value("pe_jobs_finished_total", "prod", type_, f"e{n}", "success") or 0 for n in range(200))
        assert known + (stage.value("pe_jobs_finished_total", "prod", type_, "other", "success") or 0) == 200


def test_brokers_have_a_budget_and_one_without_nodes_stays_as_zero(stage: Stage) -> None:
    many = {f"pcp://b{n:02}/server": 100 - n for n in range(60)}
    stage.carry(NODES_STREAM, StreamView(nodes_by_broker=many | {"": 7}, flapping=3))
    assert stage.value("pe_broker_nodes", "prod", "pcp://b49/server") == 51
    assert stage.value("pe_broker_nodes", "prod", "pcp://b50/server") is None
    assert stage.value("pe_broker_nodes", "prod", "other") == sum(100 - n for n in range(50, 60))
    assert stage.value("pe_broker_nodes", "prod", "none") == 7
    assert stage.value("orchbridge_series_overflow_total", "prod", "broker") == 10, "however often it is scraped"
    assert stage.value("pe_nodes_flapping", "prod") == 3
    stage.carry(NODES_STREAM, StreamView(nodes_by_broker={"pcp://b01/server": 5}))
    assert stage.value("pe_broker_nodes", "prod", "pcp://b00/server") == 0
    assert stage.value("pe_broker_nodes", "prod", "pcp://b01/server") == 5
    stage.watch.revoked(NODES_STREAM, "another worker joined")
    for name in ("pe_broker_nodes{", "pe_nodes_flapping{", "pe_node_connected{"):
        assert name not in stage.metrics.text("")[0].decode()


def test_nodes_by_name_go_when_they_are_gone(stage: Stage) -> None:
    stage.carry(NODES_STREAM, StreamView(tracked=10, named=(("a.test", True), ("b.test", False))))
    assert stage.value("pe_node_connected", "prod", "a.test") == 1
    assert stage.value("pe_node_connected", "prod", "b.test") == 0
    assert stage.value("orchbridge_series_overflow_total", "prod", "certname") == 8
    stage.carry(NODES_STREAM, StreamView(tracked=5, named=(("b.test", True),)))
    assert stage.value("pe_node_connected", "prod", "a.test") is None
    assert stage.value("pe_node_connected", "prod", "b.test") == 1
    assert stage.value("orchbridge_series_overflow_total", "prod", "certname") == 8, "a counter never goes back"


def test_when_secrets_end_is_told_where_it_is_known(stage: Stage) -> None:
    stage.carry(JOBS_STREAM)
    stage.carry(StreamId("lab", "jobs"))
    for name, at in {"token": START + 86_400, "certificate": START + 99}.items():
        assert stage.value(f"orchbridge_{name}_expiry_timestamp_seconds", "prod") == at
        assert stage.value(f"orchbridge_{name}_expiry_timestamp_seconds", "lab") is None
    stage.watch.revoked(JOBS_STREAM, "another worker joined")
    assert stage.value("orchbridge_certificate_expiry_timestamp_seconds", "prod") is None
    assert stage.value("orchbridge_token_expiry_timestamp_seconds", "prod") == START + 86_400, "it has its own token"


def test_a_scheduled_run_that_did_not_happen_is_a_line_and_stands_for_an_hour(stage: Stage) -> None:
    schedules = StreamId("prod", "schedules")
    error = msgspec.Raw(b'{"kind": "puppetlabs.orchestrator/unknown-environment", "msg": "hunter2"}')
    schedule = {"id": 31, "type": "task", "name": "package"}
    told = {"schedule": schedule, "planned_at": "2026-05-05T19:45:00Z", "reason": "submission_error", "error": error}
    missed = record("schedule.run.missed.v1", told, key="schedule/31")
    stage.watch.committed(schedules, batch(missed, msgspec.structs.replace(missed, replay=True)), 0.02)
    (line,) = [line for line in stage.lines if line["event"] == "schedule.missed"]
    assert (line["level"], line["schedule"], line["reason"]) == ("warning", 31, "submission_error")
    assert line["error"] == "puppetlabs.orchestrator/unknown-environment"
    assert "hunter2" not in repr(stage.lines)

    def runs() -> list[MissedRun]:
        return [run for stream in stage.watch.status().sources[0].streams for run in stream.missed]

    assert [(run.name, run.planned, run.at) for run in runs()] == [("package", "2026-05-05T19:45:00Z", START)]
    stage.clock.now += 3_600
    assert runs() == []


def test_answers_are_counted_by_what_they_hold(stage: Stage) -> None:
    stage.watch.read(JOBS_STREAM, 500)
    stage.watch.read(JOBS_STREAM, 1)
    assert stage.value("orchbridge_records_read_total", "prod", "jobs") == 501


def test_a_state_is_looked_at_once(stage: Stage) -> None:
    """A scrape must not sort ten thousand jobs that are as they were."""
    looks = []
    stage.watch._view = lambda _, state: looks.append(state) or StreamView(tracked=state)
    stage.watch.claimed(JOBS_STREAM, 1)
    stage.watch.lapped(JOBS_STREAM, batch(state=2), START)
    for _ in range(5):
        assert stage.value("orchbridge_jobs_tracked", "prod", "jobs") == 2
    assert looks == [1, 2]
    stage.watch.lapped(JOBS_STREAM, batch(state=3), START)
    assert stage.value("orchbridge_jobs_tracked", "prod", "jobs") == 3


def test_replays_are_records_but_no_facts(stage: Stage) -> None:
    again = [ended(replay=True), record("job.node.failed.v1", replay=True), record("job.summary.v1", replay=True)]
    stage.watch.committed(JOBS_STREAM, batch(*again), 0.02)
    assert stage.value("orchbridge_records_committed_total", "prod", "jobs", "jobs") == 2
    assert stage.value("pe_jobs_finished_total", "prod", "task", "production", "success") == 0
    assert stage.value("pe_node_results_total", "prod", "failed") == 0
    assert stage.value("orchbridge_jobs_incomplete_total", "prod") == 0
    assert 'source_to_commit_seconds_count{source="prod",stream="jobs"} 0.0' in stage.metrics.text("")[0].decode()


def test_node_results_leave_out_starts(stage: Stage) -> None:
    types = ["started", "finished", "finished", "failed", "errored", "skipped"]
    stage.watch.committed(JOBS_STREAM, batch(*(record(f"job.node.{type_}.v1") for type_ in types)), 0.02)
    assert [stage.value("pe_node_results_total", "prod", result) for result in catalogue.RESULTS] == [2, 1, 1, 1]
    assert stage.value("pe_node_results_total", "prod", "started") is None


def test_what_any_record_may_carry(stage: Stage) -> None:
    records = [
        record("job.node.failed.v1", {"late": True, "redacted": [".a", ".b"]}),
        record("job.document.v1", {"redacted": [".a"]}, channel=JOB_STATE),  # the same values once more
        record("quarantine.v1", {"stage": "normalize", "reason": "r"}, channel=QUARANTINE),
        record("bridge.notice.v1", {"kind": "gap"}, channel=NOTICES),
        record("bridge.notice.v1", {"kind": "source_reset"}, channel=NOTICES),
        record("job.summary.v1", {"complete": True}),
        record("job.summary.v1", {"complete": False, "job": {"id": 9}, "reasons": ["no job_finished event"]}),
    ]
    stage.watch.committed(JOBS_STREAM, batch(*records), 0.02)
    assert stage.value("orchbridge_late_events_total", "prod", "jobs") == 1
    assert stage.value("orchbridge_redacted_total", "prod") == 2
    assert stage.value("orchbridge_quarantined_total", "prod", "jobs", "normalize") == 1
    assert stage.value("orchbridge_notices_total", "prod", "jobs", "gap") == 1
    assert stage.value("orchbridge_gaps_total", "prod") == 1
    assert stage.value("orchbridge_resets_total", "prod") == 1
    assert stage.value("orchbridge_jobs_complete_total", "prod") == 1
    assert stage.value("orchbridge_jobs_incomplete_total", "prod") == 1
    incomplete = next(line for line in stage.lines if line["event"] == "job.incomplete")
    assert (incomplete["job"], incomplete["reasons"], incomplete["level"]) == (9, ["no job_finished event"], "warning")


def test_plans_and_nodes(stage: Stage) -> None:
    plan = record("plan.state.changed.v1", {"outcome": "failure"}, channel=PLANS)
    stage.watch.committed(PLANS_STREAM, batch(plan), 0.02)
    gone = [record(f"node.{to}.v1", channel=REACHABILITY) for to in ("connected", "disconnected", "disconnected")]
    tombstone = msgspec.structs.replace(record("node.document.v1", channel=NODE_STATE), data=None)
    stage.watch.committed(NODES_STREAM, batch(*gone, tombstone), 0.02)
    assert stage.value("pe_plans_finished_total", "prod", "failure") == 1
    assert stage.value("pe_node_transitions_total", "prod", "disconnected") == 2
    stage.carry(NODES_STREAM, StreamView(nodes_connected=98_000, nodes_disconnected=12))
    stage.clock.now += 45
    assert stage.value("pe_nodes", "prod", "true") == 98_000
    assert stage.value("pe_nodes", "prod", "false") == 12
    assert stage.value("pe_inventory_age_seconds", "prod") == 45


def test_the_inventory_is_as_old_as_the_last_list_that_was_believed(stage: Stage) -> None:
    stage.carry(NODES_STREAM, StreamView(nodes_connected=10, listed=START - 1))
    for _ in range(120):
        stage.clock.now += 30
        stage.watch.lapped(NODES_STREAM, batch(state=StreamView(nodes_connected=10, listed=START - 1)), stage.clock())
    assert stage.value("pe_inventory_age_seconds", "prod") == 3_601
    stage.watch.lapped(NODES_STREAM, batch(state=StreamView(listed=stage.clock() - 0.5)), stage.clock())
    assert stage.value("pe_inventory_age_seconds", "prod") == 0.5


@pytest.mark.parametrize(("kind", "label"), [("jobs-backfill", "jobs-backfill"), ("replay-7", "replay")])
def test_what_history_holds_that_cannot_be_understood_is_counted_with_its_own_stream(kind: str, label: str) -> None:
    stage = Stage(quiet=frozenset({"jobs-backfill"}))
    odd = record("quarantine.v1", {"stage": "normalize", "reason": "r"}, channel=QUARANTINE, replay=True)
    stage.watch.committed(StreamId("prod", kind), batch(odd, odd), 0.02)
    assert stage.value("orchbridge_quarantined_total", "prod", label, "normalize") == 2
    assert stage.value("orchbridge_quarantined_total", "prod", "jobs", "normalize") == 0


def test_delay_counts_live_records_only_and_no_documents(stage: Stage) -> None:
    stage.clock.now = START + 0.5
    live = [record("job.node.finished.v1"), record("job.node.finished.v1", time="not a time")]
    documents = [record("job.document.v1", channel=JOB_STATE)]
    stage.watch.committed(JOBS_STREAM, batch(*live, *documents), 0.02)
    text = stage.metrics.text("")[0].decode()
    assert 'orchbridge_source_to_commit_seconds_count{source="prod",stream="jobs"} 1.0' in text
    assert 'orchbridge_source_to_commit_seconds_sum{source="prod",stream="jobs"} 1.5' in text


def test_gauges_of_a_stream(stage: Stage) -> None:
    view = StreamView(position=412, source_position=415, tracked=3, oldest_running="2026-05-05T19:40:00Z")
    stage.carry(JOBS_STREAM, view)
    stage.clock.now += 7
    assert stage.value("orchbridge_cursor_position", "prod", "jobs") == 412
    assert stage.value("orchbridge_source_position", "prod", "jobs") == 415
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") == 7
    assert stage.value("pe_oldest_running_job_age_seconds", "prod") == 607
    assert stage.value("orchbridge_request_budget_left", "prod") == 41.5


def test_lag_grows_while_the_source_only_refuses(stage: Stage) -> None:
    stage.carry()
    for _ in range(10):
        stage.clock.now += 5
        stage.watch.lapped(JOBS_STREAM, batch(troubles=(("the list of jobs", TIMEOUT),)), stage.clock())
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") == 50


def test_one_sick_job_does_not_make_the_stream_lag(stage: Stage) -> None:
    stage.carry()
    stage.clock.now += 5
    stage.watch.lapped(JOBS_STREAM, batch(ended(), troubles=(("job 7", TIMEOUT),)), stage.clock())
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") == 0


def test_a_released_streams_gauges_go_and_its_counters_stay(stage: Stage) -> None:
    stage.watch.observed(Asked())
    stage.carry(JOBS_STREAM)
    stage.carry(PLANS_STREAM)
    stage.watch.committed(JOBS_STREAM, batch(ended()), 0.02)
    assert stage.value("orchbridge_stream_owned", "prod", "jobs") == 1
    stage.watch.released(JOBS_STREAM, "another owner")
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") is None
    assert stage.value("pe_jobs", "prod", "running") is None
    assert stage.value("orchbridge_stream_owned", "prod", "jobs") == 0
    assert stage.value("orchbridge_commits_total", "prod", "jobs") == 1
    assert stage.value("pe_up", "prod") == 1
    stage.watch.released(PLANS_STREAM, "another owner")
    assert stage.value("pe_up", "prod") is None


def test_replay_streams_share_a_label_and_leave_nothing(stage: Stage) -> None:
    for number in range(3):
        replay = StreamId("prod", f"replay-{number}")
        stage.carry(replay)
        stage.watch.committed(replay, batch(ended(replay=True)), 0.02)
        stage.watch.refresh()
        stage.watch.released(replay, "done")
    assert stage.value("orchbridge_commits_total", "prod", "replay") == 3
    assert "replay-" not in stage.metrics.text("")[0].decode()
    assert {stream.kind for stream in stage.watch.status().sources[0].streams} == {"jobs", "plans", "inventory"}


def words(stage: Stage) -> str:
    return next(stream.state for stream in stage.watch.status().sources[0].streams if stream.kind == "jobs")


def test_the_word_for_each_stretch_of_a_streams_life(stage: Stage) -> None:
    seen = [words(stage)]
    steps: list[Callable[[], None]] = [
        lambda: stage.watch.claimed(JOBS_STREAM, StreamView()),
        lambda: stage.watch.lapped(JOBS_STREAM, batch(), START),
        lambda: stage.watch.stumbled(JOBS_STREAM, LOST, 0.5),
        lambda: stage.watch.claimed(JOBS_STREAM, StreamView()),
        lambda: stage.watch.lapped(JOBS_STREAM, batch(), START),
        lambda: stage.watch.parked(JOBS_STREAM, Denied("the token was revoked", hint="write a new one")),
        lambda: stage.watch.resumed(JOBS_STREAM),
        lambda: stage.watch.released(JOBS_STREAM, "stop"),
    ]
    for step in steps:
        step()
        seen.append(words(stage))
    assert seen == [
        "standby", "starting", "live", "stumbling", "stumbling", "live", "parked", "starting", "fenced",
    ]  # fmt: skip


def test_stumbles_are_told_once_a_minute_with_a_count_and_recovery_once(stage: Stage) -> None:
    for _ in range(130):
        stage.watch.stumbled(JOBS_STREAM, LOST, 0.5)
        stage.clock.now += 1
    told = [line for line in stage.lines if line["event"] == "stream.stumbled"]
    assert [line["unsaid"] for line in told] == [0, 59, 59]
    assert (told[0]["error"], told[0]["hint"]) == ("commit of prod/jobs timed out", "look at the broker")
    assert stage.value("orchbridge_stumbles_total", "prod", "jobs") == 130
    for _ in range(3):
        stage.carry()
    assert stage.events("stream.recovered") == ["stream.recovered"]


def test_troubles_are_told_by_kind_and_their_end_once_they_stay_away(stage: Stage) -> None:
    stage.carry()
    for _ in range(30):
        stage.watch.troubled(JOBS_STREAM, "job 7", TIMEOUT)
        stage.watch.troubled(JOBS_STREAM, "job 8", Trouble("server", "503", status=503))
        stage.clock.now += 1
        stage.watch.lapped(JOBS_STREAM, batch(), stage.clock())
    assert stage.events("page.refused") == ["page.refused", "page.refused"]
    assert stage.events("page.recovered") == []
    stage.clock.now += 60
    for _ in range(2):
        stage.watch.lapped(JOBS_STREAM, batch(), stage.clock())
    assert [line["kind"] for line in stage.lines if line["event"] == "page.recovered"] == ["timeout", "server"]
    assert stage.value("orchbridge_troubles_total", "prod", "jobs", "timeout") == 30


def test_parking_is_an_error_line_with_what_to_do(stage: Stage) -> None:
    refusal = Denied("prod: the token has expired", hint="write a new token into token_file")
    stage.watch.parked(JOBS_STREAM, refusal)
    stage.watch.resumed(JOBS_STREAM)
    stage.watch.parked(JOBS_STREAM, refusal)
    parked = [line for line in stage.lines if line["event"] == "stream.parked"]
    assert [(line["level"], line["hint"]) for line in parked] == [("error", "write a new token into token_file")]
    assert stage.value("orchbridge_stream_parked", "prod", "jobs") == 1


@pytest.mark.parametrize("code", ["200", "unreachable"])
def test_a_worker_that_asks_nothing_says_nothing_of_the_source(stage: Stage, code: str) -> None:
    """Neither good, which would hide the outage another worker sees, nor bad, which would outlast it."""
    stage.carry()
    stage.watch.observed(Asked(code))
    up = float(code == "200")
    assert stage.value("pe_up", "prod") == up
    stage.clock.now += 60
    assert stage.value("pe_up", "prod") == up
    stage.watch.parked(JOBS_STREAM, Denied("no such topic", hint="make it"))
    assert stage.value("pe_up", "prod") is None, "nothing is asked for a parked stream"
    stage.watch.resumed(JOBS_STREAM)
    assert stage.value("pe_up", "prod") == up
    stage.watch.stumbled(JOBS_STREAM, LOST, 1.0)
    stage.clock.now += 300
    assert stage.watch.status().sources[0].up is None
    assert stage.value("pe_up", "prod") is None, "without the sink nothing is asked"
    stage.watch.observed(Asked(code))
    assert stage.value("pe_up", "prod") == up


def test_a_server_that_asks_to_be_left_alone_for_five_minutes_is_down_all_the_while(stage: Stage) -> None:
    stage.carry()
    stage.watch.observed(Asked("503"))
    stage.clock.now += 300
    assert stage.value("pe_up", "prod") == 0


def test_a_source_that_is_looked_at_every_ten_minutes_is_up_in_between() -> None:
    pulse = Pulse()
    pulse.beat(START, good=True)
    assert pulse.up(START + 600) is None
    assert pulse.up(START + 600, patience_s=1_800) is True


def test_a_worker_with_nothing_but_a_done_backfill_says_nothing_of_the_source() -> None:
    stage = Stage(quiet=frozenset({"jobs-backfill"}))
    backfill, view = StreamId("prod", "jobs-backfill"), StreamView(progress=Progress(5, 5, over=True))
    stage.watch.observed(Asked())
    stage.watch.claimed(backfill, view)
    stage.watch.committed(backfill, batch(ended(), state=view), 0.1)
    stage.watch.lapped(backfill, batch(state=view), stage.clock())
    assert stage.value("pe_up", "prod") == 1
    stage.watch.finished(backfill, view)
    assert stage.value("pe_up", "prod") is None
    assert stage.value("orchbridge_backfill_done", "prod", "jobs-backfill") == 5


def test_a_source_is_up_until_it_stops_answering_altogether(stage: Stage) -> None:
    stage.carry()
    stage.watch.observed(Asked())
    stage.watch.observed(Asked("500", endpoint="/inventory"))
    assert stage.value("pe_up", "prod") == 1
    for _ in range(40):
        stage.clock.now += 1
        stage.watch.observed(Asked("unreachable"))
    assert stage.value("pe_up", "prod") == 0
    stage.watch.observed(Asked())
    assert stage.value("pe_up", "prod") == 1
    assert stage.events("source.lost", "source.recovered") == ["source.lost", "source.recovered"]
    assert stage.value("orchbridge_requests_total", "prod", "/jobs", "unreachable") == 40


def test_the_request_rate_is_over_a_minute(stage: Stage) -> None:
    for _ in range(120):
        stage.watch.observed(Asked())
        stage.clock.now += 0.5
    assert stage.watch.status().sources[0].requests_per_s == pytest.approx(2.0, abs=0.05)
    stage.clock.now += 61
    assert stage.watch.status().sources[0].requests_per_s == 0


def test_what_the_sink_sets_aside_is_counted_and_told(stage: Stage) -> None:
    for _ in range(5):
        stage.watch.quarantined(JOBS_STREAM, "publish", "record is larger than the topic takes")
    assert stage.value("orchbridge_quarantined_total", "prod", "jobs", "publish") == 5
    assert stage.events("record.quarantined") == ["record.quarantined"]


def test_a_backlog_does_not_drown_the_log(stage: Stage) -> None:
    stage.watch.committed(JOBS_STREAM, batch(*(ended() for _ in range(500))), 0.02)
    assert len(stage.events("job.finished")) == 20
    text = stage.metrics.text("")[0].decode()
    finished = next(f for f in parser.text_string_to_metric_families(text) if f.name == "pe_jobs_finished")
    assert sum(sample.value for sample in finished.samples) == 500
