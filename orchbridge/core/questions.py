"""What a stream may ask, and what may come back."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from orchbridge.core.facts import Commit, Connection, Job, JobEvent, NodeRow, Odd, Plan, PlanEvent, Schedule, TaskMeta


class JobsPage(msgspec.Struct, frozen=True, tag=True):
    """`GET /jobs?order=desc&order_by=name`: newest first -> Page of Job."""

    limit: int
    offset: int = 0


class JobDetail(msgspec.Struct, frozen=True, tag=True):
    """`GET /jobs/:id` -> Job with its status list."""

    job: int


class JobEvents(msgspec.Struct, frozen=True, tag=True):
    """`GET /jobs/:id/events?start=`: events with id >= start, all where start is None -> Page of JobEvent."""

    job: int
    start: int | None = None


class JobNodes(msgspec.Struct, frozen=True, tag=True):
    """`GET /jobs/:id/nodes?limit=&offset=` -> Page of NodeRow; a page shorter than asked is not yet the end."""

    job: int
    limit: int
    offset: int = 0


class PlansPage(msgspec.Struct, frozen=True, tag=True):
    """`GET /plan_jobs?order=desc&order_by=name&results=exclude` -> Page of Plan."""

    limit: int
    offset: int = 0


class PlanDetail(msgspec.Struct, frozen=True, tag=True):
    """`GET /plan_jobs/:id` -> Plan with result and children."""

    plan: int


class PlanEvents(msgspec.Struct, frozen=True, tag=True):
    """`GET /plan_jobs/:id/events?start=` -> Page of PlanEvent."""

    plan: int
    start: int | None = None


class PlanEventWhole(msgspec.Struct, frozen=True, tag=True):
    """`GET /plan_jobs/:id/event/:event`: one event with its whole text -> PlanEvent."""

    plan: int
    event: int


class Inventory(msgspec.Struct, frozen=True, tag=True):
    """`GET /inventory` -> Page of Connection, one for every connected node."""


class InventoryOf(msgspec.Struct, frozen=True, tag=True):
    """`POST /inventory` about these certnames -> Page of Connection, disconnected ones included."""

    nodes: tuple[str, ...]


class BrokerStatus(msgspec.Struct, frozen=True, tag=True):
    """`GET /status/v1/services/broker-service` -> Health."""


class TaskMetadata(msgspec.Struct, frozen=True, tag=True):
    """`GET /tasks/:module/:task?environment=` -> TaskMeta."""

    task: str
    environment: str


class Activity(msgspec.Struct, frozen=True, tag=True):
    """`GET /activity-api/v<version>/events?service_id=&order=asc`: a service's commits -> Page of Commit.

    Oldest first, unless the server is so old that it does not know how to: then newest first.
    """

    service: str
    limit: int
    offset: int = 0
    version: int = 2


class Schedules(msgspec.Struct, frozen=True, tag=True):
    """`GET /scheduled_jobs/environment_jobs`, or with `old` the API before it -> Page of Schedule."""

    limit: int
    offset: int = 0
    old: bool = False


Question: TypeAlias = (
    JobsPage
    | JobDetail
    | JobEvents
    | JobNodes
    | PlansPage
    | PlanDetail
    | PlanEvents
    | PlanEventWhole
    | Inventory
    | InventoryOf
    | BrokerStatus
    | TaskMetadata
    | Activity
    | Schedules
)

Item: TypeAlias = Job | JobEvent | NodeRow | Plan | PlanEvent | Connection | Commit | Schedule | Odd


class Page(msgspec.Struct, frozen=True):
    """Items in the server's order. `total` is its own count, None where it gives none.

    `paged` tells whether the answer had a pagination object (2017.3 and later). `cut` is true
    where the body was too large to take at once: these are its first items, ask again from
    behind the last one. `at` is what the server's clock said (Unix seconds), where that matters and was told.
    """

    items: tuple[Item, ...]
    total: int | None = None
    paged: bool = True
    cut: bool = False
    at: float | None = None


class Health(msgspec.Struct, frozen=True):
    """The state word of a service: running, error, unknown or one we do not know."""

    state: str


class Trouble(msgspec.Struct, frozen=True):
    """An answer that is not one; time may mend it.

    `kind` is one of: unreachable, timeout, tls, server (5xx, restarts), throttled (429), missing
    (404 of the thing asked for: unknown-job and its like), absent (404 of the route or without a
    kind), forbidden (403 on one item), invalid (400), malformed (body not what was asked for: HTML,
    torn, wrong shape), oversize (body beyond the limit). `retry_after_s` is the server's wish.
    `explanation` is one line for a person, without secrets.
    """

    kind: str
    explanation: str
    status: int | None = None
    retry_after_s: float | None = None


Answer: TypeAlias = Page | Job | Plan | PlanEvent | TaskMeta | Health | Trouble


class Reply(msgspec.Struct, frozen=True):
    """A question with its answer and when (Unix seconds) it was asked and answered."""

    question: Question
    answer: Answer
    asked_at: float
    at: float


def items(reply: Reply) -> int:
    """Return how many jobs, events, nodes or plans an answer holds; those that cannot be read count as well."""
    match reply.answer:
        case Page(items=found):
            return len(found)
        case Job() | Plan() | PlanEvent():
            return 1
        case _:
            return 0


def subject(question: Question) -> tuple[str, object]:
    """Return what a question is about; two questions about the same are never under way together."""
    match question:
        case JobDetail(job=job) | JobEvents(job=job) | JobNodes(job=job):
            about: object = job
        case PlanDetail(plan=plan) | PlanEvents(plan=plan):
            about = plan
        case PlanEventWhole(plan=plan, event=event):
            about = (plan, event)
        case TaskMetadata(task=task, environment=environment):
            about = (task, environment)
        case _:
            about = None
    return type(question).__name__, about
