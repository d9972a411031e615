"""What the activity service has written down: who did what, in commits without ids (reference 15).

A commit's only name is its place in the list, oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchbridge.sim import releases
from orchbridge.sim.people import User
from orchbridge.sim.rows import JOB_ENDS, Job

if TYPE_CHECKING:
    from orchbridge.sim.world import World

Object = tuple[str, str, str]  # type, id, name
Events = list[dict[str, Any]]
CONSOLE, RBAC = "pe-console", "rbac"
LOCAL = "127.0.0.1, 127.0.0.1"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `events` are made when they are asked for, as large jobs have many."""

    at: float
    service: str
    subject: Mapping[str, Any]
    things: tuple[Object, ...]
    events: Callable[[], Events]
    ip: str = LOCAL
    nodes: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[Object, ...]:
        """All it is about, its nodes last."""
        return (*self.things, *(("node", name, name) for name in self.nodes))


@dataclass(slots=True)
class Activity:
    """All commits, oldest first."""

    commits: list[Commit] = field(default_factory=list)
    written: int = 0

    def purge(self, oldest: int) -> int:
        """Forget the oldest, which moves the place of all others; return how many went."""
        gone = min(oldest, len(self.commits))
        del self.commits[:gone]
        return gone

    def rewind(self, newest: int) -> int:
        """Take the newest back, as a restore does; return how many went."""
        left = max(0, len(self.commits) - newest)
        gone = len(self.commits) - left
        del self.commits[left:]
        return gone


def write(world: World, commit: Commit, kind: str) -> None:
    """Add a commit, and the fact of it; `kind` is the type of its events."""
    world.activity.commits.append(commit)
    world.activity.written += 1
    first = commit.things[0]
    world.course.fact(
        "activity",
        commit.at,
        id=world.activity.written,
        service=commit.service,
        subject=commit.subject["login"],
        object=f"{first[0]}/{first[1]}",
        type=kind,
    )


def about_user(
    world: World, user: User, type_: str, message: str, at: float, *, by: User | None = None, ip: str = LOCAL
) -> None:
    """Write what happened to an account; without `by` its owner did it."""
    event = {"message": message, "type": type_, "what": "user", "description": f"{type_}_user"}
    subject = (by or user).about
    commit = Commit(at, RBAC, subject, (("users", user.id, user.login),), lambda: [event], ip)
    write(world, commit, type_)


def about_job(world: World, job: Job, at: float, state: str) -> None:
    """Write that a job was asked for, and its state now: one event for each of its nodes."""
    task, plan = job.options.get("task"), world.plans.get(job.plan or 0)
    things: list[Object] = [("job", str(job.id), str(job.id))]
    if task is not None:
        things.append(("task", str(task), str(task)))
    if plan is not None:
        things.append(("plan", plan.name, plan.name))
    type_ = "plan_task" if job.plan is not None else "run_task" if task is not None else "puppet_agent"

    number, nodes = job.id, tuple(job.nodes)  # not the job itself: it may be pruned long before its commit

    def events() -> Events:
        return [_of_node(number, type_, task, node) | told for node in nodes]

    told: dict[str, Any] = {}
    if world.knobs.has(releases.ACTIVITY_TIMES):
        told = {"name": str(job.id), "start_timestamp": world.course.text(job.created), "state": state}
        if state in JOB_ENDS - {"failed"}:
            told |= {"finish_timestamp": world.course.text(at), "duration": round(at - job.created, 3)}

    write(world, Commit(at, CONSOLE, job.owner, tuple(things), events, nodes=nodes), type_)


def _of_node(job: int, type_: str, task: Any, node: str) -> dict[str, Any]:
    what = f'"{task}" task on "{node}" over "pcp"' if task is not None else f'puppet run on "{node}"'
    word = f"request_{task}_on_node" if task is not None else "request_puppet_run_on_node"
    return {
        "message": f'Request {what} via orchestrator job "{job}"',
        "type": type_,
        "what": "node",
        "description": word,
    }
