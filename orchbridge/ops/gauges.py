"""The metrics that mirror a state: set from the status at every scrape, gone with the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from orchbridge.core import times
from orchbridge.core.view import StreamView
from orchbridge.ops import catalogue
from orchbridge.ops.account import Where, where
from orchbridge.ops.bounds import OTHER, Bounds, clean
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.status import IDLE, SILENT, SourceStatus, StreamStatus

_OF_STREAM = (
    "orchbridge_lag_seconds",
    "orchbridge_last_lap_timestamp_seconds",
    "orchbridge_last_commit_timestamp_seconds",
    "orchbridge_cursor_position",
    "orchbridge_source_position",
    "orchbridge_jobs_tracked",
    "orchbridge_jobs_behind",
    "orchbridge_backfill_size",
    "orchbridge_backfill_done",
    "orchbridge_backfill_skipped",
)
_OF_KIND = {
    "jobs": ("pe_jobs", "pe_oldest_running_job_age_seconds", "pe_failed_job_nodes"),
    "plans": ("pe_plans",),
    "inventory": (
        "pe_nodes",
        "pe_broker_nodes",
        "pe_nodes_flapping",
        "pe_node_connected",
        "pe_inventory_age_seconds",
    ),
    "schedules": ("pe_scheduled_jobs",),
}
_CERTIFICATE = "orchbridge_certificate_expiry_timestamp_seconds"
# A worker has a token whatever it carries: one that stands by needs it on the day it takes over.
_TOKEN = {
    "orchbridge_token_expiry_timestamp_seconds": "token_expires",
    "orchbridge_token_renewal_due_timestamp_seconds": "token_renewal",
}
_OF_SOURCE = ("pe_up", "orchbridge_request_budget_left", _CERTIFICATE)


class Gauges:
    """Sets and drops them; counters of what is configured are exported as zero from the start."""

    def __init__(self, metrics: Metrics, bounds: Bounds) -> None:
        self._metrics = metrics
        self._bounds = bounds

    def zeros(self, source: str, kinds: Iterable[str]) -> None:
        """Export what can be known before anything happens, so that an alert sees the first change."""
        add = self._metrics.add
        for result in catalogue.RESULTS:
            add("pe_node_results_total", source, result, by=0)
        for to in catalogue.TRANSITIONS:
            add("pe_node_transitions_total", source, to, by=0)
        for outcome in catalogue.PLAN_OUTCOMES:
            add("pe_plans_finished_total", source, outcome, by=0)
        for type_ in catalogue.JOB_TYPES:
            for outcome in catalogue.OUTCOMES:
                add("pe_jobs_finished_total", source, type_, catalogue.ENVIRONMENT, outcome, by=0)
        for metric in catalogue.CATALOGUE:
            if metric.kind == "counter" and metric.labels == ("source",):
                add(metric.name, source, by=0)
        for label in ("environment", "task", "plan", "broker", "certname"):
            add("orchbridge_series_overflow_total", source, label, by=0)
        for kind in kinds:
            self._stream_zeros(source, kind)

    def _stream_zeros(self, source: str, kind: str) -> None:
        if kind.startswith(catalogue.ACTIVITY):
            self._metrics.add("pe_activity_total", source, kind.removeprefix(catalogue.ACTIVITY), by=0)
        for reason in catalogue.MISSED if kind == "schedules" else ():
            self._metrics.add("pe_scheduled_runs_missed_total", source, reason, by=0)
        for to in catalogue.SCHEDULE_CHANGES if kind == "schedules" else ():
            self._metrics.add("pe_schedule_changes_total", source, to, by=0)
        for name in ("orchbridge_stream_owned", "orchbridge_stream_parked"):
            self._metrics.set(name, source, kind, to=0)
        for metric in catalogue.CATALOGUE:
            if metric.labels == ("source", "stream") and metric.kind == "counter":
                self._metrics.add(metric.name, source, kind, by=0)
            if metric.labels == ("source", "stream") and metric.kind == "histogram":
                self._metrics.observe(metric.name, source, kind, value=0, times=0)
        known = {
            "orchbridge_records_committed_total": catalogue.channels(kind),
            "orchbridge_quarantined_total": catalogue.STAGES,
            "orchbridge_notices_total": catalogue.NOTICES,
            "orchbridge_troubles_total": catalogue.TROUBLES,
        }
        for name, values in known.items():
            for value in values:
                self._metrics.add(name, source, kind, value, by=0)

    def source(self, source: SourceStatus, now: float) -> None:
        """Set everything about one source; only what this worker carries, the rest is another's to tell."""
        mine = [stream for stream in source.streams if stream.state not in IDLE]
        for stream in mine:
            self._stream(where(source.name, stream.kind), stream, now)
        self._metrics.forget("pe_up", source.name)  # an old answer hides an outage that others see, or its end
        if source.up is not None and any(stream.state not in SILENT for stream in mine):
            self._metrics.set("pe_up", source.name, to=float(source.up))
        if mine and source.budget_left is not None:
            self._metrics.set("orchbridge_request_budget_left", source.name, to=source.budget_left)

        self._moment(_CERTIFICATE, source.name, source.certificate_expires if mine else None)
        for name, field in _TOKEN.items():
            self._moment(name, source.name, getattr(source, field))
        self._metrics.forget("pe_failed_job_nodes", source.name)
        for job in source.failures:
            if job.kind == "job":
                labels = (source.name, str(job.id), job.type or "", job.name, job.environment or "", job.url or "")
                self._metrics.set("pe_failed_job_nodes", *labels, to=job.failed_nodes)

    def _moment(self, name: str, source: str, moment: float | None) -> None:
        self._metrics.forget(name, source)
        if moment is not None:
            self._metrics.set(name, source, to=moment)

    def _stream(self, labels: Where, stream: StreamStatus, now: float) -> None:
        put, view = self._metrics.set, stream.view
        put("orchbridge_lag_seconds", *labels, to=stream.lapsed_s(now) or 0.0)
        if stream.last_lap is not None:
            put("orchbridge_last_lap_timestamp_seconds", *labels, to=stream.last_lap)
        if stream.last_commit is not None:
            put("orchbridge_last_commit_timestamp_seconds", *labels, to=stream.last_commit)
        put("orchbridge_cursor_position", *labels, to=view.position)
        put("orchbridge_source_position", *labels, to=view.source_position)
        put("orchbridge_jobs_tracked", *labels, to=view.tracked)
        put("orchbridge_jobs_behind", *labels, to=view.behind)
        if view.progress is not None:
            put("orchbridge_backfill_size", *labels, to=view.progress.total)
            put("orchbridge_backfill_done", *labels, to=view.progress.done)
            put("orchbridge_backfill_skipped", *labels, to=view.progress.skipped)
        if stream.last_lap is None:
            return  # what the sink remembers may be old; facts about PE wait for its first answer
        if labels.stream == "jobs":
            self._by_state("pe_jobs", labels.source, catalogue.JOB_STATES, view.jobs_by_state)
            put("pe_oldest_running_job_age_seconds", labels.source, to=_age(view.oldest_running, now))
        elif labels.stream == "plans":
            self._by_state("pe_plans", labels.source, catalogue.PLAN_STATES, view.jobs_by_state)
        elif labels.stream == "schedules":
            self._by_type(labels.source, view.schedules)
        elif labels.stream == "inventory":
            put("pe_nodes", labels.source, "true", to=view.nodes_connected)
            put("pe_nodes", labels.source, "false", to=view.nodes_disconnected)
            put("pe_nodes_flapping", labels.source, to=view.flapping)
            known = view.listed or stream.since or stream.last_lap  # a lap whose list is not believed makes nothing new
            put("pe_inventory_age_seconds", labels.source, to=max(0.0, now - known))
            self._brokers(labels.source, view.nodes_by_broker)
            self._named(labels.source, view)

    def _brokers(self, source: str, brokers: Mapping[str, int]) -> None:
        """The largest come first into the budget; one that lost all its nodes stays, with 0."""
        counts: Counter[str] = Counter()
        for broker, count in sorted(brokers.items(), key=lambda item: -item[1]):
            counts[self._bounds(source, "broker", broker, counts=False)] += count
        self._metrics.level("pe_broker_nodes", source, to=0)
        for label, count in counts.items():
            self._metrics.set("pe_broker_nodes", source, label, to=count)
        beyond = len(brokers) - len(counts) + (OTHER in counts)
        self._metrics.raised("orchbridge_series_overflow_total", source, "broker", to=beyond)

    def _named(self, source: str, view: StreamView) -> None:
        """Each node by name, where that was asked for; those beyond the limit count as overflow."""
        if not view.named:
            return
        self._metrics.forget("pe_node_connected", source)
        for name, connected in view.named:
            self._metrics.set("pe_node_connected", source, clean(name, 300), to=connected)
        self._metrics.raised("orchbridge_series_overflow_total", source, "certname", to=view.tracked - len(view.named))

    def _by_type(self, source: str, counts: Mapping[str, int]) -> None:
        """Types that PE adds one day are counted together."""
        known = catalogue.SCHEDULE_TYPES
        for type_ in known:
            self._metrics.set("pe_scheduled_jobs", source, type_, to=counts.get(type_, 0))
        self._metrics.set("pe_scheduled_jobs", source, OTHER, to=sum(n for t, n in counts.items() if t not in known))

    def _by_state(self, name: str, source: str, known: tuple[str, ...], counts: dict[str, int]) -> None:
        """States that PE adds one day are counted together, so that they cannot become series without end."""
        for state in known:
            self._metrics.set(name, source, state, to=counts.get(state, 0))
        self._metrics.set(name, source, "other", to=sum(n for state, n in counts.items() if state not in known))

    def forget(self, labels: Where, *, alone: bool) -> None:
        """Drop the gauges of a released stream; with `alone` those of its source too."""
        for name in _OF_STREAM:
            self._metrics.forget(name, *labels)
        for name in _OF_KIND.get(labels.stream, ()):
            self._metrics.forget(name, labels.source)
        if labels.stream == "inventory":
            self._bounds.forget(labels.source, "broker")
        for name in _OF_SOURCE if alone else ():
            self._metrics.forget(name, labels.source)
        self._metrics.set("orchbridge_stream_owned", *labels, to=0)
        self._metrics.set("orchbridge_stream_parked", *labels, to=0)


def _age(text: str | None, now: float) -> float:
    """Return seconds since an RFC 3339 time, 0 where there is none."""
    moment = times.seconds(text)
    return 0.0 if moment is None else max(0.0, now - moment)
