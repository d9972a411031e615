"""Commands: start and stop jobs and plans (reference 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from orchbridge.sim import drafts
from orchbridge.sim.answers import Answer, Ask, Problem, Route, integer, invalid, missing, reply
from orchbridge.sim.catalogue import ENVIRONMENTS, FORBIDDEN_PLANS, PLANS, TASKS
from orchbridge.sim.rows import Job
from orchbridge.sim.script import JobDraft


def _random(ask: Ask) -> Random:
    """Return the luck of this command: it depends on the seed and on how many jobs and plans came before."""
    world = ask.world
    return Random(f"{world.seed}/{world.job_ids.last}/{world.plan_ids.last}")  # noqa: S311 - invented load


def _body(ask: Ask, **types: type) -> Mapping[str, Any] | Problem:
    """Return the body if it is an object whose keys, where present, have these types."""
    if not isinstance(ask.body, dict):
        return invalid("The body must be a JSON object")
    for key, kind in types.items():
        if key in ask.body and not isinstance(ask.body[key], kind):
            return invalid(f"{key} must be of type {kind.__name__}")
    return ask.body


def _targets(ask: Ask, scope: Mapping[str, Any], environment: str) -> list[str] | Problem:
    """Return the certnames a scope means. A query means the nodes that match its quoted texts, or all."""
    known = sorted(ask.world.agents)
    nodes: list[str] = []
    match scope:
        case {"nodes": list(names)}:
            nodes = list(dict.fromkeys(map(str, names)))
        case {"query": query}:
            texts = re.findall(r'"([^"]+)"', str(query)) or [""]
            nodes = [node for node in known if any(text in node for text in texts)]
        case {"node_group": str()} | {"whole_environment": True} | {"application": str()}:
            nodes = known
        case _:
            return invalid("scope must be one of nodes, query and node_group")
    if nodes:
        return nodes
    details = {"environment": environment, "target": next(iter(scope))}
    return Problem(400, "empty-target", "The target resolves to no nodes", details)


def _environment(name: str) -> Problem | None:
    return None if name in ENVIRONMENTS else missing("environment", name, environment=name)


def _started(ask: Ask, draft: JobDraft) -> Answer:
    return _accepted(ask, ask.world.submit(draft, ask.now))


def _accepted(ask: Ask, job: Job) -> Answer:
    return reply({"job": {"id": ask.url("jobs", job.id), "name": str(job.id)}}, 202)


def deploy(ask: Ask) -> Answer:
    """POST /command/deploy"""
    body = _body(ask, environment=str, scope=dict, noop=bool, userdata=dict, description=str, timeout=int)
    if isinstance(body, Problem):
        return body
    environment = body.get("environment")
    if environment is None:
        return invalid("environment is required")
    if body.get("noop") and body.get("no_noop"):
        return invalid("noop and no_noop exclude each other")
    if environment == "" and (body.get("enforce_environment", True) or "scope" not in body):
        return Problem(400, "empty-environment", "The environment is empty", {"environment": ""})
    problem = _environment(environment) if environment else None
    if problem is not None:
        return problem
    if ask.world.expected_deploy is not None:
        start, ask.world.expected_deploy = ask.world.expected_deploy, None
        return _accepted(ask, start(ask.now))
    nodes = _targets(ask, body.get("scope") or {"whole_environment": True}, environment)
    if isinstance(nodes, Problem):
        return nodes
    return _started(ask, drafts.deploy(ask.world, _random(ask), nodes, body))


def task(ask: Ask) -> Answer:
    """POST /command/task"""
    body = _body(ask, task=str, params=dict, scope=dict, environment=str, noop=bool, userdata=dict, description=str)
    if isinstance(body, Problem):
        return body
    absent = [key for key in ("task", "params", "scope") if key not in body]
    if absent:
        return invalid(f"{', '.join(absent)} must be given")
    environment = body.get("environment", "production")
    problem = _environment(environment)
    if problem is not None:
        return problem
    found = TASKS.get(body["task"])
    if found is None or found.metadata is None:
        return missing("task", body["task"], environment=environment)
    if not found.permitted:
        return Problem(403, "not-permitted", f"You are not permitted to run the task {found.name}")
    nodes = _targets(ask, body["scope"], environment)
    if isinstance(nodes, Problem):
        return nodes
    return _started(ask, drafts.task(ask.world, _random(ask), nodes, body))


def stop(ask: Ask) -> Answer:
    """POST /command/stop: idempotent."""
    body = _body(ask, force=bool)
    if isinstance(body, Problem):
        return body
    number = integer("job", str(body.get("job", "")))
    if isinstance(number, Problem):
        return number
    job = ask.world.job(number, ask.now)
    if job is None:
        return missing("job", str(number), job=str(number))
    ask.world.stop(job, ask.now, force=bool(body.get("force")) and ask.knobs.at_least("2021.7.1"))
    fields = {"id": ask.url("jobs", job.id), "name": str(job.id), "nodes": job.counts}
    return reply({"job": fields}, 202)


def plan_run(ask: Ask) -> Answer:
    """POST /command/plan_run: answers with the plan job's id alone."""
    body = _body(ask, plan_name=str, params=dict, environment=str, description=str, userdata=dict)
    return body if isinstance(body, Problem) else _run_plan(ask, body)


def environment_plan_run(ask: Ask) -> Answer:
    """POST /command/environment_plan_run: as plan_run, each parameter wrapped in an object."""
    body = _body(ask, plan_name=str, params=dict, environment=str, description=str, userdata=dict)
    if isinstance(body, Problem):
        return body
    params = body.get("params")
    if not isinstance(params, dict) or not all(isinstance(p, dict) and "value" in p for p in params.values()):
        return invalid('params must be {name: {"value": ...}}')
    return _run_plan(ask, {**body, "params": {name: wrapped["value"] for name, wrapped in params.items()}})


def _run_plan(ask: Ask, body: Mapping[str, Any]) -> Answer:
    name, environment = body.get("plan_name"), body.get("environment", "production")
    if not name:
        return invalid("plan_name is required")
    problem = _environment(environment)
    if problem is not None:
        return problem
    if name not in PLANS:
        return missing("plan", name, environment=environment)
    if name in FORBIDDEN_PLANS:
        return Problem(403, "not-permitted", f"You are not permitted to run the plan {name}")
    nodes = sorted(node.name for node in ask.world.agents.values() if node.connected)[:3]
    draft = drafts.plan(ask.world, _random(ask), nodes, body, fails=False)
    started = ask.world.start_plan(draft, ask.now)
    return reply({"name": str(started.id)}, 202)


def stop_plan(ask: Ask) -> Answer:
    """POST /command/stop_plan: idempotent; the plan's jobs go on."""
    body = _body(ask)
    if isinstance(body, Problem):
        return body
    number = integer("plan_job", str(body.get("plan_job", "")))
    if isinstance(number, Problem):
        return number
    found = ask.world.plan(number, ask.now)
    if found is None:
        return missing("job", str(number), job=str(number))
    ask.world.stop_plan(found, ask.now)
    return reply({"name": str(found.id)}, 202)


ROUTES = (
    Route("POST", "command/deploy", deploy),
    Route("POST", "command/task", task, since="2017.3"),
    Route("POST", "command/stop", stop),
    Route("POST", "command/plan_run", plan_run, since="2019.8"),
    Route("POST", "command/environment_plan_run", environment_plan_run, since="2021.0"),
    Route("POST", "command/stop_plan", stop_plan, since="2021.7.1"),
)
