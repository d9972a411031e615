"""How a job's script becomes rows, events and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchbridge.sim.activity import about_job
from orchbridge.sim.eventlog import Event, JobEventWire
from orchbridge.sim.moments import chance
from orchbridge.sim.results import dressed
from orchbridge.sim.rows import JOB_ENDS, NODE_ENDS, Job, JobNode
from orchbridge.sim.script import JobDraft, Step

if TYPE_CHECKING:
    from orchbridge.sim.world import World

NOTICED_S = 10.0  # how long after its return the service sees that a job is over
JUST_NOW_S = 1e-6  # adding and subtracting a job's creation time must not push a step into the future


def submit(world: World, draft: JobDraft, now: float, plan: int | None) -> Job:
    """Write the job's row and plan its steps; those due at its creation happen at once."""
    job = Job(
        id=world.next_id(world.job_ids),
        type=draft.type,
        created=now,
        options=draft.options if plan is None else {**draft.options, "plan_job": plan},
        owner=world.people.owner(draft.owner),
        environment=draft.environment,
        description=draft.description,
        userdata=draft.userdata,
        nodes={name: JobNode(name) for name in draft.nodes},
        counts={"new": len(draft.nodes)} if draft.nodes else {},
        plan=plan,
    )
    job.seen_at, job.seen_from = world.sight("job_visibility", "job", job.id, now)
    world.jobs[job.id] = job
    job_fact(world, job, draft.nodes)
    if world.knobs.activity == "at-start":
        about_job(world, job, now, "new")
    _plan(world, job, list(draft.steps), now)
    return job


def job_fact(world: World, job: Job, nodes: tuple[str, ...]) -> None:
    """Note that a job exists."""
    world.course.fact(
        "job",
        job.created,
        id=job.id,
        type=job.type,
        plan=job.plan,
        task=job.options.get("task"),
        environment=job.environment,
        owner=job.owner["login"],
        nodes=nodes,
    )


def stop(world: World, job: Job, now: float, *, force: bool) -> None:
    """Replace the rest of the script: with force by the end, else by the end of what runs."""
    if job.state in JOB_ENDS or (job.state == "stopping" and not force):
        return
    after = now - job.created
    if force:
        steps = [Step(after, "stopped", event="job_stopping", message="Job stopping")]
    else:
        running = {name for name, node in job.nodes.items() if node.state == "running"}
        steps = [step for step in world.job_scripts.get(job.id, ()) if step.node in running]
        end = max([after, *(step.after for step in steps)]) + 0.1
        over = Step(end, "stopped", event="job_finished", message="Job stopped", detail={"state": "stopped"})
        steps = [Step(after, "stopping", event="job_stopping", message="Job stopping"), *steps, over]
    _plan(world, job, steps, now)


def crash(world: World, job: Job, now: float, back: float) -> None:
    """Let the service forget what it did: some time after it is back it fails the job, without a last event."""
    if job.state not in JOB_ENDS:
        _plan(world, job, [Step(back + NOTICED_S - job.created, "failed")], now)


def _plan(world: World, job: Job, steps: list[Step], now: float) -> None:
    world.job_scripts[job.id] = steps
    for step in tuple(steps):
        if step.after <= now - job.created + JUST_NOW_S:
            _play(world, job, step, steps, now)
        else:
            world.course.at(job.created + step.after, _player(world, job, step, steps), step.order)


def _player(world: World, job: Job, step: Step, script: list[Step]) -> Any:
    return lambda at: _play(world, job, step, script, at)


def _play(world: World, job: Job, step: Step, script: list[Step], at: float) -> None:
    if world.job_scripts.get(job.id) is not script or world.jobs.get(job.id) is not job:
        return  # stopped, pruned or forgotten meanwhile
    script.remove(step)
    detail = dressed(step.detail, step.node_state, world.knobs) if step.node_state in NODE_ENDS else step.detail
    number = _write_event(world, job, step, detail, at) if step.event else None
    if step.node is not None and step.node_state is not None:
        _move(job, job.nodes[step.node], step.node_state, step.message, detail, number, at)
    if step.job_state is not None:
        _enter(world, job, step.job_state, at)
    if not script:
        del world.job_scripts[job.id]


def _move(job: Job, node: JobNode, state: str, message: str, detail: Any, event_id: int | None, at: float) -> None:
    job.recount(node.state, state)
    node.state, node.touched = state, at
    node.details = {"message": message}
    if event_id is not None:
        node.event_ids += (event_id,)
    if state == "running":
        node.started = at
    elif state in NODE_ENDS:
        node.ended, node.result = at, detail
        if isinstance(detail, dict) and "report-url" in detail:
            node.details["report-url"] = detail["report-url"]


def _enter(world: World, job: Job, state: str, at: float) -> None:
    if state == "stopped" and world.knobs.stopped_nodes == "stopped":
        for node in job.nodes.values():
            if node.state not in NODE_ENDS:
                job.recount(node.state, "stopped")
                node.state, node.touched = "stopped", at
    job.enter(state, at)
    world.course.fact("job_state", at, job=job.id, state=state, node_states=dict(job.counts))
    if state in JOB_ENDS and world.knobs.activity == "at-end":
        about_job(world, job, at, state)
    dose = world.knobs.dose("prune")
    if state in JOB_ENDS and dose.form == "after":
        world.course.at(at + dose.amount, lambda when: world.forget_job(job, when))


def _write_event(world: World, job: Job, step: Step, detail: Any, at: float) -> int | None:
    kind, message = step.event or "", step.message
    if kind == "job_finished":
        dose = world.knobs.dose("job_finished_event")
        if dose.form != "always" and chance(world.seed, "job-finished", job.id) < dose.p:
            if dose.form == "missing":
                return None
            kind, message = "job_aborted", "Job aborted"
    number = world.next_id(world.event_ids)
    details = {"node": step.node, "detail": {} if detail is None else detail} if step.node else detail or {}
    encoded = msgspec.json.encode(JobEventWire(str(number), kind, world.course.text(at), details, message))
    seen_at, seen_from = world.sight("event_visibility", "event", number, at)
    job.log.append(Event(number, encoded, seen_at + step.hidden_s, None if step.hidden_s else seen_from))
    world.course.fact("job_event", at, job=job.id, id=number, type=kind, node=step.node)
    return number
