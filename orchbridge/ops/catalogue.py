"""Every metric we export, as data: the collector, `docs/metrics.md` and the tests read this list."""

from __future__ import annotations

from typing import Literal, NamedTuple

from orchbridge.core import records
from orchbridge.core.window import BACKFILL

DURATIONS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
WAITS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
REQUESTS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COMMITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FLIGHTS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
DELAYS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

JOB_STATES = ("new", "ready", "running", "stopping")
PLAN_STATES = ("pending", "running")
OUTCOMES = ("success", "failure", "stopped")
JOB_TYPES = (
    "deploy", "task", "plan_task", "plan_script", "plan_upload", "plan_command", "plan_wait", "plan_apply",
    "plan_apply_prep",
)  # fmt: skip
ENVIRONMENT = "production"  # of others there is nothing before their first job
PLAN_OUTCOMES = ("success", "failure")
RESULTS = ("finished", "failed", "errored", "skipped")
TRANSITIONS = ("connected", "disconnected", "removed")
SCHEDULE_TYPES = ("deploy", "task", "plan")
MISSED = ("no_run", "submission_error")
SCHEDULE_CHANGES = ("created", "changed", "disabled", "removed")
WATCHDOGS = ("commit", "task", "question", "loop")
STAGES = ("normalize", "publish")
TROUBLES = (
    "unreachable", "timeout", "tls", "server", "throttled", "missing", "absent", "forbidden", "invalid", "malformed",
    "oversize",
)  # fmt: skip
NOTICES = (
    "source_reset", "gap", "pruned_unread", "backfill_started", "backfill_done", "parked", "resumed", "oversize",
)  # fmt: skip
CANARY_REASONS = (
    "refused", "denied", "unreachable", "uncertain", "busy", "failed", "incomplete", "timeout", "internal",
)  # fmt: skip
RENEWALS = ("renewed", "refused", "unreachable", "unwritable", "superseded", "left_behind", "internal")
_ALWAYS = (records.QUARANTINE, records.NOTICES, records.HEARTBEAT)
CHANNELS = {
    "jobs": (records.JOBS, records.JOB_EVENTS, records.JOB_STATE, *_ALWAYS),
    "plans": (records.PLANS, *_ALWAYS),
    "inventory": (records.REACHABILITY, records.NODE_STATE, *_ALWAYS),
    "schedules": (records.JOBS, *_ALWAYS),
}
ACTIVITY = "activity-"  # and the service
CHANNELS |= {f"{kind}-{BACKFILL}": CHANNELS[kind] for kind in ("jobs", "plans")}


def channels(kind: str) -> tuple[str, ...]:
    """Return the channels that a stream of this kind writes to."""
    return (records.AUDIT, *_ALWAYS) if kind.startswith(ACTIVITY) else CHANNELS.get(kind, ())


