"""The catalogue keeps the conventions, the text can be read, and the docs are fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from orchbridge.core.ports import Share, StreamId
from orchbridge.core.view import StreamView
from orchbridge.core.window import Progress
from orchbridge.ops import metrics as ops_metrics
from orchbridge.ops.alarms import AlarmBook
from orchbridge.ops.catalogue import CATALOGUE, Metric
from orchbridge.ops.metrics import Metrics, page
from tests.ops.stage import JOBS_STREAM, NODES_STREAM, PLANS_STREAM, Asked, Stage, batch, ended

ACCEPT = "application/openmetrics-text; version=1.0.0"


TO_COME = {
    "pe_task_outcomes_total", "pe_plan_outcomes_total", "pe_failed_job_nodes", "pe_broker_nodes", "pe_nodes_flapping",
    "pe_node_connected", "orchbridge_jobs_behind", "orchbridge_token_expiry_timestamp_seconds",
    "orchbridge_certificate_expiry_timestamp_seconds",
}  # fmt: skip


def lively() -> Stage:
    """A worker that has seen something of everything."""
    stage = Stage()
    stage.carry(JOBS_STREAM)
    stage.carry(NODES_STREAM)
    stage.watch.observed(Asked())
    stage.watch.committed(JOBS_STREAM, batch(ended()), 0.02)
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
        "stage", "endpoint", "code", "label", "version", "task", "plan", "broker",
    }  # fmt: skip
    exceptions = {"pe_failed_job_nodes", "pe_node_connected"}
    assert {label for metric in CATALOGUE if metric.name not in exceptions for label in metric.labels} <= allowed
    text = lively().metrics.text("")[0].decode()
    assert "352" not in text


def test_no_label_collides_with_those_of_a_target() -> None:
    """Prometheus would rename ours to exported_job."""
    assert not {"job", "instance"} & {label for metric in CATALOGUE for label in metric.labels}


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


def test_every_metric_of_the_catalogue_is_reached() -> None:
    """A metric nobody sets is a promise nobody keeps."""
    stage = lively()
    stage.carry(PLANS_STREAM)
    stage.watch.shared(Share(frozenset({PLANS_STREAM}), "orchbridge", ("w1",), {PLANS_STREAM.name: "w1"}))
    stage.metrics.add("orchbridge_series_overflow_total", "prod", "environment")
    AlarmBook(stage.metrics)
    stage.watch.claimed(StreamId("prod", "jobs-backfill"), StreamView(progress=Progress(1, 2)))
    text = stage.metrics.text("")[0].decode()
    unset = {metric.name for metric in CATALOGUE if f"# TYPE {metric.name} " not in text}
    assert unset == TO_COME


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
    assert docs.read_text() == page(), "run: python -m orchbridge.ops.metrics > docs/metrics.md"
