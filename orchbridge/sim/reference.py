"""The reference scenario, second by second: a deploy of three nodes, one of them offline (jobs 420 and 421)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from orchbridge.sim import drafts
from orchbridge.sim.catalogue import BROKERS
from orchbridge.sim.load import connect
from orchbridge.sim.results import run_result, task_result
from orchbridge.sim.rows import Job
from orchbridge.sim.script import Fate, JobDraft, Step, life, message_of, offline_result

if TYPE_CHECKING:
    from orchbridge.sim.world import World

JOB, FIRST_EVENT = 420, 9301
NODES = ("a.test", "b.test", "c.test")

VARIANTS = {
    "a": "it is stopped at 10 s, without force",
    "b": "it is stopped at 10 s, with force",
    "c": "the orchestrator crashes at 25 s, for 5 s",
    "d": "event 9310 becomes visible only after 9311",
    "e": "it is pruned at 60 s",
    "f": "it is a task job with one node",
    "g": "it has no nodes",
}


def build(world: World, variant: str, *, wait: bool = False) -> None:
    """Set up the scenario or one of its variants; with `wait` the jobs start with the first deploy command."""
    world.job_ids.last, world.event_ids.last = JOB - 1, FIRST_EVENT - 1
    for node in ("a.test", "b.test", "d.test", "e.test"):
        world.course.at(-600.0, partial(connect, world, node, BROKERS[0]))
    draft = {"f": _task_job, "g": _no_nodes}.get(variant, _deploy)(world)
    if variant == "c":
        draft = _crashed(draft)
        world.outages.append((25.0, 30.0))
    if variant == "d":
        draft = _late(draft)
    if wait:
        world.expected_deploy = lambda at: _start(world, draft, variant, at)
    else:
        world.course.at(0.0, lambda at: _start(world, draft, variant, at))


def _start(world: World, draft: JobDraft, variant: str, at: float) -> Job:
    job = world.submit(draft, at)
    beside(world, at)
    if variant in {"a", "b"}:
        world.course.at(at + 10.0, lambda when: world.stop(job, when, force=variant == "b"))
    if variant == "e":
        world.course.at(at + 60.0, lambda when: world.forget_job(job, when))
    return job


def beside(world: World, at: float) -> None:
    """Start job 421, whose events interleave: 9303 and 9305 to 9309."""
    nodes = ("d.test", "e.test", "f.test")
    steps = [Step(0.0, "ready"), Step(0.1, "running"), _event(0.4, "f.test", "errored", offline_result("f.test"), 1)]
    steps += [_event(0.6, node, "running", {}) for node in nodes[:2]]
    steps += [_event(2.5, node, "finished", task_result(world.random, "facts", "finished")) for node in nodes[:2]]
    steps.append(Step(2.6, "failed", event="job_finished", message="Job failed", detail={"state": "failed"}))
    draft = drafts.task(world, world.random, nodes, {"task": "facts", "params": {}})
    world.submit(JobDraft("task", nodes, draft.options, tuple(steps)), at)


def _event(after: float, node: str, word: str, detail: Any, order: int = 0, *, deploy: bool = False) -> Step:
    event = f"node_{word}"
    text = message_of(event, node, deploy=deploy)
    return Step(after, node=node, node_state=word, event=event, message=text, detail=detail, order=order)


def _deploy(world: World) -> JobDraft:
    def result(outcome: str) -> dict[str, Any]:
        return run_result(world.random, outcome, noop=False, environment="production")

    def event(after: float, node: str, word: str, detail: Any, order: int = 0) -> Step:
        return _event(after, node, word, detail, order, deploy=True)

    steps = (
        Step(0.0, "new"),
        Step(0.1, "ready"),
        Step(0.3, "running"),
        event(0.3, "c.test", "errored", offline_result("c.test")),
        event(0.4, "a.test", "running", {"noop": False}, 0),
        event(0.4, "b.test", "running", {"noop": False}, 2),
        event(20.2, "a.test", "finished", result("finished")),
        event(31.9, "b.test", "failed", result("failed")),
        Step(32.0, "failed", event="job_finished", message="Job failed", detail={"state": "failed"}),
    )
    return _drafted(world, NODES, steps)


def _drafted(world: World, nodes: tuple[str, ...], steps: tuple[Step, ...]) -> JobDraft:
    asked = {"environment": "production", "scope": {"nodes": list(nodes)}, "userdata": {"t": "1"}}
    options = drafts.deploy(world, world.random, nodes, asked).options
    return JobDraft("deploy", nodes, options, steps, userdata={"t": "1"})


def _crashed(draft: JobDraft) -> JobDraft:
    """What the service never saw is lost; on its return it fails the job."""
    kept = tuple(step for step in draft.steps if step.after < 25.0)
    return JobDraft(draft.type, draft.nodes, draft.options, (*kept, Step(40.0, "failed")), userdata=draft.userdata)


def _late(draft: JobDraft) -> JobDraft:
    steps = tuple(
        Step(
            step.after,
            node=step.node,
            node_state=step.node_state,
            event=step.event,
            message=step.message,
            detail=step.detail,
            hidden_s=11.75,  # until 31.95 s: after 9311 is visible, before the job ends
        )
        if step.event == "node_finished"
        else step
        for step in draft.steps
    )
    return JobDraft(draft.type, draft.nodes, draft.options, steps, userdata=draft.userdata)


def _task_job(world: World) -> JobDraft:
    options = drafts.task(world, world.random, ("a.test",), {"task": "adhoc::run", "params": {"command": "id"}}).options
    result = {"_output": "uid=0(root) gid=0(root)\n"}
    steps = life([Fate("a.test", "finished", 0.3, 4.0, result)], deploy=False)
    return JobDraft("task", ("a.test",), options, steps, userdata={"t": "1"})


def _no_nodes(world: World) -> JobDraft:
    return _drafted(world, (), life((), deploy=True))
