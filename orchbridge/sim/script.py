"""Scripts: what will happen to a job or a plan, written down when it is started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of a job, `after` seconds from its creation.

    Any of: the job enters `job_state`; `node` enters `node_state`; an event of type `event`
    is written, with `message` and `detail` (for node events the run's result). `hidden_s`
    delays only the event's visibility. `order` decides among steps of several jobs at one time.
    """

    after: float
    job_state: str | None = None
    node: str | None = None
    node_state: str | None = None
    event: str | None = None
    message: str = ""
    detail: Any = None
    hidden_s: float = 0.0
    order: int = 0


@dataclass(frozen=True, slots=True)
class JobDraft:
    """A job about to be started: what the request said, and its steps."""

    type: str
    nodes: tuple[str, ...]
    options: Mapping[str, Any]
    steps: tuple[Step, ...]
    environment: str = "production"
    description: str = ""
    userdata: Mapping[str, Any] = field(default_factory=dict)
    owner: int | str = 0  # a login, or one of the old hands by number

    @property
    def seconds(self) -> float:
        """How long the job lasts."""
        return max((step.after for step in self.steps), default=0.0)


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One moment of a plan: an event, a child job with its start event, a new state, the end with its event."""

    after: float
    event: str | None
    details: Mapping[str, Any] = field(default_factory=dict)
    child: JobDraft | None = None
    state: str | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan about to be started."""

    name: str
    parameters: Mapping[str, Any]
    steps: tuple[PlanStep, ...]
    sensitive: tuple[str, ...] = ()
    environment: str = "production"
    description: str = ""
    userdata: Mapping[str, Any] = field(default_factory=dict)
    owner: int | str = 0
    scheduled: str | None = None
    state: str = "running"  # or pending: waiting for an interpreter


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become of one node: `outcome` is finished, failed, errored or skipped."""

    node: str
    outcome: str = "finished"
    starts: float = 0.0
    seconds: float = 1.0
    result: Any = None


RUN_ERROR = "Error running {what} on {node}: {node} is not connected to the PCP broker"
_MESSAGES = {
    "node_running": ("Started puppet run on {node} ...", "Started task on {node} ..."),
    "node_finished": ("Finished puppet run on {node} - Success! ", "Finished task on {node}"),
    "node_failed": ("Failed puppet run on {node}", "Failed task on {node}"),
    "node_skipped": ("Skipped puppet run on {node}", "Skipped task on {node}"),
    "node_errored": (RUN_ERROR.replace("{what}", "puppet"), RUN_ERROR.replace("{what}", "task")),
}


def message_of(event: str, node: str, *, deploy: bool) -> str:
    """Return the human text of a node event."""
    return _MESSAGES[event][0 if deploy else 1].format(node=node)


def offline_result(node: str) -> dict[str, Any]:
    """Return the error of a node that no broker can reach."""
    return {
        "msg": f"{node} is not connected to the PCP broker",
        "kind": "puppetlabs.orchestrator/execution-failure",
        "details": {"node": node},
    }


def life(fates: Sequence[Fate], *, deploy: bool, noop: bool = False) -> tuple[Step, ...]:
    """Return the documented life cycle of a job: deploys begin in `new`, task jobs in `ready`.

    Fates start counting when the job enters `running`. A job without nodes fails at once.
    """
    begin = 0.3 if deploy else 0.1
    steps = [Step(0.0, "new"), Step(0.1, "ready")] if deploy else [Step(0.0, "ready")]
    steps.append(Step(begin, "running"))
    for fate in fates:
        steps += _node_steps(fate, begin, deploy=deploy, noop=noop)
    end = max([begin, *(step.after for step in steps)]) + 0.1
    outcome = "failed" if not fates or any(fate.outcome in {"failed", "errored"} for fate in fates) else "finished"
    steps.append(Step(end, outcome, event="job_finished", message=f"Job {outcome}", detail={"state": outcome}))
    return tuple(sorted(steps, key=lambda step: step.after))


def _node_steps(fate: Fate, begin: float, *, deploy: bool, noop: bool) -> Iterable[Step]:
    def step(after: float, word: str, detail: Any) -> Step:
        event = f"node_{word}"
        text = message_of(event, fate.node, deploy=deploy)
        return Step(after, node=fate.node, node_state=word, event=event, message=text, detail=detail)

    starts = begin + fate.starts
    if fate.outcome == "errored":
        yield step(begin, "errored", fate.result or offline_result(fate.node))
    elif fate.outcome == "skipped":
        yield step(starts + fate.seconds, "skipped", fate.result or {"reason": "a dependency failed"})
    else:
        yield step(starts, "running", {"noop": noop} if deploy else {})
        yield step(starts + fate.seconds, fate.outcome, fate.result)
