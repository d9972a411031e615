"""Scheduled jobs, of the newer API and of the older one (orchestrator API, section 10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json, Owner, moment


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a schedule: a job or a plan job, or `error` (kind, msg) where none could be submitted."""

    at: datetime | None
    job: int | None
    plan_job: int | None
    error: Json | None = field(repr=False)
    error_kind: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduled job of PE 2021.7 and later. `interval_s` None is once; a disabled one vanishes from lists."""

    id: int
    type: str
    enabled: bool | None
    environment: str | None
    owner: Owner
    description: str = field(repr=False)
    name: str | None
    starts: datetime | None
    interval_s: int | None
    next_run: datetime | None
    last_run: LastRun | None
    sensitive: tuple[str, ...]
    input: Json = field(repr=False)
    userdata: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Schedule | None:
        """Read a scheduled job, None where it has no usable id."""
        number = fields.own_id(told)
        if number is None:
            return None
        settings, plan = fields.mapping(told.get("input")), fields.mapping(told.get("schedule"))
        return cls(
            id=number,
            type=fields.word(told.get("type")),
            enabled=fields.flag(told.get("enabled")),
            environment=fields.environment(told),
            owner=Owner.read(told.get("owner")),
            description=fields.text(told.get("description")) or "",
            name=fields.text(settings.get("name")),
            starts=moment(plan.get("start_time")) or moment(told.get("start_time")),
            interval_s=fields.count(fields.mapping(plan.get("interval")).get("value")),
            next_run=moment(fields.mapping(told.get("next_run")).get("time")),
            last_run=_last_run(told.get("last_run")),
            sensitive=fields.names(settings.get("sensitive_parameters")),
            input=settings,
            userdata=fields.mapping(told.get("userdata")),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class OldSchedule:
    """A scheduled job as PE 2018.1 to 2021.6 tell of it."""

    id: int
    type: str
    environment: str | None
    owner: Owner
    description: str = field(repr=False)
    task: str | None
    at: datetime | None
    noop: bool | None
    scope: Json = field(repr=False)
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> OldSchedule | None:
        """Read a scheduled job, None where it has no usable id."""
        number = fields.own_id(told)
        if number is None:
            return None
        return cls(
            id=number,
            type=fields.word(told.get("type")),
            environment=fields.environment(told) or fields.text(told.get("enviroment")),
            owner=Owner.read(told.get("owner")),
            description=fields.text(told.get("description")) or "",
            task=fields.text(told.get("task")),
            at=moment(told.get("scheduled_time")),
            noop=fields.flag(told.get("noop")),
            scope=fields.mapping(told.get("scope")),
            raw=told,
        )


def _last_run(value: Any) -> LastRun | None:
    if not isinstance(value, dict):
        return None
    told = fields.mapping(value.get("job"))
    address = fields.text(told.get("id")) or ""
    number = fields.own_id(told)
    is_plan = "/plan_jobs/" in address
    failed = isinstance(told.get("submission_error"), dict)
    error = fields.mapping(told.get("submission_error"))
    return LastRun(
        at=moment(value.get("time")),
        job=None if is_plan or failed else number,
        plan_job=number if is_plan and not failed else None,
        error=error if failed else None,
        error_kind=fields.text(error.get("kind")),
    )
