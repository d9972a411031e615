"""Jobs and plans: what ran, how it ended, how long it took and how long it waited."""

from __future__ import annotations

from deploy.grafana.boards.jobs_planned import PLANNED
from deploy.grafana.boards.model import Board, Column, Limit, Matrix, Panel, Query, Row
from deploy.grafana.boards.parts import (
    BAD,
    ENVIRONMENT,
    GOOD,
    OF_SOURCE,
    OUTCOMES,
    PER_MINUTE,
    PERCENTILES,
    PINK,
    RESULTS,
    RUNBOOKS,
    SOURCE,
    STATES,
    STATUS_PAGE,
    WARN,
    born_in_range,
    buckets,
    in_range,
    once,
    per_minute,
    percentile,
    percentile_in_range,
    pick,
    runbook,
)  # fmt: skip

ENDED = pick("pe_jobs_finished_total", OF_SOURCE, 'environment=~"$environment"')
FAILED = pick("pe_jobs_finished_total", OF_SOURCE, 'environment=~"$environment"', 'outcome="failure"')
DURATION, QUEUE = (pick(f"pe_job_{what}_seconds", OF_SOURCE) for what in ("duration", "queue"))


def _matrix(title: str, label: str, head: str, counter: str, description: str) -> Panel:
    """Return a table with a line for each value of `label` and a column for each outcome."""
    return Panel(
        kind="table",
        title=title,
        description=description,
        unit="none",
        queries=(Query(born_in_range(counter, label, "outcome") + " > 0", now=True, shown="table"),),
        matrix=Matrix(label, "outcome"),
        columns=(
            Column(f"{label}\\outcome", head),
            Column("success", "success", limits=(Limit(1, GOOD),)),
            Column("failure", "failure", limits=(Limit(1, BAD),)),
            Column("stopped", "stopped", limits=(Limit(1, PINK),)),
        ),
        nothing="-",
        width=12,
        height=9,
    )


_NOW = (
    Panel(
        kind="timeseries",
        title="Unfinished jobs by state",
        description=(
            "New and ready jobs wait for the orchestrator, running ones for their nodes. A growing layer of ready "
            "means that more is started than the orchestrator's concurrency lets through."
        ),
        unit="none",
        queries=(Query(f"sum by (state) ({once(pick('pe_jobs', OF_SOURCE), 'source', 'state')})", "{{state}}"),),
        colours=STATES,
        stacked=True,
        least=0,
        nothing="unknown",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Unfinished plans by state",
        description="Pending plans wait for an interpreter; running ones for their jobs, or for a person.",
        unit="none",
        queries=(Query(f"sum by (state) ({once(pick('pe_plans', OF_SOURCE), 'source', 'state')})", "{{state}}"),),
        colours=STATES,
        stacked=True,
        least=0,
        nothing="unknown",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Age of the oldest unfinished job",
        description=(
            "A line that climbs at an angle of one second a second is one job that does not end: the status page "
            "names it."
        ),
        unit="s",
        queries=(Query(once(pick("pe_oldest_running_job_age_seconds", OF_SOURCE), "source"), "{{source}}"),),
        below=GOOD,
        limits=(Limit(3600, WARN), Limit(4 * 3600, BAD)),
        lines_at_limits=True,
        least=0,
        nothing="unknown",
        width=8,
        links=(STATUS_PAGE, runbook("PuppetJobStuck")),
    ),
)

_OUTCOMES = (
    Panel(
        kind="timeseries",
        title="Jobs ended by outcome",
        description="Jobs that ended, a minute. Failure means that at least one node failed, or that the job had none.",
        unit=PER_MINUTE,
        queries=(Query(per_minute(ENDED, "outcome"), "{{outcome}}"),),
        colours=OUTCOMES,
        stacked=True,
        least=0,
        nothing="no bridge",
    ),
    Panel(
        kind="timeseries",
        title="Share of jobs that failed",
        description="Failed by ended jobs, for each environment. Gaps are times in which no job ended.",
        unit="percentunit",
        queries=(
            Query(
                f"sum by (environment) (rate({FAILED}[$__rate_interval])) / "
                f"(sum by (environment) (rate({ENDED}[$__rate_interval])) > 0)",
                "{{environment}}",
            ),
        ),
        below=GOOD,
        limits=(Limit(0.05, WARN), Limit(0.25, BAD)),
        lines_at_limits=True,
        least=0,
        most=1,
        nothing="no job ended",
        links=(runbook("PuppetJobFailureRatioHigh"),),
    ),
    _matrix(
        "Outcomes by task",
        "task",
        "Task",
        pick("pe_task_outcomes_total", OF_SOURCE),
        "Jobs of the time range by task, those that plans started included. Beyond the budget of names (`name_series`) "
        "a task counts as `other`.",
    ),
    _matrix(
        "Outcomes by plan",
        "plan",
        "Plan",
        pick("pe_plan_outcomes_total", OF_SOURCE),
        "Plans of the time range that ended. Beyond the budget of names (`name_series`) a plan counts as `other`.",
    ),
    _matrix(
        "Outcomes by environment",
        "environment",
        "Environment",
        ENDED,
        "Jobs of the time range by Puppet environment: is one of them broken, or all?",
    ),
    _matrix(
        "Outcomes by type",
        "type",
        "Type",
        ENDED,
        "Jobs of the time range by type: deploy is a Puppet run, plan_* is what plans started.",
    ),
    Panel(
        kind="bargauge",
        title="Time since the last success",
        description=(
            "For each type of job, how long ago one ended well. A type that runs nightly should not get beyond a day."
        ),
        unit="s",
        queries=(
            Query(
                f"time() - max by (type) ({pick('pe_job_last_success_timestamp_seconds', OF_SOURCE)})",
                "{{type}}",
                now=True,
            ),
        ),
        below=GOOD,
        limits=(Limit(25 * 3600, WARN), Limit(7 * 24 * 3600, BAD)),
        least=0,
        decimals=0,
        nothing="no success since the bridge began",
        width=12,
        height=7,
    ),
    Panel(
        kind="bargauge",
        title="Plans ended",
        description="Plans of the time range that ended, by outcome.",
        unit="none",
        queries=(Query(in_range(pick("pe_plans_finished_total", OF_SOURCE), "outcome"), "{{outcome}}", now=True),),
        colours=OUTCOMES,
        least=0,
        nothing="no bridge",
        width=12,
        height=7,
    ),
)


