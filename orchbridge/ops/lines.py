"""The log lines of what was committed."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from orchbridge.core.ports import StreamId
from orchbridge.core.records import WARN, Record
from orchbridge.ops.account import about, finished_jobs
from orchbridge.ops.missed import missed_runs

LINES_MAX = 20  # of one kind for one batch; a backlog would drown the log


def tell(log: FilteringBoundLogger, stream: StreamId, records: tuple[Record, ...]) -> None:
    """Write a line for what an operator looks for: jobs that ended, scheduled runs that did not happen,
    incomplete certificates, notices."""
    for job, data in list(finished_jobs(records))[-LINES_MAX:]:
        log.info(
            "job.finished",
            source=stream.source,
            job=job.id,
            name=job.name,
            outcome=data.get("outcome"),
            duration_s=data.get("duration_s"),
        )
    for run in missed_runs(records, 0.0)[-LINES_MAX:]:
        told = {"type": run.type, "name": run.name, "planned": run.planned, "reason": run.reason, "error": run.error}
        log.warning("schedule.missed", source=stream.source, schedule=run.schedule, **told)
    lines = [record for record in records if record.type in {"job.summary.v1", "bridge.notice.v1"}]
    for record in lines[-LINES_MAX:]:
        data = record.data or {}
        if record.type == "bridge.notice.v1":
            say = log.warning if record.severity >= WARN else log.info
            say(
                "notice.given",
                stream=stream.name,
                kind=data.get("kind"),
                subject=data.get("subject"),
                explanation=data.get("explanation"),
                hint=data.get("action"),
            )
        elif not data.get("complete"):
            log.warning("job.incomplete", source=stream.source, job=about(data).id, reasons=data.get("reasons"))
