"""What a committed batch means for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from orchbridge.core import times
from orchbridge.core.records import COMPACTED, HEARTBEAT, QUARANTINE, Record
from orchbridge.core.view import RecentJob
from orchbridge.ops.bounds import Bounds
from orchbridge.ops.catalogue import OUTCOMES, PLAN_OUTCOMES
from orchbridge.ops.metrics import Metrics, Seen

NOT_PE = COMPACTED | {HEARTBEAT}  # neither says when something happened at PE

_NODE_RESULTS = {f"job.node.{result}.v1": result for result in ("finished", "failed", "errored", "skipped")}
_TRANSITIONS = {f"node.{to}.v1": to for to in ("connected", "disconnected", "removed")}
_SCHEDULES = {f"schedule.{to}.v1": to for to in ("created", "changed", "disabled", "removed")}
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


class Account:
    """Counts committed records; what reads history counts as records, set aside or not, and never as facts."""

    def __init__(self, metrics: Metrics, bounds: Bounds) -> None:
        self._metrics = metrics
        self._bounds = bounds
        self._facts: dict[str, Callable[[Where, Mapping[str, Any], float], None]] = {
            "job.state.changed.v1": self._job_state,
            "job.summary.v1": self._certificate,
            "plan.state.changed.v1": self._plan_state,
            "bridge.notice.v1": self._notice,
            "schedule.run.missed.v1": self._missed,
            "audit.activity.v1": self._activity,
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
            elif type_ in _SCHEDULES:
                metrics.add("pe_schedule_changes_total", where.source, _SCHEDULES[type_], by=count)
        self._marks(where, live)
        for record in records:
            if record.channel == QUARANTINE and record.data is not None:  # of history too: it is set aside only now
                self.quarantined(where, record.data.get("stage"))
        for record in live:
            fact = self._facts.get(record.type)
            if fact is not None and record.data is not None:
                fact(where, record.data, now)

    def _marks(self, where: Where, records: list[Record]) -> None:
        """Count what any record may carry: lateness, hidden values."""
        late = redacted = 0
        for record in records:
            data = record.data
            if data is None or record.channel in COMPACTED:
                continue
            late += "late" in data and bool(data["late"])
            if "redacted" in data:
                redacted += len(data["redacted"])
        self._metrics.add("orchbridge_late_events_total", *where, by=late)
        self._metrics.add("orchbridge_redacted_total", where.source, by=redacted)

    def quarantined(self, where: Where, stage: object) -> None:
        """Count a record set aside."""
        label = self._bounds(where.source, "stage", stage)
        self._metrics.add("orchbridge_quarantined_total", *where, label)

    def troubled(self, where: Where, kind: str) -> None:
        """Count a failed answer."""
        self._metrics.add("orchbridge_troubles_total", *where, self._bounds(where.source, "kind", kind))

    def opened(self, source: str, job: RecentJob) -> None:
        """Export the counters of a job or plan that runs, though its states were another worker's to tell so far."""
        if job.kind == "plan":
            self._plan(source, job.name, None)
        else:
            self._job(source, About(job.id, job.name, job.type, job.environment, job.task), None, None)

    def _job_state(self, where: Where, data: Mapping[str, Any], now: float) -> None:
        """Count a job's end; from its first state on its series are there, so that the end is seen as a change."""
        metrics, source, job, outcome = self._metrics, where.source, about(data), data.get("outcome")
        seen = _seen(job, now)
        type_ = self._job(source, job, outcome, seen)
        for name, key in (("pe_job_duration_seconds", "duration_s"), ("pe_job_queue_seconds", "queue_s")):
            seconds = data.get(key)
            if outcome is not None and isinstance(seconds, int | float):
                metrics.observe(name, source, type_, value=max(0.0, seconds), seen=seen)
        finished = times.seconds(data.get("finished_at")) if outcome == "success" else None
        if finished is not None:
            name = "pe_job_last_success_timestamp_seconds"
            newest = max(finished, metrics.value(name, source, type_) or 0.0)
            metrics.set(name, source, type_, to=newest)

    def _job(self, source: str, job: About, outcome: object, seen: Seen | None) -> str:
        """Count an outcome, None for none yet; return the job's type as a label."""
        metrics, bounds, counts = self._metrics, self._bounds, outcome is not None
        type_ = bounds(source, "type", job.type, counts=counts)
        environment = bounds.environment(source, type_, job.environment, counts=counts)
        task = bounds(source, "task", job.task, counts=counts) if job.task else None
        for each in OUTCOMES:
            ended = each == outcome
            metrics.add("pe_jobs_finished_total", source, type_, environment, each, by=ended, seen=seen)
            if task is not None:
                metrics.add("pe_task_outcomes_total", source, task, each, by=ended)
        for name in ("pe_job_duration_seconds", "pe_job_queue_seconds"):
            metrics.observe(name, source, type_, value=0.0, times=0)
        return type_

    def _certificate(self, where: Where, data: Mapping[str, Any], now: float) -> None:
        whole = "complete" if data.get("complete") else "incomplete"
        self._metrics.add(f"orchbridge_jobs_{whole}_total", where.source, seen=_seen(about(data), now))

    def _plan_state(self, where: Where, data: Mapping[str, Any], now: float) -> None:  # noqa: ARG002
        self._plan(where.source, about(data, "plan").name, data.get("outcome"))

    def _plan(self, source: str, name: str | None, outcome: object) -> None:
        label = self._bounds(source, "plan", name, counts=outcome is not None)
        for each in PLAN_OUTCOMES:
            self._metrics.add("pe_plans_finished_total", source, each, by=each == outcome)
            self._metrics.add("pe_plan_outcomes_total", source, label, each, by=each == outcome)

    def _missed(self, where: Where, data: Mapping[str, Any], now: float) -> None:  # noqa: ARG002
        reason = self._bounds(where.source, "missed", data.get("reason"))
        self._metrics.add("pe_scheduled_runs_missed_total", where.source, reason)

    def _activity(self, where: Where, data: Mapping[str, Any], now: float) -> None:  # noqa: ARG002
        service = self._bounds(where.source, "area", data.get("service"))
        self._metrics.add("pe_activity_total", where.source, service)

    def _notice(self, where: Where, data: Mapping[str, Any], now: float) -> None:  # noqa: ARG002
        kind = self._bounds(where.source, "notice", data.get("kind"))
        self._metrics.add("orchbridge_notices_total", *where, kind)
        if kind in _NOTICE_COUNTERS:
            self._metrics.add(_NOTICE_COUNTERS[kind], where.source)


def _seen(job: About, now: float) -> Seen | None:
    return Seen(str(job.id), now) if job.id else None


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
