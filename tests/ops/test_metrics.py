"""The catalogue keeps the conventions, the text can be read, and the docs are fresh."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from orchbridge.core.ports import Share, StreamId
from orchbridge.core.records import AUDIT, PLANS
from orchbridge.core.view import StreamView
from orchbridge.core.window import Progress
from orchbridge.ops import metrics as ops_metrics
from orchbridge.ops.alarms import AlarmBook
from orchbridge.ops.bounds import Bounds
from orchbridge.ops.catalogue import CATALOGUE, Metric
from orchbridge.ops.chores import Canary, Renewals
from orchbridge.ops.gauges import Gauges
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.reference import page
from tests.ops.stage import JOBS_STREAM, NODES_STREAM, PLANS_STREAM, START, Asked, Stage, batch, ended, record

ACCEPT = "application/openmetrics-text; version=1.0.0"


def lively() -> Stage:
    """A worker that has seen something of everything."""
    stage = Stage()
    stage.carry(JOBS_STREAM)
    stage.carry(NODES_STREAM, StreamView(nodes_by_broker={"pcp://a/server": 1}, named=(("a.test", True),), tracked=2))
    stage.watch.observed(Asked())
    incomplete = record("job.summary.v1", {"job": {"id": 17}, "complete": False})
    stage.watch.committed(JOBS_STREAM, batch(ended(outcome="failure"), ended(key="353"), incomplete), 0.02)
    return stage


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"(pe|orchbridge)_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created"))
    stem = metric.name.removesuffix("_total")
    assert stem.endswith(("_seconds", "_bytes")) == (metric.unit in {"seconds", "bytes"})
    assert metric.unit in {"", "seconds", "bytes"}
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help
    assert not metric.help.endswith(".")


def test_labels_have_few_values_but_for_two_that_have_limits_of_their_own() -> None:
    allowed = {
        "source", "stream", "type", "environment", "outcome", "state", "result", "connected", "to", "channel", "kind",
        "stage", "api", "code", "label", "version", "task", "plan", "broker", "area", "reason",
    }  # fmt: skip
    exceptions = {"pe_failed_job_nodes", "pe_node_connected"}
    assert {label for metric in CATALOGUE if metric.name not in exceptions for label in metric.labels} <= allowed
    lines = lively().metrics.text("")[0].decode().splitlines()
    assert [line.partition("{")[0] for line in lines if "352" in line] == ["pe_failed_job_nodes"]
    assert [line.partition("{")[0] for line in lines if "a.test" in line] == ["pe_node_connected"]


def test_no_label_collides_with_those_of_a_target() -> None:
    """Prometheus would rename ours to exported_job; its operator adds those of pods, services and monitors."""
    targets = {"job", "instance", "namespace", "pod", "service", "container", "endpoint", "node"}
    assert not targets & {label for metric in CATALOGUE for label in metric.labels}


def test_names_are_unique() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_the_text_parses_in_both_formats() -> None:
    stage = lively()
    text, content_type = stage.metrics.text("text/plain")
    families = {family.name: family for family in parser.text_string_to_metric_families(text.decode())}
    assert content_type.startswith("text/plain")
    assert families["pe_jobs_finished"].type == "counter"
    assert families["orchbridge_commit_seconds"].type == "histogram"
    text, content_type = stage.metrics.text(ACCEPT)
    strict = {family.name: family for family in openmetrics.text_string_to_metric_families(text.decode())}  # type: ignore[no-untyped-call]
    assert content_type.startswith("application/openmetrics-text")
    assert strict.keys() == families.keys()
    assert "_created" not in text.decode()


def test_exemplars_name_the_job_in_openmetrics_alone() -> None:
    stage = lively()
    strict = openmetrics.text_string_to_metric_families(stage.metrics.text(ACCEPT)[0].decode())  # type: ignore[no-untyped-call]
    found = {
        (sample.name, sample.labels.get("le")): sample.exemplar
        for family in strict
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert {name for name, _ in found} == {metric_sample(metric) for metric in CATALOGUE if metric.exemplars}
    assert found["pe_jobs_finished_total", None][:2] == ({"job_id": "352"}, 1.0)
    assert float(found["pe_jobs_finished_total", None].timestamp) == START
    assert found["pe_job_duration_seconds_bucket", "60.0"][:2] == ({"job_id": "352"}, 42.0)
    assert found["orchbridge_jobs_incomplete_total", None].labels == {"job_id": "17"}
    assert " # {" not in stage.metrics.text("text/plain")[0].decode()


def metric_sample(metric: Metric) -> str:
    return f"{metric.name}_bucket" if metric.kind == "histogram" else metric.name


@pytest.mark.parametrize("accept", ["text/plain", ACCEPT])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [("", False), ("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0, identity", False), ("br, zstd", False)],
)
def test_it_is_packed_for_those_who_ask(accept: str, coding: str, packed: bool) -> None:
    metrics = lively().metrics
    body, headers = metrics.answer(accept, coding)
    assert headers["content-type"] == metrics.text(accept)[1]
    assert headers.get("content-encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(body) if packed else body) == metrics.text(accept)[0]


@pytest.mark.parametrize("accept", ["text/plain", ACCEPT])
def test_no_text_from_outside_breaks_the_scrape(accept: str) -> None:
    hostile = ['a"b\\c\nd{}', "\ud800", "x" * 5000, "é€😀"]
    stage = Stage()
    stage.carry(JOBS_STREAM)
    for number, text in enumerate(hostile):
        job = {"id": 352 + number, "name": text, "task": text, "environment": text, "type": text, "url": text}
        end = record("job.state.changed.v1", {"job": job, "outcome": "failure", "duration_s": 1}, key=str(352 + number))
        stage.watch.committed(JOBS_STREAM, batch(end), 0.02)
    stage.carry(
        NODES_STREAM, StreamView(nodes_by_broker=dict.fromkeys(hostile, 1), named=tuple((t, True) for t in hostile))
    )
    parse = openmetrics.text_string_to_metric_families if accept == ACCEPT else parser.text_string_to_metric_families
    families = {family.name: family for family in parse(stage.metrics.text(accept)[0].decode())}
    tasks = {sample.labels["task"] for sample in families["pe_task_outcomes"].samples}
    assert tasks == {hostile[0], "é€😀", "other"}
    assert len(families["pe_failed_job_nodes"].samples) == len(hostile)


def test_every_metric_of_the_catalogue_is_reached() -> None:
    """A metric nobody sets is a promise nobody keeps."""
    stage = lively()
    stage.carry(PLANS_STREAM)
    stage.carry(StreamId("prod", "schedules"), StreamView(schedules={"task": 2}))
    missed = record("schedule.run.missed.v1", {"reason": "no_run"}, key="schedule/31")
    made = record("schedule.created.v1", {}, key="schedule/31")
    deed = record("audit.activity.v1", {"service": "rbac"}, key="rbac/1", channel=AUDIT)
    stage.watch.committed(StreamId("prod", "schedules"), batch(missed, made, deed), 0.02)
    plan = record("plan.state.changed.v1", {"plan": {"id": 7, "name": "app::deploy"}}, channel=PLANS)
    stage.watch.committed(PLANS_STREAM, batch(plan), 0.02)
    stage.watch.shared(Share(frozenset({PLANS_STREAM}), "orchbridge", ("w1",), {PLANS_STREAM.name: "w1"}))
    stage.metrics.add("orchbridge_series_overflow_total", "prod", "environment")
    AlarmBook(stage.metrics)
    Renewals(stage.metrics, "prod").tried("renewed")
    canary = Canary(stage.metrics, "prod", "facts", 900.0)
    canary.taken(START)
    canary.landed(3.5, START)
    stage.watch.claimed(StreamId("prod", "jobs-backfill"), StreamView(progress=Progress(1, 2)))
    text = stage.metrics.text("")[0].decode()
    assert [metric.name for metric in CATALOGUE if f"# TYPE {metric.name} " not in text] == []


def test_what_stays_of_a_stream_that_is_anothers_now_is_what_the_docs_say() -> None:
    stage = lively()
    stage.carry(PLANS_STREAM)
    stage.metrics.text("")
    for stream in (JOBS_STREAM, PLANS_STREAM, NODES_STREAM):
        stage.watch.revoked(stream, "w2 carries it now")
    gauges = {metric.name for metric in CATALOGUE if metric.kind == "gauge" and "source" in metric.labels}
    text = stage.metrics.text("")[0].decode()
    left = {line.partition("{")[0] for line in text.splitlines() if 'source="prod"' in line} & gauges
    bullet = page().partition("**What is gone goes.**")[2].partition("So `sum`")[0]
    assert left == set(re.findall(r"`(\w+)`", bullet))


def test_a_done_backfill_can_still_be_seen() -> None:
    stage = Stage(quiet=frozenset({"jobs-backfill"}))
    backfill, view = StreamId("prod", "jobs-backfill"), StreamView(progress=Progress(5, 5, over=True))
    stage.watch.claimed(backfill, view)
    stage.watch.committed(backfill, batch(ended(replay=True), state=view), 0.1)
    stage.watch.finished(backfill, view)
    assert stage.value("orchbridge_backfill_done", "prod", "jobs-backfill") == 5
    assert stage.value("orchbridge_stream_owned", "prod", "jobs-backfill") == 0


def test_schedules_and_activity_are_counted_from_zero_on() -> None:
    schedules, rbac = StreamId("prod", "schedules"), StreamId("prod", "activity-rbac")
    stage = Stage()
    value = stage.metrics.value
    assert value("pe_activity_total", "prod", "rbac") is None
    Gauges(stage.metrics, Bounds(stage.metrics)).zeros("prod", ["schedules", "activity-rbac"])
    assert value("pe_activity_total", "prod", "rbac") == 0
    assert [value("pe_scheduled_runs_missed_total", "prod", why) for why in ("no_run", "submission_error")] == [0, 0]
    assert value("pe_schedule_changes_total", "prod", "removed") == 0
    assert value("orchbridge_records_committed_total", "prod", "activity-rbac", "audit") == 0
    stage.carry(schedules, StreamView(schedules={"task": 2, "patch": 1}))
    missed = record("schedule.run.missed.v1", {"reason": "no_run"}, key="schedule/31")
    again = msgspec.structs.replace(missed, replay=True)
    stage.watch.committed(schedules, batch(missed, again), 0.02)
    deed = record("audit.activity.v1", {"service": "rbac"}, key="rbac/1", channel=AUDIT)
    stage.watch.committed(rbac, batch(deed), 0.02)
    stage.metrics.text("")
    assert value("pe_scheduled_runs_missed_total", "prod", "no_run") == 1
    assert value("pe_activity_total", "prod", "rbac") == 1
    assert [value("pe_scheduled_jobs", "prod", each) for each in ("task", "plan", "other")] == [2, 0, 1]
    stage.watch.revoked(schedules, "given away")
    assert value("pe_scheduled_jobs", "prod", "task") is None


def test_buckets_add_up() -> None:
    metrics = Metrics()
    for value in (0.005, 0.0051, 7.0, 99.0):
        metrics.observe("orchbridge_commit_seconds", "prod", "jobs", value=value)
    metrics.observe("orchbridge_commit_seconds", "prod", "jobs", value=1.0, times=3)
    families = parser.text_string_to_metric_families(metrics.text("")[0].decode())
    samples = {sample.labels.get("le", sample.name): sample.value for family in families for sample in family.samples}
    assert (samples["0.005"], samples["0.01"], samples["1.0"], samples["10.0"], samples["+Inf"]) == (1, 2, 5, 6, 7)
    assert samples["orchbridge_commit_seconds_count"] == 7
    assert samples["orchbridge_commit_seconds_sum"] == pytest.approx(109.0101)


def test_series_cannot_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_metrics, "SERIES_MAX", 3)
    metrics = Metrics()
    for code in range(10):
        metrics.add("orchbridge_requests_total", "prod", "/jobs", str(code))
    metrics.add("orchbridge_requests_total", "prod", "/jobs", "0")
    assert metrics.value("orchbridge_requests_total", "prod", "/jobs", "0") == 2
    assert metrics.value("orchbridge_requests_total", "prod", "/jobs", "9") is None
    assert metrics.value("orchbridge_series_overflow_total", "prod", "every label") == 7


def test_a_wrong_number_of_labels_is_a_bug() -> None:
    with pytest.raises(ValueError, match="takes 1 labels"):
        Metrics().add("orchbridge_gaps_total", "prod", "jobs")


def test_each_has_a_registry_of_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.add("orchbridge_gaps_total", "prod")
    assert second.value("orchbridge_gaps_total", "prod") is None


def test_the_docs_are_fresh() -> None:
    docs = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert docs.read_text() == page(), "run: make docs"
