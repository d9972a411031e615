"""Plan jobs and their events (orchestrator API, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, Owner, StatusItem, moment

PLAN_ENDS = frozenset({"success", "failure"})
CUT_AT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class PlanJob:
    """One run of a plan. Its id is counted apart from those of jobs.

    plan        the plan's name
    parameters  without the values of those that `sensitive` names (before 2021.7 not always)
    result      any JSON, None until it ended or where results were left out
    jobs        states of the jobs it started, by job id; there where one plan job was asked for
    """

    id: int
    state: str
    plan: str | None
    owner: Owner
    created: datetime | None
    finished: datetime | None
    changed: datetime | None
    duration_s: float | None
    environment: str | None
    description: str = field(repr=False)
    schedule: int | None
    sensitive: tuple[str, ...]
    jobs: Mapping[int, tuple[StatusItem, ...]]
    parameters: Json = field(repr=False)
    result: Any = field(repr=False)
    userdata: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        """Whether it has ended: in a state that ends it, or in one nobody knows yet but with an end."""
        return self.state in PLAN_ENDS or self.finished is not None

    @classmethod
    def read(cls, told: Json) -> PlanJob | None:
        """Read a plan job, None where it has no usable id."""
        number = fields.own_id(told)
        options = fields.mapping(told.get("options"))
        if number is None:
            return None
        state, changed = fields.word(told.get("state")), moment(told.get("timestamp"))
        children = fields.mapping(told.get("status"))
        return cls(
            id=number,
            state=state,
            plan=fields.text(options.get("plan_name")),
            owner=Owner.read(told.get("owner")),
            created=moment(fields.created(told)),
            finished=moment(told.get("finished_timestamp")) or (changed if state in PLAN_ENDS else None),
            changed=changed,
            duration_s=fields.seconds(told.get("duration")),
            environment=fields.environment(told),
            description=fields.text(options.get("description")) or "",
            schedule=fields.scheduled_id(options),
            sensitive=fields.names(options.get("sensitive")),
            jobs={job: StatusItem.read_all(value) for name, value in children.items() if (job := fields.to_id(name))},
            parameters=fields.mapping(options.get("parameters")),
            result=told.get("result"),
            userdata=fields.mapping(told.get("userdata")),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class PlanEvent:
    """One event of a plan job. `id` is None in the few that have none.

    job      the job that a task_start and its like tell of
    plan     the sub-plan that plan_start and plan_end tell of
    message  what out_message says; `cut` is that a list shows its beginning only
    """

    id: int | None
    type: str
    at: datetime | None
    job: int | None
    plan: str | None
    message: str = field(repr=False)
    details: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @property
    def cut(self) -> bool:
        """Whether the message is long enough to have been cut at 1024 bytes."""
        return len(self.message.encode("utf-8", "replace")) >= CUT_AT_BYTES - 3

    @classmethod
    def read(cls, told: Json) -> PlanEvent:
        """Read an event."""
        details = fields.mapping(told.get("details"))
        return cls(
            id=fields.to_id(told.get("id")),
            type=fields.word(told.get("type")),
            at=moment(told.get("timestamp")),
            job=fields.to_id(details.get("job-id")),
            plan=fields.text(details.get("plan")),
            message=fields.text(details.get("message")) or "",
            details=details,
            raw=told,
        )
