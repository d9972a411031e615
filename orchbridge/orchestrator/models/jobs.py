"""Jobs, their nodes, events and reports (orchestrator API, section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, Owner, StatusItem, moment

JOB_ENDS = frozenset({"stopped", "finished", "failed"})
NODE_ENDS = frozenset({"finished", "failed", "errored", "skipped", "stopped"})


@dataclass(frozen=True, slots=True)
class Job:
    """One job (section 6.1, 6.2). `status` is there where one job was asked for.

    type        deploy, task, plan_task, ... an open set; older servers have only `command`
    changed     when its state last changed
    duration_s  grows while it runs
    node_states how many nodes are in each state; {} where there are none
    options     what it was started with; `sensitive` names parameters whose values the server took out
    plan_job    the plan job that started it; schedule: the scheduled job
    """

    id: int
    state: str
    type: str | None
    owner: Owner
    created: datetime | None
    finished: datetime | None
    changed: datetime | None
    duration_s: float | None
    node_count: int | None
    node_states: Mapping[str, int]
    environment: str | None
    task: str | None
    description: str = field(repr=False)
    noop: bool | None
    plan_job: int | None
    schedule: int | None
    sensitive: tuple[str, ...]
    status: tuple[StatusItem, ...] = field(repr=False)
    options: Json = field(repr=False)
    userdata: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        """Whether it has ended: in a state that ends it, or in one nobody knows yet but with an end."""
        return self.state in JOB_ENDS or self.finished is not None

    @property
    def total(self) -> int | None:
        """How many nodes it has; None where the server tells it in no way, as in 2016.2."""
        return self.node_count if self.node_count is not None else sum(self.node_states.values()) or None

    @classmethod
    def read(cls, told: Json) -> Job | None:
        """Read a job, None where it has no usable id."""
        number = fields.own_id(told)
        options = fields.mapping(told.get("options"))
        if number is None:
            return None
        status = StatusItem.read_all(told.get("status"))
        state = fields.word(told.get("state"))
        changed = moment(told.get("timestamp"))
        return cls(
            id=number,
            state=state,
            type=fields.text(told.get("type")) or fields.text(told.get("command")),
            owner=Owner.read(told.get("owner")),
            created=moment(fields.created(told)) or (status[0].entered if status else None),
            # Before 2021.0 only the last change is told, which is the end of what has ended.
            finished=moment(told.get("finished_timestamp")) or (changed if state in JOB_ENDS else None),
            changed=changed,
            duration_s=fields.seconds(told.get("duration")),
            node_count=fields.count(told.get("node_count")),
            node_states=fields.counts(told.get("node_states")) or {},
            environment=fields.environment(told),
            task=fields.text(options.get("task")),
            description=fields.text(options.get("description")) or fields.text(told.get("description")) or "",
            noop=fields.flag(options.get("noop")),
            plan_job=fields.to_id(options.get("plan_job")),
            schedule=fields.scheduled_id(options),
            sensitive=fields.names(options.get("sensitive")),
            status=status,
            options=options,
            userdata=fields.mapping(told.get("userdata")),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Node:
    """One node's place in a job (section 6.3). `result` is any JSON, None until the node ended."""

    name: str
    state: str
    transport: str | None
    started: datetime | None
    finished: datetime | None
    duration_s: float | None
    transaction_uuid: str | None
    latest_event: int | None
    details: Json = field(repr=False)
    result: Any = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Node | None:
        """Read a node, None where it has no name."""
        name = fields.text(told.get("name"))
        if name is None:
            return None
        return cls(
            name=name,
            state=fields.word(told.get("state")),
            transport=fields.text(told.get("transport")),
            started=moment(told.get("start_timestamp")),
            finished=moment(told.get("finish_timestamp")),
            duration_s=fields.seconds(told.get("duration")),
            transaction_uuid=fields.text(told.get("transaction_uuid")),
            latest_event=fields.to_id(told.get("latest-event-id")),
            details=fields.mapping(told.get("details")),
            result=told.get("result"),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of a job (section 6.5). `type` is an open set; `message` is for people, never to be parsed."""

    id: int | None
    type: str
    at: datetime | None
    node: str | None
    detail: Any = field(repr=False)
    message: str = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> JobEvent:
        """Read an event."""
        details = fields.mapping(told.get("details"))
        return cls(
            id=fields.to_id(told.get("id")),
            type=fields.word(told.get("type")),
            at=moment(told.get("timestamp")),
            node=fields.text(details.get("node")),
            detail=details.get("detail"),
            message=fields.text(told.get("message")) or "",
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One node in a job's report (section 6.4). `events` are ids, or the events themselves on old servers."""

    node: str | None
    state: str
    at: datetime | None
    events: tuple[Any, ...] = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> ReportRow:
        """Read a row."""
        events = told.get("events")
        return cls(
            fields.text(told.get("node")),
            fields.word(told.get("state")),
            moment(told.get("timestamp")),
            tuple(events) if isinstance(events, list) else (),
            told,
        )


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a job looked like when it was told to stop: nodes by state (section 5, stop)."""

    id: int
    nodes: Mapping[str, int]
