"""What the orchestrator says, in one shape for all versions since 2016.4.

Ids are integers, absent fields are None, timestamps stay the text PE sent (they may be
malformed), and `raw` is PE's own object as compact JSON, with every field we do not know.
"""

from __future__ import annotations

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """Who started it. Only id and login are stable; the rest may change between reads."""

    id: str | None = None
    login: str | None = None


class StatusItem(msgspec.Struct, frozen=True):
    """One stretch of a job's life: the state and when it was entered and left."""

    state: str
    entered: str | None = None
    left: str | None = None


class Job(msgspec.Struct, frozen=True):
    """One job, from the list or its own page (reference 6.1, 6.2).

    `status` is None where the answer has none (the list; old servers). `node_states` is
    None both for "null" (a job without nodes) and for servers that do not tell.
    `duration` is in seconds. `plan_id` is the plan job it belongs to.
    """

    id: int
    state: str
    raw: bytes
    type: str | None = None
    command: str | None = None
    created: str | None = None
    finished: str | None = None
    stamp: str | None = None
    duration: float | None = None
    node_count: int | None = None
    node_states: dict[str, int] | None = None
    task: str | None = None
    target: str | None = None
    environment: str | None = None
    description: str | None = None
    noop: bool | None = None
    plan_id: int | None = None
    scheduled_id: int | None = None
    owner: Owner = Owner()
    sensitive: tuple[str, ...] = ()
    status: tuple[StatusItem, ...] | None = None


class JobEvent(msgspec.Struct, frozen=True):
    """One event of a job (reference 6.5). `detail` is compact JSON, or None where there is none."""

    id: int
    type: str
    raw: bytes
    stamp: str | None = None
    node: str | None = None
    detail: bytes | None = None
    message: str | None = None


class NodeRow(msgspec.Struct, frozen=True):
    """One node's place in a job (reference 6.3); results are left out, events carry them."""

    name: str
    state: str


class Plan(msgspec.Struct, frozen=True):
    """One plan job (reference 7). `children` are the job ids of its status map, None where not told.

    `result` is compact JSON, None where the answer leaves it out.
    """

    id: int
    state: str
    raw: bytes
    name: str | None = None
    environment: str | None = None
    description: str | None = None
    scheduled_id: int | None = None
    created: str | None = None
    finished: str | None = None
    stamp: str | None = None
    duration: float | None = None
    owner: Owner = Owner()
    sensitive: tuple[str, ...] = ()
    children: tuple[int, ...] | None = None
    result: bytes | None = None


class PlanEvent(msgspec.Struct, frozen=True):
    """One event of a plan job (reference 7). `id` is None where the server left it out.

    `details` is compact JSON; `job_id` and `message` are lifted out of it.
    """

    id: int | None
    type: str
    raw: bytes
    stamp: str | None = None
    job_id: int | None = None
    message: str | None = None
    details: bytes | None = None


class Connection(msgspec.Struct, frozen=True, gc=False):
    """One node's session with a broker (reference 9); `since` is when it was opened, as PE wrote it."""

    name: str
    connected: bool
    broker: str | None = None
    since: str | None = None


class Named(msgspec.Struct, frozen=True):
    """Who did something, or what it was done to, as the activity service calls it."""

    id: str | None = None
    name: str | None = None
    type: str | None = None


class Deed(msgspec.Struct, frozen=True):
    """One thing done within a commit; servers with the first activity API tell its message alone."""

    message: str | None = None
    type: str | None = None
    what: str | None = None
    description: str | None = None


class Commit(msgspec.Struct, frozen=True):
    """One entry of the activity service (reference 15); it has no id. `ip` is the chain of addresses it came by."""

    raw: bytes
    stamp: str | None = None
    subject: Named = Named()
    objects: tuple[Named, ...] = ()
    deeds: tuple[Deed, ...] = ()
    ip: str | None = None


class LastRun(msgspec.Struct, frozen=True):
    """A schedule's newest run: the job or plan job it started, or why it could not be submitted.

    `kind` is "job" or "plan", None where it is not told; `error` is compact JSON, None where there was none.
    """

    stamp: str | None = None
    kind: str | None = None
    id: int | None = None
    error: bytes | None = None


class Schedule(msgspec.Struct, frozen=True):
    """One scheduled job (reference 10). `interval_s` is None for one that runs once.

    `parts` are what a person decides of it, each as compact JSON, by name: a change of one is a change of the
    schedule. `planned` is when it runs next, None where it will not. The older API tells of no run that was: there
    `runs_told` is false.
    """

    id: int
    raw: bytes
    type: str | None = None
    name: str | None = None
    environment: str | None = None
    description: str | None = None
    enabled: bool = True
    begins: str | None = None
    interval_s: float | None = None
    planned: str | None = None
    last: LastRun | None = None
    owner: Owner = Owner()
    sensitive: tuple[str, ...] = ()
    parts: dict[str, bytes] = {}
    runs_told: bool = True


class TaskMeta(msgspec.Struct, frozen=True):
    """What a task's author declared sensitive (reference 8)."""

    name: str
    sensitive: tuple[str, ...] = ()


class Odd(msgspec.Struct, frozen=True):
    """An item that could not be understood: its bytes and why; `id` is its own where that much could be read."""

    raw: bytes
    reason: str
    id: int | None = None
