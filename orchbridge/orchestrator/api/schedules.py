"""Scheduled jobs, through the newer API and the older one (orchestrator API, section 10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

from orchbridge.orchestrator.api.drafts import Draft
from orchbridge.orchestrator.api.inputs import Input
from orchbridge.orchestrator.api.paging import PAGE, made, paged
from orchbridge.orchestrator.api.shelves import SCHEDULES
from orchbridge.orchestrator.api.starting import made_id, once, start
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Value, encoded, given, read, send, stamp
from orchbridge.orchestrator.models import OldSchedule, Ref, Schedule

_NEW = "/scheduled_jobs/environment_jobs"
_OLD = "/scheduled_jobs"


class Schedules:
    """`client.schedules`: the newer API since 2021.7.0, and `list_old`, `delete_old`, which 2021.7.0 deprecates."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(
        self,
        *,
        limit: int = PAGE,
        offset: int = 0,
        order_by: str = "next_run_time",
        order: str = "asc",
        type: str | None = None,  # noqa: A002 - PE's name for it
    ) -> AsyncGenerator[Schedule, None]:
        """Yield scheduled jobs, page by page of `limit`; disabled ones are not shown.

        order_by  next_run_time, environment, owner, name or type; type is deploy, task or plan

        Raises QueryRefused, Unsupported before 2021.7.
        """

        def page(at: int) -> tuple[Call, ...]:
            place: Mapping[str, Value] = {"limit": limit, "offset": at, "order_by": order_by, "order": order}
            return (read(_NEW, params={**place, "type": type}),)

        rows = paged(self._caller, page, Schedule.read, key=lambda each: each.id, offset=offset)
        async with aclosing(rows) as found:
            async for schedule in found:
                yield schedule

    async def get(self, schedule: int) -> Schedule:
        """Return one scheduled job. Raises QueryRefused where there is none, or it is disabled."""
        call = read(f"{_NEW}/:id", schedule)
        return made(call, await self._caller.told(call), Schedule.read)

    async def create(
        self,
        what: Input,
        start_time: datetime,
        *,
        environment: str = "production",
        interval_s: int | None = None,
        description: str = "",
        userdata: Mapping[str, Any] | None = None,
    ) -> Ref:
        """Make a scheduled job; return it. `interval_s` None is once.

        Raises PastTime, NotStarted and Uncertain as commands do, and what the command itself raises.
        """
        body = {
            "type": what.type,
            "input": what.to_json(),
            "environment": environment,
            "schedule": _schedule(start_time, interval_s),
            "description": description,
            "userdata": dict(userdata or {}),
        }
        draft = Draft(_NEW, body, what.hidden(), {"environment": environment, "description": description})
        del body  # a traceback may show what is still in a frame
        return await start(self._caller, draft, SCHEDULES)

    async def update(
        self,
        schedule: int,
        *,
        what: Input | None = None,
        start_time: datetime | None = None,
        interval_s: int | None = None,
        environment: str | None = None,
        description: str | None = None,
        userdata: Mapping[str, Any] | None = None,
        enabled: bool | None = None,
    ) -> Ref:
        """Change a scheduled job; each thing given replaces the whole old one. `interval_s` goes with `start_time`.

        Raises ScheduleDisabled, PastTime, Invalid, and Uncertain where the answer is lost.
        """
        if interval_s is not None and start_time is None:
            raise ValueError("an interval replaces the whole schedule, so give start_time with it")
        changes = given(
            input=what.to_json() if what else None,
            schedule=_schedule(start_time, interval_s) if start_time else None,
            environment=environment,
            description=description,
            userdata=userdata,
            enabled=enabled,
        )
        hidden = what.hidden() if what else None
        call = send(f"{_NEW}/:id", schedule, content=encoded(changes), method="PUT", hidden=hidden)
        del changes  # a traceback may show what is still in a frame
        reply = await once(self._caller, call, f"scheduled job {schedule}")
        return Ref(made_id(reply) or schedule)

    async def disable(self, schedule: int) -> Ref:
        """Disable a scheduled job, for good: it is the only way to delete one. Raises as `update`."""
        return await self.update(schedule, enabled=False)

    async def list_old(
        self,
        *,
        limit: int = PAGE,
        offset: int = 0,
        order_by: str | None = None,
        order: str | None = None,
        type: str | None = None,  # noqa: A002 - PE's name for it
    ) -> AsyncGenerator[OldSchedule, None]:
        """Yield the scheduled jobs of the older API (since 2018.1.5).

        2021.7.0 deprecates it: there and later it may be empty whatever schedules there are, or gone.
        Raises Unsupported where it is not there.
        """

        def page(at: int) -> tuple[Call, ...]:
            place: Mapping[str, Value] = {"limit": limit, "offset": at, "order_by": order_by, "order": order}
            return (read(_OLD, params={**place, "type": type}),)

        rows = paged(self._caller, page, OldSchedule.read, key=lambda each: each.id, offset=offset)
        async with aclosing(rows) as found:
            async for schedule in found:
                yield schedule

    async def delete_old(self, schedule: int) -> None:
        """Delete a scheduled job of the older API; newer servers say yes and do nothing.

        Raises NotPermitted for somebody else's, NotFound or Invalid, Uncertain where the answer is lost.
        """
        await once(self._caller, send(f"{_OLD}/:id", schedule, content=None, method="DELETE"), "the list")


def _schedule(start_time: datetime, interval_s: int | None) -> Mapping[str, Any]:
    interval = None if interval_s is None else {"units": "seconds", "value": interval_s}
    return {"start_time": stamp(start_time), "interval": interval}