class Metric(NamedTuple):
    """One metric. `name` is as exported, with `_total` on counters; `unit` is its last word where it has one.

    With `exemplars` a value comes with the job that moved it last, in OpenMetrics.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    buckets: tuple[float, ...] = ()
    exemplars: bool = False


_S = ("source",)
_SS = ("source", "stream")

PE = (
    Metric(
        "pe_up",
        "gauge",
        _S,
        "1 if the orchestrator answered well within the last 30 s, or last time; gone where it is not asked any more",
    ),
    Metric("pe_jobs", "gauge", ("source", "state"), "Unfinished jobs by state"),
    Metric(
        "pe_jobs_finished_total",
        "counter",
        ("source", "type", "environment", "outcome"),
        "Jobs that ended: success, failure or stopped",
        exemplars=True,
    ),
    Metric(
        "pe_task_outcomes_total",
        "counter",
        ("source", "task", "outcome"),
        "Jobs of a task that ended: success, failure or stopped",
    ),
    Metric(
        "pe_failed_job_nodes",
        "gauge",
        ("source", "job_id", "type", "name", "environment", "console_url"),
        "Nodes that failed or errored in a job that failed within the last hour; the newest 20, then gone",
    ),
    Metric(
        "pe_job_duration_seconds",
        "histogram",
        ("source", "type"),
        "Time from a job's creation to its end",
        "seconds",
        DURATIONS,
        exemplars=True,
    ),
    Metric(
        "pe_job_queue_seconds",
        "histogram",
        ("source", "type"),
        "Time from a job's creation until it ran",
        "seconds",
        WAITS,
    ),
    Metric(
        "pe_job_last_success_timestamp_seconds",
        "gauge",
        ("source", "type"),
        "When a job last ended with success",
        "seconds",
    ),
    Metric(
        "pe_oldest_running_job_age_seconds",
        "gauge",
        _S,
        "Age of the oldest unfinished job; 0 without one",
        "seconds",
    ),
    Metric("pe_node_results_total", "counter", ("source", "result"), "Node runs that ended, by their result"),
    Metric("pe_plans", "gauge", ("source", "state"), "Unfinished plans by state"),
    Metric("pe_plans_finished_total", "counter", ("source", "outcome"), "Plans that ended: success or failure"),
    Metric("pe_plan_outcomes_total", "counter", ("source", "plan", "outcome"), "Runs of a plan that ended"),
    Metric("pe_nodes", "gauge", ("source", "connected"), "Nodes known to the inventory"),
    Metric(
        "pe_node_transitions_total", "counter", ("source", "to"), "Nodes that were connected, disconnected, removed"
    ),
    Metric("pe_broker_nodes", "gauge", ("source", "broker"), "Connected nodes by the broker they are connected to"),
    Metric("pe_nodes_flapping", "gauge", _S, "Nodes that lost their connection three times or more within an hour"),
    Metric(
        "pe_node_connected",
        "gauge",
        ("source", "certname"),
        "1 if the node is connected; only with `node_series`, the first so many by name",
    ),
    Metric(
        "pe_inventory_age_seconds",
        "gauge",
        _S,
        "Time since a list of the inventory was last believed; the node counts are as old",
        "seconds",
    ),
    Metric(
        "pe_scheduled_jobs",
        "gauge",
        ("source", "type"),
        "Scheduled jobs that PE lists and that are switched on, by type",
    ),
    Metric("pe_schedule_changes_total", "counter", ("source", "to"), "Schedules created, changed, disabled, removed"),
    Metric(
        "pe_scheduled_runs_missed_total",
        "counter",
        ("source", "reason"),
        "Scheduled runs that did not happen: no run showed in time, or it could not be submitted",
    ),
    Metric(
        "pe_activity_total",
        "counter",
        ("source", "area"),
        "Entries of the activity service, by area: rbac, classifier, pe-console, code-manager",
    ),
)

OURS = (
    Metric("orchbridge_build_info", "gauge", ("version",), "Always 1; the version that runs"),
    Metric("orchbridge_stream_owned", "gauge", _SS, "1 if this worker carries the stream"),
    Metric("orchbridge_stream_fenced_total", "counter", _SS, "Times a newer owner was met and the stream let go"),
    Metric("orchbridge_group_member", "gauge", (), "1 if this worker is a member of the workers' group"),
    Metric("orchbridge_group_workers", "gauge", (), "Workers in the group, as its last decision counted them"),
    Metric("orchbridge_group_rebalances_total", "counter", (), "Times the group shared out the streams"),
    Metric("orchbridge_stream_parked", "gauge", _SS, "1 if the stream waits for a person: see the status page"),
    Metric(
        "orchbridge_lag_seconds",
        "gauge",
        _SS,
        "Time since the last completed lap: the source answered and everything it said is committed",
        "seconds",
    ),
    Metric("orchbridge_last_lap_timestamp_seconds", "gauge", _SS, "When the last lap was completed", "seconds"),
    Metric("orchbridge_last_commit_timestamp_seconds", "gauge", _SS, "When a batch was last committed", "seconds"),
    Metric("orchbridge_cursor_position", "gauge", _SS, "Highest id that is fully accounted for"),
    Metric("orchbridge_source_position", "gauge", _SS, "Highest id the source has shown"),
    Metric("orchbridge_jobs_tracked", "gauge", _SS, "Jobs or plans still watched for news"),
    Metric(
        "orchbridge_jobs_behind", "gauge", _SS, "Tracked jobs or plans that may have events which are not delivered yet"
    ),
    Metric("orchbridge_backfill_size", "gauge", _SS, "Finished jobs or plans that were left to the backfill"),
    Metric("orchbridge_backfill_done", "gauge", _SS, "Those of them that are delivered"),
    Metric("orchbridge_backfill_skipped", "gauge", _SS, "Those of them that were gone before they were read"),
    Metric("orchbridge_records_read_total", "counter", _SS, "Jobs, events, nodes and plans in the source's answers"),
    Metric("orchbridge_records_committed_total", "counter", (*_SS, "channel"), "Records committed, replays included"),
    Metric("orchbridge_commits_total", "counter", _SS, "Batches committed"),
    Metric("orchbridge_commit_seconds", "histogram", _SS, "Time one commit took", "seconds", COMMITS),
    Metric(
        "orchbridge_source_to_commit_seconds",
        "histogram",
        _SS,
        "Time from the event in PE until its record was committed; live records only",
        "seconds",
        DELAYS,
    ),
    Metric("orchbridge_jobs_complete_total", "counter", _S, "Certificates that prove a job was delivered whole"),
    Metric(
        "orchbridge_jobs_incomplete_total",
        "counter",
        _S,
        "Certificates that name what is missing of a job",
        exemplars=True,
    ),
    Metric("orchbridge_late_events_total", "counter", _SS, "Records delivered after a higher id of the same job"),
    Metric("orchbridge_gaps_total", "counter", _S, "Ids that never became visible and were declared empty"),
    Metric("orchbridge_resets_total", "counter", _S, "New epochs: the source's ids went back, as after a restore"),
    Metric("orchbridge_redacted_total", "counter", _S, "Values hidden before anything was written"),
    Metric("orchbridge_quarantined_total", "counter", (*_SS, "stage"), "Records set aside with the reason"),
    Metric("orchbridge_notices_total", "counter", (*_SS, "kind"), "Notices written for people, by kind"),
    Metric("orchbridge_troubles_total", "counter", (*_SS, "kind"), "Failed answers of the source, by kind"),
    Metric("orchbridge_stumbles_total", "counter", _SS, "Times the sink was lost and the stream claimed again"),
    Metric("orchbridge_requests_total", "counter", ("source", "api", "code"), "Requests to the source"),
    Metric("orchbridge_request_seconds", "histogram", ("source", "api"), "Time one request took", "seconds", REQUESTS),
    Metric("orchbridge_response_bytes_total", "counter", _S, "Decoded bytes the source answered with", "bytes"),
    Metric("orchbridge_request_budget_left", "gauge", _S, "Requests that could be sent at once without waiting"),
    Metric(
        "orchbridge_token_expiry_timestamp_seconds",
        "gauge",
        _S,
        "When this worker's token for the source expires; only where the server tells it",
        "seconds",
    ),
    Metric(
        "orchbridge_certificate_expiry_timestamp_seconds",
        "gauge",
        _S,
        "When the source's server certificate expires",
        "seconds",
    ),
    Metric(
        "orchbridge_token_renewals_total",
        "counter",
        ("source", "outcome"),
        "Tries to renew the source's token, by what came of it; only with `renew_token`",
    ),
    Metric(
        "orchbridge_token_renewal_due_timestamp_seconds",
        "gauge",
        _S,
        "When this worker renews the source's token; in the past where that fails; only with `renew_token`",
        "seconds",
    ),
    Metric(
        "orchbridge_canary_seconds",
        "histogram",
        _S,
        "Time from the canary's command until its job's certificate was committed; only with a canary",
        "seconds",
        FLIGHTS,
    ),
    Metric("orchbridge_canary_failures_total", "counter", ("source", "reason"), "Canaries that did not arrive"),
    Metric(
        "orchbridge_canary_last_success_timestamp_seconds", "gauge", _S, "When a canary last arrived whole", "seconds"
    ),
    Metric(
        "orchbridge_canary_since_timestamp_seconds",
        "gauge",
        _S,
        "Since when this worker is the one that sends the canary",
        "seconds",
    ),
    Metric("orchbridge_canary_interval_seconds", "gauge", _S, "How often a canary is sent", "seconds"),
    Metric(
        "orchbridge_watchdog_total",
        "counter",
        ("kind",),
        "Times something of this process hung: a commit or task beyond its own bound, a question, the event loop",
    ),
    Metric(
        "orchbridge_series_overflow_total",
        "counter",
        ("source", "label"),
        'Counted under "other" because a label had too many values',
    ),
)

CATALOGUE = (*PE, *OURS)
