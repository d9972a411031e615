"""Drafts of jobs and plans: what a request asks for, and what will come of it on these nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from orchbridge.sim import releases
from orchbridge.sim.catalogue import SCRIPTED, TASKS, planted, sensitive_plan_parameters
from orchbridge.sim.results import run_result, task_result
from orchbridge.sim.script import Fate, JobDraft, PlanDraft, PlanStep, life

if TYPE_CHECKING:
    from orchbridge.sim.world import World

FAILING = 0.08
SKIPPING = 0.02
CONCURRENT_RUNS = 8


def fates(
    world: World,
    random: Random,
    nodes: Sequence[str],
    *,
    task: str | None = None,
    agentless: Collection[str] = (),
    **run: Any,
) -> tuple[Fate, ...]:
    """Return what becomes of each node: those not connected error, most succeed. Deploys run eight at a time."""
    shortest, longest = world.node_seconds
    free = [0.0] * (len(nodes) if task else CONCURRENT_RUNS)
    made = []
    for node in nodes:
        agent = world.agents.get(node)
        if node not in agentless and (agent is None or not agent.connected):
            made.append(Fate(node, "errored"))
            continue
        luck = random.random()
        outcome = "failed" if luck < FAILING else "skipped" if luck < FAILING + SKIPPING and not task else "finished"
        seconds = random.uniform(shortest, longest)
        starts = min(free)
        free[free.index(starts)] = starts + seconds
        if outcome == "skipped":
            made.append(Fate(node, outcome, starts, 0.05))
            continue
        result = task_result(random, task, outcome) if task else run_result(random, outcome, **run)
        made.append(Fate(node, outcome, starts + 0.05 * random.random(), seconds, result))
    return tuple(made)


def deploy(world: World, random: Random, nodes: Sequence[str], asked: Mapping[str, Any]) -> JobDraft:
    """Return a deploy of these nodes. `asked` is the body of command/deploy."""
    environment = str(asked.get("environment", "production"))
    noop = bool(asked.get("noop", False))
    plain = {
        "concurrency": None,
        "noop": False,
        "trace": False,
        "debug": False,
        "evaltrace": False,
        "enforce_environment": bool(environment),
        "environment": environment,
        "scope": {"nodes": list(nodes)},
        "target": "nodes",
        "description": "",
    }
    options = {**plain, **{key: value for key, value in asked.items() if key != "userdata"}}
    will = fates(world, random, nodes, noop=noop, environment=environment)
    return JobDraft(
        "deploy",
        tuple(nodes),
        options,
        life(will, deploy=True, noop=noop),
        environment=environment,
        description=str(asked.get("description", "")),
        userdata=asked.get("userdata", {}),
        owner=random.randrange(4),
    )


def task(
    world: World,
    random: Random,
    nodes: Sequence[str],
    asked: Mapping[str, Any],
    type_: str = "task",
    *,
    agentless: Collection[str] = (),
) -> JobDraft:
    """Return a task job on these nodes. `asked` is the body of command/task; sensitive values are left out."""
    name = str(asked["task"])
    params: Mapping[str, Any] = asked.get("params", {})
    hidden = TASKS[name].sensitive & set(params) if name in TASKS else frozenset()
    environment = str(asked.get("environment", "production"))
    description = str(asked.get("description", ""))
    options: dict[str, Any] = {
        "task": name,
        "description": description,
        "transport": "pxp",
        "noop": bool(asked.get("noop", False)),
        "params": {key: value for key, value in params.items() if key not in hidden},
        "sensitive": sorted(hidden),
        "scheduled-job-id": None,
        "scope": asked.get("scope", {"nodes": list(nodes)}),
        "environment": environment,
    }
    if type_ != "task":
        options["noop"] = None
        del options["transport"]
    will = fates(world, random, nodes, task=name, agentless=agentless)
    return JobDraft(
        type_,
        tuple(nodes),
        options,
        life(will, deploy=False),
        environment=environment,
        description=description,
        userdata=asked.get("userdata", {}),
        owner=random.randrange(4),
    )


LONG_TEXT = "Änderungsfenster geöffnet – these nodes take part, in this order: "


def plan(world: World, random: Random, nodes: Sequence[str], asked: Mapping[str, Any], *, fails: bool) -> PlanDraft:
    """Return a plan that talks, runs a task and a sub-plan, and ends. `asked` is the body of command/plan_run."""
    name = str(asked["plan_name"])
    type_ = "plan_script" if name in SCRIPTED and world.knobs.has(releases.PLAN_TYPES) else "plan_task"
    child = task(world, random, nodes, {"task": "service::restart", "params": {"service": "httpd"}}, type_)
    shortest, _ = world.node_seconds
    pause = shortest / 4
    long_text = LONG_TEXT + ", ".join(nodes) + " ... " + "und nochmals für später – " * 60
    started = 2 * pause
    done = started + child.seconds + pause
    talk = [
        PlanStep(0.05, None, state="running"),
        PlanStep(0.1, "out_message", {"message": f"{name}: wave 1 of {1 + len(nodes)}"}),
        PlanStep(pause, "out_message", {"message": long_text}),
        PlanStep(started, f"{type_.removeprefix('plan_')}_start", child=child),
        PlanStep(done, "plan_start", {"plan": "rollout::drain"}),
        PlanStep(done + pause, "out_message", {"message": f"signed in with token={planted('message-token')}"}),
    ]
    if fails:
        error = {"kind": "bolt/run-failure", "msg": "Plan aborted: run_task failed", "details": {"failed_count": 1}}
        end = PlanStep(done + 2 * pause, "plan_failed", state="failure", result=error)
    else:
        talk.append(PlanStep(done + 2 * pause, "plan_end", {"plan": "rollout::drain", "duration": 2 * pause}))
        result = {"nodes": list(nodes), "secret": planted("plan-result")}
        end = PlanStep(done + 3 * pause, "plan_finished", state="success", result=result)
    return PlanDraft(
        name,
        asked.get("params", {}),
        (*talk, end),
        sensitive=tuple(sorted(sensitive_plan_parameters(name) & set(asked.get("params", {})))),
        environment=str(asked.get("environment", "production")),
        description=str(asked.get("description", "")),
        userdata=asked.get("userdata", {}),
        owner=random.randrange(4),
        state="pending",
    )
