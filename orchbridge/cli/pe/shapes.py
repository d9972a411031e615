"""What `--json` prints: one shape for each kind of thing, whatever version of PE told of it.

`kind` says which. Ids are numbers, times RFC 3339 in UTC, durations seconds; what the server does not
tell is null. Secrets are taken out as they are from records.
"""

from __future__ import annotations

from typing import Any

from orchbridge.cli.pe.telling import PLAIN, Veil
from orchbridge.orchestrator.models import Job, JobEvent, Node, PlanEvent, PlanJob, ReportRow


def job(told: Job, veil: Veil) -> dict[str, Any]:
    """A job."""
    options = told.options
    return {
        "kind": "job",
        "id": told.id,
        "state": told.state,
        "type": told.type,
        "task": told.task,
        "environment": told.environment,
        "owner": told.owner.login,
        "description": veil.value(told.description),
        "noop": told.noop,
        "created": told.created,
        "finished": told.finished,
        "duration_s": told.duration_s,
        "node_count": told.node_count,
        "node_states": told.node_states,
        "scope": veil.value(options.get("scope")),
        "parameters": veil.parameters(options.get("params")),
        "sensitive": told.sensitive,
        "plan_job": told.plan_job,
        "schedule": told.schedule,
        "userdata": veil.value(told.userdata),
    }


def node(told: Node, number: int, veil: Veil) -> dict[str, Any]:
    """A node's place in a job."""
    return {
        "kind": "node",
        "job": number,
        "node": told.name,
        "state": told.state,
        "started": told.started,
        "finished": told.finished,
        "duration_s": told.duration_s,
        "message": veil.value(told.details.get("message")),
        "result": veil.value(told.result),
    }


def report(told: ReportRow, number: int, veil: Veil) -> dict[str, Any]:
    """A row of a job's report; its events are ids, or the events themselves on old servers."""
    return {
        "kind": "report",
        "job": number,
        "node": told.node,
        "state": told.state,
        "at": told.at,
        "events": veil.value(told.events),
    }


def event(told: JobEvent, number: int, veil: Veil) -> dict[str, Any]:
    """An event of a job."""
    return {
        "kind": "event",
        "job": number,
        "id": told.id,
        "type": told.type,
        "at": told.at,
        "node": told.node,
        "message": veil.value(told.message),
        "detail": veil.value(told.detail),
    }


def plan_job(told: PlanJob, veil: Veil = PLAIN) -> dict[str, Any]:
    """A plan job; `result` and `jobs` are null in lists."""
    veil = veil.over(told.sensitive)
    return {
        "kind": "plan_job",
        "id": told.id,
        "state": told.state,
        "plan": told.plan,
        "environment": told.environment,
        "owner": told.owner.login,
        "description": veil.value(told.description),
        "created": told.created,
        "finished": told.finished,
        "duration_s": told.duration_s,
        "parameters": veil.value(told.parameters),
        "sensitive": told.sensitive,
        "jobs": sorted(told.jobs) if "status" in told.raw else None,
        "schedule": told.schedule,
        "result": veil.value(told.result),
        "userdata": veil.value(told.userdata),
    }


def plan_event(told: PlanEvent, number: int, veil: Veil) -> dict[str, Any]:
    """An event of a plan job; `job` is one that it started."""
    return {
        "kind": "plan_event",
        "plan_job": number,
        "id": told.id,
        "type": told.type,
        "at": told.at,
        "job": told.job,
        "plan": told.plan,
        "message": veil.value(told.message),
        "details": veil.value(told.details),
    }
