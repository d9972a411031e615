"""The commands by which a Bolt elsewhere drives a plan (reference 5): known from clients alone."""

from __future__ import annotations

from orchbridge.sim import orders, releases
from orchbridge.sim.answers import Answer, Ask, Problem, Route, denied, invalid, reply, typed
from orchbridge.sim.catalogue import sensitive_plan_parameters
from orchbridge.sim.routes_commands import accepted, plan_of
from orchbridge.sim.rows import PLAN_ENDS
from orchbridge.sim.script import PlanDraft


def plan_start(ask: Ask) -> Answer:
    """POST /command/plan_start: the plan runs until somebody says that it is over, perhaps for ever."""
    problem = typed(ask.body, {"plan_name": str, "description": str, "params": dict, "sensitive": list})
    if problem is not None:
        return problem
    name, params = ask.body.get("plan_name"), ask.body.get("params") or {}
    if not name:
        return invalid("plan_name is required")
    if not ask.user.may(f"plans:run:{name}"):
        return denied(f"You are not permitted to run the plan {name}")
    hidden = {*map(str, ask.body.get("sensitive") or ()), *(sensitive_plan_parameters(name) & params.keys())}
    draft = PlanDraft(
        name,
        params,
        (),
        sensitive=tuple(sorted(hidden)),
        description=ask.body.get("description") or "",
        owner=ask.user.login,
    )
    return reply({"name": str(ask.world.start_plan(draft, ask.now).id)}, 202)


def plan_task(ask: Ask) -> Answer:
    """POST /command/plan_task: command/task for a plan that was started elsewhere."""
    plan = plan_of(ask)
    if isinstance(plan, Problem):
        return plan
    if plan.state in PLAN_ENDS:
        status = int(ask.knobs.plan_finished_status)
        return Problem(status, "plan-already-finished", f"Plan job {plan.id} is over")
    draft = orders.task(ask.by, ask.body, "plan_task")
    if isinstance(draft, Problem):
        return draft
    return accepted(ask, ask.world.run_child(plan, draft, ask.now))


def plan_finish(ask: Ask) -> Answer:
    """POST /command/plan_finish"""
    plan = plan_of(ask)
    if isinstance(plan, Problem):
        return plan
    state = ask.body.get("status")
    if not isinstance(state, str) or state not in PLAN_ENDS:
        return invalid(f"status must be success or failure, not {state!r}")
    if plan.state not in PLAN_ENDS:
        ask.world.end_plan(plan, state, ask.body.get("result"), ask.now)
    return reply({"name": str(plan.id)}, 202)


ROUTES = (
    Route("POST", "command/plan_start", plan_start, since=releases.PLAN_JOBS, lasting=True),
    Route("POST", "command/plan_task", plan_task, since=releases.PLAN_JOBS, lasting=True),
    Route("POST", "command/plan_finish", plan_finish, since=releases.PLAN_FINISH, lasting=True),
)
