"""Part of the jobs' dashboard: what is planned, what of it did not happen, and who did what in the console."""

from __future__ import annotations

from deploy.grafana.boards.model import Panel, Query
from deploy.grafana.boards.parts import (
    BAD,
    BLUE,
    OF_SOURCE,
    PER_MINUTE,
    in_range,
    once,
    per_minute,
    pick,
    runbook,
)  # fmt: skip

NO_STREAM = "no stream `schedules`"

PLANNED = (
    Panel(
        kind="bargauge",
        title="Scheduled runs that did not happen",
        description=(
            "In the time range: `submission_error`, PE tried when the time had come and refused; `no_run`, nothing ran "
            "in time. The `jobs` topic and the status page name the schedule."
        ),
        unit="none",
        queries=(
            Query(
                in_range(pick("pe_scheduled_runs_missed_total", OF_SOURCE), "reason") + " > 0",
                "{{reason}}",
                now=True,
            ),
        ),
        below=BAD,
        least=0,
        nothing="none is known",
        width=6,
        height=7,
        links=(runbook("PuppetScheduledRunMissed"),),
    ),
    Panel(
        kind="bargauge",
        title="Scheduled jobs",
        description=(
            "Scheduled jobs that PE lists and that are switched on, by what they run. One for once may "
            "stay after its time."
        ),
        unit="none",
        queries=(
            Query(
                f"sum by (type) ({once(pick('pe_scheduled_jobs', OF_SOURCE), 'source', 'type')}) > 0",
                "{{type}}",
                now=True,
            ),
        ),
        below=BLUE,
        least=0,
        nothing=NO_STREAM,
        width=6,
        height=7,
    ),
    Panel(
        kind="bargauge",
        title="Changes of schedules",
        description="Schedules that were created, changed, disabled or removed in the time range.",
        unit="none",
        queries=(Query(in_range(pick("pe_schedule_changes_total", OF_SOURCE), "to") + " > 0", "{{to}}", now=True),),
        below=BLUE,
        least=0,
        nothing="no change",
        width=6,
        height=7,
    ),
    Panel(
        kind="timeseries",
        title="Activity in the console",
        description=(
            "Entries of PE's activity log, a minute, by the service that wrote them. The `audit` topic says who did "
            "what."
        ),
        unit=PER_MINUTE,
        queries=(Query(per_minute(pick("pe_activity_total", OF_SOURCE), "area"), "{{area}}"),),
        stacked=True,
        least=0,
        nothing="no stream `activity`",
        width=6,
        height=7,
    ),
)
