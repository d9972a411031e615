"""What a committed batch means for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from orchbridge.core import times
from orchbridge.core.records import COMPACTED, HEARTBEAT, QUARANTINE, Record
from orchbridge.ops.catalogue import OUTCOMES, PLAN_OUTCOMES
from orchbridge.ops.metrics import Metrics

NOT_PE = COMPACTED | {HEARTBEAT}  # neither says when something happened at PE
VALUES_MAX = 100  # of one label of one source; the rest is "other"

_NODE_RESULTS = {f"job.node.{result}.v1": result for result in ("finished", "failed", "errored", "skipped")}
_TRANSITIONS = {f"node.{to}.v1": to for to in ("connected", "disconnected", "removed")}
_NOTICE_COUNTERS = {"gap": "orchbridge_gaps_total", "source_reset": "orchbridge_resets_total"}


class About(msgspec.Struct, frozen=True):
    """What we count jobs and plans by, and call them."""

    id: int = 0
    name: str | None = None
    type: str | None = None
    environment: str | None = None
    task: str | None = None
    url: str | None = None


class Where(NamedTuple):
    """The labels every count of a batch shares."""

    source: str
    stream: str


def where(source: str, kind: str) -> Where:
    """Return the labels of a stream; replays come and go under names of their own and share one label."""
    return Where(source, "replay" if kind.startswith("replay") else kind)


class Bounds:
    """Keeps labels whose values others choose from growing without end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[tuple[str, str], set[str]] = {}

    def __call__(self, source: str, label: str, value: str | None) -> str:
        """Return the value, or "other" where this label of this source has had too many."""
        if not isinstance(value, str) or not value:
            return "none"
        known = self._known.setdefault((source, label), set())
        if value in known:
            return value
        if len(known) < VALUES_MAX and len(value) <= 200:
            known.add(value)
            return value
        self._metrics.add("orchbridge_series_overflow_total", source, label)
        return "other"


class Account:
    """Counts committed records; what a replay delivers again counts as records, not as facts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._bounds = Bounds(metrics)
        self._facts: dict[str, Callable[[Where, Mapping[str, Any]], None]] = {
            "job.state.changed.v1": self._job_state,
            "job.summary.v1": self._certificate,
            "plan.state.changed.v1": self._plan_state,
            "bridge.notice.v1": self._notice,
        }

    def committed(self, where: Where, records: tuple[Record, ...], now: float) -> None:
        """Count a batch's records; `now` (Unix seconds) is when it was committed."""
        metrics = self._metrics
        for channel, count in Counter(record.channel for record in records).items():
            metrics.add("orchbridge_records_committed_total", *where, channel, by=count)
        live = [record for record in records if not record.replay]
        for time, count in Counter(record.time for record in live if record.channel not in NOT_PE).items():
            moment = times.seconds(time)
            if moment is not None:
                delay = max(0.0, now - moment)
                metrics.observe("orchbridge_source_to_commit_seconds", *where, value=delay, times=count)
        for type_, count in Counter(record.type for record in live).items():
            if type_ in _NODE_RESULTS:
                metrics.add("pe_node_results_total", where.source, _NODE_RESULTS[type_], by=count)
            elif type_ in _TRANSITIONS:
                metrics.add("pe_node_transitions_total", where.source, _TRANSITIONS[type_], by=count)
        self._marks(where, live)
        for record in live:
            fact = self._facts.get(record.type)
            if fact is not None and record.data is not None:
                fact(where, record.data)

    def _marks(self, where: Where, records: list[Record]) -> None:
        """Count what any record may carry: lateness, hidden values, the stage it was set aside at."""
        late = redacted = 0
        for record in records:
            data = record.data
            if data is None or record.channel in COMPACTED:
                continue
            late += "late" in data and bool(data["late"])
            if "redacted" in data:
                redacted += len(data["redacted"])
            if record.channel == QUARANTINE:
                self.quarantined(where, data.get("stage"))
        self._metrics.add("orchbridge_late_events_total", *where, by=late)
        self._metrics.add("orchbridge_redacted_total", where.source, by=redacted)

    def quarantined(self, where: Where, stage: object) -> None:
        """Count a record set aside."""
        label = self._bounds(where.source, "stage", stage if isinstance(stage, str) else None)
        self._metrics.add("orchbridge_quarantined_total", *where, label)

    def troubled(self, where: Where, kind: str) -> None:
        """Count a failed answer."""
        self._metrics.add("orchbridge_troubles_total", *where, self._bounds(where.source, "kind", kind))

    def _job_state(self, where: Where, data: Mapping[str, Any]) -> None:
        job, source = about(data), where.source
        type_ = self._bounds(source, "type", job.type)
        environment = self._bounds(source, "environment", job.environment)
        for outcome in OUTCOMES:  # from the job's first state on, so that its end is seen as a change
            self._metrics.add("pe_jobs_finished_total", source, type_, environment, outcome, by=0)
        if data.get("outcome") is None:
            return
        outcome = self._bounds(source, "outcome", data["outcome"])
        self._metrics.add("pe_jobs_finished_total", source, type_, environment, outcome)
        for name, key in (("pe_job_duration_seconds", "duration_s"), ("pe_job_queue_seconds", "queue_s")):
            seconds = data.get(key)
            if isinstance(seconds, int | float):
                self._metrics.observe(name, source, type_, value=max(0.0, seconds))
        finished = times.seconds(data.get("finished_at")) if outcome == "success" else None
        if finished is not None:
            name = "pe_job_last_success_timestamp_seconds"
            newest = max(finished, self._metrics.value(name, source, type_) or 0.0)
            self._metrics.set(name, source, type_, to=newest)

    def _certificate(self, where: Where, data: Mapping[str, Any]) -> None:
        whole = "complete" if data.get("complete") else "incomplete"
        self._metrics.add(f"orchbridge_jobs_{whole}_total", where.source)

    def _plan_state(self, where: Where, data: Mapping[str, Any]) -> None:
        outcome = data.get("outcome")
        if outcome is not None:
            known = outcome if outcome in PLAN_OUTCOMES else self._bounds(where.source, "plan outcome", outcome)
            self._metrics.add("pe_plans_finished_total", where.source, known)

    def _notice(self, where: Where, data: Mapping[str, Any]) -> None:
        kind = self._bounds(where.source, "notice", data.get("kind"))
        self._metrics.add("orchbridge_notices_total", *where, kind)
        if kind in _NOTICE_COUNTERS:
            self._metrics.add(_NOTICE_COUNTERS[kind], where.source)


def about(data: Mapping[str, Any], kind: str = "job") -> About:
    """Return the job or plan object of a record, whether it is still raw JSON or not."""
    job = data.get(kind)
    try:
        if isinstance(job, msgspec.Raw):
            return msgspec.json.decode(job, type=About)
        return msgspec.convert(job, About)
    except msgspec.ValidationError:
        return About()


def finished_jobs(records: tuple[Record, ...]) -> Iterator[tuple[About, Mapping[str, Any]]]:
    """Yield (job, data) for every live record that says a job ended."""
    for record in records:
        if record.type == "job.state.changed.v1" and not record.replay and record.data and record.data.get("outcome"):
            yield about(record.data), record.data
