"""What commands ask for, checked: a body becomes a draft of a job or plan, or a refusal (reference 5).

Schedules use them twice: when they are made, and each time they are due.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from orchbridge.sim import drafts, releases
from orchbridge.sim.catalogue import FORBIDDEN_PLANS, PLANS, TASKS
from orchbridge.sim.people import ON_TARGET, User
from orchbridge.sim.problems import Problem, denied, invalid, missing, typed
from orchbridge.sim.puppet_types import lacking, wrong
from orchbridge.sim.releases import Feature
from orchbridge.sim.script import JobDraft, PlanDraft
from orchbridge.sim.targets import nodes_of, queried

if TYPE_CHECKING:
    from orchbridge.sim.world import World

Body = Mapping[str, Any]

DEPLOY: Mapping[str, type] = {
    **dict.fromkeys(("environment", "target", "description", "ordering", "skip_tags", "tags"), str),
    **dict.fromkeys(("noop", "no_noop", "enforce_environment", "debug", "trace", "evaltrace"), bool),
    **dict.fromkeys(("use_cached_catalog", "usecacheonfailure"), bool),
    **dict.fromkeys(("concurrency", "timeout", "filetimeout", "http_connect_timeout"), int),
    **dict.fromkeys(("http_keepalive_timeout", "http_read_timeout"), int),
    **dict.fromkeys(("scope", "userdata"), dict),
}
TASK: Mapping[str, type] = {
    **dict.fromkeys(("task", "environment", "description"), str),
    **dict.fromkeys(("params", "scope", "userdata"), dict),
    **{"targets": list, "noop": bool, "timeout": int},
}
PLAN: Mapping[str, type] = {
    **dict.fromkeys(("plan_name", "environment", "description"), str),
    **{"params": dict, "userdata": dict, "timeout": int},
}
SINCE: Mapping[str, Feature] = {
    "userdata": releases.USERDATA,
    "timeout": releases.TIMEOUT,
}
DEPLOY_SINCE: Mapping[str, Feature] = {
    **SINCE,
    "description": releases.JOB_WORDS,
    "no_noop": releases.NO_NOOP,
    **dict.fromkeys(("filetimeout", "http_connect_timeout", "http_keepalive_timeout"), releases.RUN_FLAGS),
    **dict.fromkeys(("http_read_timeout", "ordering", "skip_tags", "tags"), releases.RUN_FLAGS),
    **dict.fromkeys(("use_cached_catalog", "usecacheonfailure"), releases.RUN_FLAGS),
}
TARGET: Mapping[str, type] = {
    **dict.fromkeys(("user", "transport", "password", "private-key-content", "run-as", "sudo-password"), str),
    **{"hostnames": list, "port": int, "connect-timeout": int, "tty": bool, "tmpdir": str},
}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants something done, in which world and when (world seconds)."""

    world: World
    user: User
    now: float

    def luck(self) -> Random:
        """Return the luck of this command: it depends on the seed and on how many jobs and plans came before."""
        world = self.world
        return Random(f"{world.seed}/{world.job_ids.last}/{world.plan_ids.last}")  # noqa: S311 - invented load


def _looked_at(by: Asker, body: Any, since: Mapping[str, Feature]) -> Any:
    """Return a body without the keys that this release does not know yet: it does not look at them."""
    if not isinstance(body, Mapping):
        return body
    knobs = by.world.knobs
    return {key: value for key, value in body.items() if key not in since or knobs.has(since[key])}


def environment_problem(world: World, name: str) -> Problem | None:
    """Return 404 for an environment that is not there."""
    return None if name in world.environments else missing("environment", name, environment=name)


def deploy(by: Asker, body: Body) -> JobDraft | Problem:
    """Return the puppet run that a body of command/deploy asks for."""
    problem = deploy_problem(by, body)
    if problem is not None:
        return problem
    body = _looked_at(by, body, DEPLOY_SINCE)
    scope = body.get("scope")
    nodes = nodes_of(by, scope, body["environment"]) if scope else sorted(by.world.agents)
    if isinstance(nodes, Problem):
        return nodes
    if not nodes:
        return Problem(400, "empty-target", "The target resolves to no nodes", {"environment": body["environment"]})
    asked = {key: value for key, value in body.items() if key in DEPLOY and value is not None}
    if scope and "query" in scope:
        asked.setdefault("target", "query")
    return replace(drafts.deploy(by.world, by.luck(), nodes, asked), owner=by.user.login)


def deploy_problem(by: Asker, body: Body) -> Problem | None:
    """Return what is wrong with a puppet run, whatever its nodes."""
    body = _looked_at(by, body, DEPLOY_SINCE)
    problem = typed(body, DEPLOY)
    if problem is not None:
        return problem
    if not by.user.may("puppet_agent:run:*"):
        return denied("You are not permitted to run Puppet")
    environment, target = body.get("environment"), body.get("target")
    if environment is None:
        return invalid("environment is required")
    if body.get("noop") and body.get("no_noop"):
        return invalid("noop and no_noop exclude each other")
    if environment == "" and (body.get("enforce_environment", True) or not body.get("scope")):
        return Problem(400, "empty-environment", "The environment is empty", {"environment": ""})
    if target is not None and by.world.knobs.has(releases.UNKNOWN_TARGET):
        details = {"environment": environment, "target": target}
        return Problem(400, "unknown-target", f"There is no application {target}", details)
    return environment_problem(by.world, environment) if environment else None


