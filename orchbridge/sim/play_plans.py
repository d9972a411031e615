"""How a plan's script becomes rows, events, child jobs and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from orchbridge.sim import releases
from orchbridge.sim.eventlog import Event, PlanEventWire
from orchbridge.sim.rows import PLAN_ENDS, Job, Plan
from orchbridge.sim.script import JobDraft, PlanDraft, PlanStep

if TYPE_CHECKING:
    from orchbridge.sim.world import World

JUST_NOW_S = 1e-6  # adding and subtracting a plan's creation time must not push a step into the future
CHILD_EVENTS = {f"plan_{word}": f"{word}_start" for word in ("script", "command", "upload", "wait", "apply")}
MESSAGE_BYTES = 1024  # what the list of events shows of a message


def start(world: World, draft: PlanDraft, now: float) -> Plan:
    """Write the plan's row and plan its steps; those due at once happen at once."""
    plain = {name: value for name, value in draft.parameters.items() if name not in draft.sensitive}
    plan = Plan(
        id=world.next_id(world.plan_ids),
        name=draft.name,
        created=now,
        options={
            "plan_name": draft.name,
            "description": draft.description,
            "parameters": plain,
            "sensitive": list(draft.sensitive),
            "scheduled_job_id": draft.scheduled,
            "environment": draft.environment,
        },
        owner=world.people.owner(draft.owner),
        userdata=draft.userdata,
        state=draft.state,
        stamp=now,
    )
    plan.seen_at, plan.seen_from = world.sight("job_visibility", "plan", plan.id, now)
    world.plans[plan.id] = plan
    world.course.fact("plan", now, id=plan.id, name=plan.name, owner=plan.owner["login"])
    world.course.fact("plan_state", now, plan=plan.id, state=plan.state)
    _plan(world, plan, list(draft.steps), now)
    return plan


def run_child(world: World, plan: Plan, child: JobDraft, now: float) -> Job:
    """Start a job of a plan that somebody else drives."""
    script = world.plan_scripts.setdefault(plan.id, [])
    step = PlanStep(now - plan.created, CHILD_EVENTS.get(child.type, "task_start"), child=child)
    script.append(step)
    _play(world, plan, step, script, now)
    return world.jobs[plan.children[-1]]


def end(world: World, plan: Plan, state: str, result: Any, now: float) -> None:
    """End a plan that somebody else drives, as success or failure."""
    event = "plan_finished" if state == "success" else "plan_failed"
    _plan(world, plan, [PlanStep(now - plan.created, event, state=state, result=result)], now)


def stop(world: World, plan: Plan, now: float) -> None:
    """Replace the rest of the script by a failure now; does nothing to a plan that ended."""
    if plan.state in PLAN_ENDS:
        return
    error = {"kind": "bolt/plan-interrupted", "msg": "The plan was stopped", "details": {}}
    _plan(world, plan, [PlanStep(now - plan.created, "plan_failed", state="failure", result=error)], now)


def crash(world: World, plan: Plan, now: float, back: float) -> None:
    """Let the service forget the plan: it runs for ever, or has failed when the service is back."""
    if plan.state in PLAN_ENDS:
        return
    failed = [PlanStep(back - plan.created, None, state="failure")] if world.knobs.has(releases.PLANS_FAIL) else []
    _plan(world, plan, failed, now)


def _plan(world: World, plan: Plan, steps: list[PlanStep], now: float) -> None:
    world.plan_scripts[plan.id] = steps
    for step in tuple(steps):
        if step.after <= now - plan.created + JUST_NOW_S:
            _play(world, plan, step, steps, now)
        else:
            world.course.at(plan.created + step.after, _player(world, plan, step, steps))


def _player(world: World, plan: Plan, step: PlanStep, script: list[PlanStep]) -> Any:
    return lambda at: _play(world, plan, step, script, at)


def _play(world: World, plan: Plan, step: PlanStep, script: list[PlanStep], at: float) -> None:
    if world.plan_scripts.get(plan.id) is not script or world.plans.get(plan.id) is not plan:
        return  # stopped, pruned or forgotten meanwhile
    script.remove(step)
    details = dict(step.details)
    child = None
    if step.child is not None:
        child = world.submit(step.child, at, plan=plan.id).id
        plan.children.append(child)
        details["job-id"] = child if child % 2 else str(child)  # both spellings are out there
    if step.state in PLAN_ENDS:
        details = {"plan-id": str(plan.id), "result": step.result}
    if step.event is not None:
        _write_event(world, plan, step.event, details, child, at)
    if step.state is not None:
        _enter(world, plan, step.state, step.result, at)
    if not script:
        del world.plan_scripts[plan.id]


def _enter(world: World, plan: Plan, state: str, result: Any, at: float) -> None:
    plan.state, plan.stamp, plan.result = state, at, result
    world.course.fact("plan_state", at, plan=plan.id, state=state)
    dose = world.knobs.dose("prune")
    if state in PLAN_ENDS and dose.form == "after":
        world.course.at(at + dose.amount, lambda when: world.forget_plan(plan, when))


def _write_event(world: World, plan: Plan, kind: str, details: dict[str, Any], child: int | None, at: float) -> None:
    number = world.next_id(world.plan_event_ids)
    wire = PlanEventWire(str(number), kind, world.course.text(at), details)
    whole = msgspec.json.encode(wire)
    encoded = whole
    text = str(details.get("message", "")).encode()
    if len(text) > MESSAGE_BYTES:
        plan.full_texts[number] = whole
        cut = {"message": text[:MESSAGE_BYTES].decode(errors="ignore")}
        encoded = msgspec.json.encode(msgspec.structs.replace(wire, details=cut))
    seen_at, seen_from = world.sight("event_visibility", "plan-event", number, at)
    plan.log.append(Event(number, encoded, seen_at, seen_from))
    world.course.fact("plan_event", at, plan=plan.id, id=number, type=kind, job=child, message_bytes=len(text))
