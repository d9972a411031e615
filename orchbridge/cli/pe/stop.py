"""Stopping jobs and plan jobs: what still runs is said first, and asked about."""

from __future__ import annotations

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.cli.pe.jobs import what
from orchbridge.cli.pe.session import agreed
from orchbridge.cli.pe.telling import counted, json_line, states
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models.jobs import NODE_ENDS

NOTHING = "nothing was stopped"


async def stop_job(client: Client, number: int, *, force: bool, yes: bool, as_json: bool) -> int:
    """Stop a job; one that has ended already is left as it is."""
    job = await client.jobs.get(number)
    if job.over:
        _told(as_json, {"job": number, "state": job.state, "stopped": False}, f"job {number} has ended: {job.state}")
        return DONE
    ended = sum(count for state, count in job.node_states.items() if state in NODE_ENDS)
    left = "" if job.total is None else f": {job.total - ended} of {counted(job.total, 'node')} not through yet"
    lines = [f"stop job {number} ({what(job)}, {job.state}){left}"]
    lines.append(
        "  it ends at once; what nodes are at is given up, though they may go on with it"
        if force
        else "  nodes that are at it finish; the others do not begin"
    )
    if not agreed(lines, yes=yes, nothing=NOTHING):
        return CHECK_FAILED
    # Versions before 2021.7 do not know `force`, so it is not sent where it is not wanted.
    stopped = await client.commands.stop(number, force=force or None)
    told = {"job": number, "stopped": True, "nodes": stopped.nodes}
    _told(as_json, told, f"job {number} is told to stop: {states(stopped.nodes) or 'no node'}")
    return DONE


async def stop_plan(client: Client, number: int, *, yes: bool, as_json: bool) -> int:
    """Interrupt a plan job; one that has ended already is left as it is."""
    plan = await client.plan_jobs.get(number)
    if plan.over:
        told = {"plan_job": number, "state": plan.state, "stopped": False}
        _told(as_json, told, f"plan job {number} has ended: {plan.state}")
        return DONE
    running = [job for job, several in sorted(plan.jobs.items()) if several and several[-1].left is None]
    lines = [f"stop plan job {number} ({plan.plan}, {plan.state})"]
    if running:
        lines.append(f"  jobs it started go on by themselves: {', '.join(map(str, running))}")
    if not agreed(lines, yes=yes, nothing=NOTHING):
        return CHECK_FAILED
    await client.commands.stop_plan(number)
    _told(as_json, {"plan_job": number, "stopped": True}, f"plan job {number} is told to stop")
    return DONE


def _told(as_json: bool, told: dict[str, object], line: str) -> None:
    if as_json:
        json_line({"kind": "stop", **told})
    else:
        print(line)