def task(by: Asker, body: Body, type_: str = "task") -> JobDraft | Problem:
    """Return the task job that a body of command/task asks for; nodes without permission are left out."""
    body = _looked_at(by, body, SINCE)
    problem = typed(body, TASK)
    if problem is not None:
        return problem
    absent = [key for key in ("task", "params", "scope") if body.get(key) is None]
    if absent:
        return invalid(f"{', '.join(absent)} must be given")
    environment = body.get("environment") or "production"
    problem = environment_problem(by.world, environment) or _task_problem(by, body["task"], body["params"], environment)
    if problem is not None:
        return problem
    nodes = nodes_of(by, body["scope"], environment)
    if not isinstance(nodes, Problem):
        nodes = _permitted_nodes(by, body["task"], nodes)
    if isinstance(nodes, Problem):
        return nodes
    agentless = _agentless(body.get("targets") or [], nodes)
    if isinstance(agentless, Problem):
        return agentless
    asked = {**body, "environment": environment}
    draft = drafts.task(by.world, by.luck(), nodes, asked, type_, agentless=agentless)
    return replace(draft, owner=by.user.login)


def _task_problem(by: Asker, name: str, params: Body, environment: str) -> Problem | None:
    found = TASKS.get(name)
    if found is None or found.metadata is None:
        return missing("task", name, environment=environment)
    if not found.permitted:
        return denied(f"You are not permitted to run the task {name}")
    declared = found.metadata.get("parameters")
    if declared is None:
        return None
    absent = lacking(declared, params) if by.world.knobs.required_params == "400" else []
    return invalid(f"Parameters must be given: {', '.join(absent)}") if absent else wrong(declared, params)


def may_run_task(by: Asker, name: str) -> bool:
    """Whether this user may run a task on some node."""
    return TASKS[name].permitted and not isinstance(_permitted_nodes(by, name, None), Problem)


def _permitted_nodes(by: Asker, name: str, nodes: list[str] | None) -> list[str] | Problem:
    if by.user.may(f"tasks:run:{name}") or not by.world.knobs.has(releases.TASK_RIGHTS):
        return nodes or []
    allowed: set[str] = set()
    reachable = False
    for number in by.user.objects_of(ON_TARGET):
        target = by.world.task_targets.get(int(number)) if number.isdigit() else None
        if target is not None and target.allows(name):
            reachable = True
            allowed.update(target.nodes_now(by.world))
    kept = [node for node in nodes or [] if node in allowed]
    return kept if kept or (reachable and nodes is None) else denied(f"You are not permitted to run the task {name}")


def _agentless(targets: list[Any], nodes: list[str]) -> frozenset[str] | Problem:
    """Return the nodes that are reached without an agent; how to reach them is forgotten at once."""
    reached: set[str] = set()
    for target in targets:
        problem = typed(target, TARGET)
        if problem is not None:
            return replace(problem, msg=f"targets: {problem.msg}")
        hosts = target.get("hostnames")
        if not hosts or not set(map(str, hosts)) <= set(nodes):
            return invalid("targets: hostnames must be given, and be in the scope")
        if target.get("transport", "ssh") not in {"ssh", "winrm"}:
            return invalid("targets: transport must be ssh or winrm")
        if ("password" in target) == ("private-key-content" in target):
            return invalid("targets: one of password and private-key-content must be given")
        reached.update(map(str, hosts))
    return frozenset(reached)


def plan(by: Asker, body: Body) -> PlanDraft | Problem:
    """Return the plan that a body of command/plan_run asks for."""
    body = _looked_at(by, body, SINCE)
    problem = typed(body, PLAN)
    if problem is not None:
        return problem
    name, environment = body.get("plan_name"), body.get("environment") or "production"
    if not name:
        return invalid("plan_name is required")
    problem = environment_problem(by.world, environment)
    if problem is not None:
        return problem
    if name not in PLANS:
        return missing("plan", name, environment=environment)
    if not may_run_plan(by, name):
        return denied(f"You are not permitted to run the plan {name}")
    params = body.get("params") or {}
    problem = wrong(PLANS[name]["parameters"], params) if "parameters" in PLANS[name] else None
    if problem is not None:
        return problem
    nodes = sorted(node.name for node in by.world.agents.values() if node.connected)[:3]
    asked = {key: value for key, value in body.items() if value is not None}
    draft = drafts.plan(by.world, by.luck(), nodes, asked, fails=False)
    owner = by.user.login
    steps = tuple(
        replace(step, child=replace(step.child, owner=owner)) if step.child is not None else step
        for step in draft.steps
    )
    return replace(draft, owner=owner, steps=steps)


def may_run_plan(by: Asker, name: str) -> bool:
    """Whether this user may run a plan."""
    return name not in FORBIDDEN_PLANS and by.user.may(f"plans:run:{name}")


def unwrapped(by: Asker, params: Any) -> dict[str, Any] | Problem:
    """Return the parameters of `{name: {"value": ..., "type": ...}}`; queries and node groups become certnames."""
    if not isinstance(params, dict) or not all(isinstance(p, dict) and "value" in p for p in params.values()):
        return invalid('params must be {name: {"value": ...}}')
    plain: dict[str, Any] = {}
    for name, wrapped in params.items():
        match wrapped.get("type"):
            case None:
                plain[name] = wrapped["value"]
                continue
            case "query":
                found = queried(by, wrapped["value"])
            case "node_group":
                found = nodes_of(by, {"node_group": wrapped["value"]}, "")
            case other:
                return invalid(f"{name}: type must be query or node_group, not {other!r}")
        if isinstance(found, Problem):
            return found
        plain[name] = found
    return plain