def _percentiles(what: str, title: str, description: str, limits: tuple[Limit, ...]) -> Panel:
    return Panel(
        kind="timeseries",
        title=title,
        description=description,
        unit="s",
        queries=tuple(Query(percentile(share / 100, what), f"p{share}") for share in (50, 95, 99)),
        colours=PERCENTILES,
        below=GOOD,
        limits=limits,
        least=0,
        nothing="no job ended",
    )


def _heat(what: str, title: str, description: str) -> Panel:
    return Panel(
        kind="heatmap",
        title=title,
        description=description,
        unit="s",
        queries=(
            Query(
                f"sum by (le) (increase({buckets(what)}[$__rate_interval]))",
                "{{le}}",
                shown="heatmap",
                exemplars=True,
            ),
        ),
        nothing="no job ended",
    )


_TIMES = (
    _percentiles(
        DURATION,
        "How long jobs take",
        "Half, 95 and 99 of 100 jobs that ended were done within this time, from their creation on. Gaps are times in "
        "which none ended. Values lie within the histogram's buckets, so they are estimates.",
        (),
    ),
    _heat(
        DURATION,
        "Spread of job durations",
        "Each cell: how many jobs of that duration ended then; brighter is more. Two bands are two kinds of job, "
        "a band "
        "that climbs is something getting slower. Points are single jobs with their number.",
    ),
    _percentiles(
        QUEUE,
        "How long jobs wait",
        "Time from a job's creation until it ran. Beyond some seconds the orchestrator is at its limit of concurrent "
        "work, or waits for a deploy of code.",
        (Limit(60, WARN), Limit(300, BAD)),
    ),
    _heat(
        QUEUE,
        "Spread of waiting times",
        "Each cell: how many jobs waited for so long before they ran; brighter is more.",
    ),
    Panel(
        kind="bargauge",
        title="Duration of 95 in 100 jobs, by type",
        description=(
            "Over the whole time range: 95 of 100 jobs of this type took no longer. An estimate within the "
            "histogram's buckets."
        ),
        unit="s",
        queries=(Query(percentile_in_range(0.95, DURATION, "type") + " >= 0", "{{type}}", now=True),),
        below="#0072B2",
        least=0,
        nothing="no job ended",
        width=12,
        height=7,
    ),
    Panel(
        kind="bargauge",
        title="Wait of 95 in 100 jobs, by type",
        description="Over the whole time range: 95 of 100 jobs of this type waited no longer before they ran.",
        unit="s",
        queries=(Query(percentile_in_range(0.95, QUEUE, "type") + " >= 0", "{{type}}", now=True),),
        below="#0072B2",
        least=0,
        nothing="no job ended",
        width=12,
        height=7,
    ),
)

_NODE_RESULTS = pick("pe_node_results_total", OF_SOURCE)
_NODES = (
    Panel(
        kind="timeseries",
        title="Node results",
        description=(
            "Runs on single nodes that ended, a minute. Failed: the run or task itself; errored: the node could not be "
            "reached or the run not be started; skipped: something it depends on failed."
        ),
        unit=PER_MINUTE,
        queries=(Query(per_minute(_NODE_RESULTS, "result"), "{{result}}"),),
        colours=RESULTS,
        stacked=True,
        least=0,
        nothing="no bridge",
    ),
    Panel(
        kind="bargauge",
        title="Node results in the time range",
        description="Runs on single nodes of the time range, by how they ended.",
        unit="none",
        queries=(Query(in_range(_NODE_RESULTS, "result"), "{{result}}", now=True),),
        colours=RESULTS,
        least=0,
        nothing="no bridge",
    ),
)

BOARD = Board(
    uid="orchbridge-jobs",
    title="Puppet orchestrator: jobs",
    description="Jobs and plans: how they ended, by type, environment and name; how long they took and waited.",
    rows=(
        Row("Going on", _NOW),
        Row("How they ended", _OUTCOMES),
        Row("Time", _TIMES),
        Row("Nodes of jobs", _NODES),
        Row("Planned, and by whom", PLANNED),
    ),
    variables=(SOURCE, ENVIRONMENT),
    links=(STATUS_PAGE, RUNBOOKS),
)
