"""Commands: start and stop jobs and plans (reference 5)."""

from __future__ import annotations

from orchbridge.sim import orders, releases
from orchbridge.sim.answers import Answer, Ask, Problem, Route, integer, invalid, missing, reply, typed
from orchbridge.sim.people import VIEW_JOBS
from orchbridge.sim.rows import Job, Plan
from orchbridge.sim.task_targets import TaskTarget


def accepted(ask: Ask, job: Job) -> Answer:
    """Return what a command answers that has started a job."""
    return reply({"job": {"id": ask.url("jobs", job.id), "name": str(job.id)}}, 202)


def deploy(ask: Ask) -> Answer:
    """POST /command/deploy"""
    if ask.world.expected_deploy is not None:
        problem = orders.deploy_problem(ask.by, ask.body)
        if problem is not None:
            return problem
        start, ask.world.expected_deploy = ask.world.expected_deploy, None
        return accepted(ask, start(ask.now))
    draft = orders.deploy(ask.by, ask.body)
    return draft if isinstance(draft, Problem) else accepted(ask, ask.world.submit(draft, ask.now))


def task(ask: Ask) -> Answer:
    """POST /command/task"""
    draft = orders.task(ask.by, ask.body)
    return draft if isinstance(draft, Problem) else accepted(ask, ask.world.submit(draft, ask.now))


def stop(ask: Ask) -> Answer:
    """POST /command/stop: idempotent."""
    problem = typed(ask.body, {"force": bool})
    if problem is not None:
        return problem
    number = integer("job", str(ask.body.get("job", "")))
    if isinstance(number, Problem):
        return number
    job = ask.world.job(number, ask.now)
    if job is None:
        return missing("job", str(number), job=str(number))
    ask.world.stop(job, ask.now, force=bool(ask.body.get("force")) and ask.knobs.has(releases.FORCE))
    fields = {"id": ask.url("jobs", job.id), "name": str(job.id), "nodes": job.counts}
    return reply({"job": fields}, 202)


def plan_run(ask: Ask) -> Answer:
    """POST /command/plan_run: answers with the plan job's id alone."""
    draft = orders.plan(ask.by, ask.body)
    if isinstance(draft, Problem):
        return draft
    return reply({"name": str(ask.world.start_plan(draft, ask.now).id)}, 202)


def environment_plan_run(ask: Ask) -> Answer:
    """POST /command/environment_plan_run: as plan_run, each parameter wrapped in an object."""
    problem = typed(ask.body, orders.PLAN)
    if problem is not None:
        return problem
    params = orders.unwrapped(ask.by, ask.body.get("params"))
    if isinstance(params, Problem):
        return params
    draft = orders.plan(ask.by, {**ask.body, "params": params})
    if isinstance(draft, Problem):
        return draft
    return reply({"name": str(ask.world.start_plan(draft, ask.now).id)}, 202)


def plan_of(ask: Ask) -> Plan | Problem:
    """Return the plan job that a body names, or why not."""
    problem = typed(ask.body, {})
    if problem is not None:
        return problem
    number = integer("plan_job", str(ask.body.get("plan_job", "")))
    if isinstance(number, Problem):
        return number
    return ask.world.plan(number, ask.now) or missing("job", str(number), job=str(number))


def stop_plan(ask: Ask) -> Answer:
    """POST /command/stop_plan: idempotent; the plan's jobs go on."""
    found = plan_of(ask)
    if isinstance(found, Problem):
        return found
    ask.world.stop_plan(found, ask.now)
    return reply({"name": str(found.id)}, 202)


def task_target(ask: Ask) -> Answer:
    """POST /command/task_target: whether its tasks and nodes exist is not looked at."""
    lists = ("tasks", "nodes", "node_groups")
    kinds = {"display_name": str, "all_tasks": bool, "pql_query": str, **dict.fromkeys(lists, list)}
    problem = typed(ask.body, kinds)
    if problem is not None:
        return problem
    body = ask.body
    absent = [key for key in ("display_name", "nodes", "node_groups") if body.get(key) is None]
    if absent:
        return invalid(f"{', '.join(absent)} must be given")
    if not body.get("all_tasks") and body.get("tasks") is None:
        return invalid("tasks or all_tasks must be given")
    tasks, nodes, groups = (tuple(map(str, body.get(key) or ())) for key in lists)
    number = ask.world.next_id(ask.world.target_ids)
    target = TaskTarget(
        number, body["display_name"], bool(body.get("all_tasks")), tasks, nodes, groups, body.get("pql_query")
    )
    ask.world.task_targets[number] = target
    name = str(number)
    return reply({"task_target": {"id": ask.url("scopes", "task_targets", name), "name": name}})


ROUTES = (
    Route("POST", "command/deploy", deploy, lasting=True),
    Route("POST", "command/task", task, since=releases.TASKS, lasting=True),
    Route("POST", "command/stop", stop, right=VIEW_JOBS, lasting=True),
    Route("POST", "command/plan_run", plan_run, since=releases.PLANS, lasting=True),
    Route(
        "POST", "command/environment_plan_run", environment_plan_run, since=releases.ENVIRONMENT_PLAN_RUN, lasting=True
    ),
    Route("POST", "command/stop_plan", stop_plan, since=releases.STOP_PLAN, right=VIEW_JOBS, lasting=True),
    Route("POST", "command/task_target", task_target, since=releases.TASK_TARGETS, lasting=True),
)
