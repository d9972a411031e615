"""Plan jobs: lists, details, events, and events to the end (orchestrator API, section 7)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.following import Tempo, follow
from orchbridge.orchestrator.api.paging import PAGE, ended_within, made, paged
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Value, read
from orchbridge.orchestrator.errors import NotFound
from orchbridge.orchestrator.models import PlanEvent, PlanJob

_LAST = {"plan_finished", "plan_failed"}
TEMPO = Tempo()


class PlanJobs:
    """`client.plan_jobs`; since 2018.1. Needs the permission orchestrator:view:*."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(
        self,
        *,
        limit: int = PAGE,
        offset: int = 0,
        order_by: str = "name",
        order: str = "desc",
        results: str = "exclude",
        min_finish_timestamp: datetime | None = None,
        max_finish_timestamp: datetime | None = None,
    ) -> AsyncGenerator[PlanJob, None]:
        """Yield plan jobs, newest first unless told otherwise, page by page of `limit` (section 7).

        order_by   owner, timestamp, environment, name (the number) or state (2021.3)
        results    include or exclude (2019.8.1): a result can be large, so it is left out unless asked for
        min_finish_timestamp, max_finish_timestamp  both inclusive; leave unfinished ones out (2021.6)

        The times are applied here as well, since an older server may ignore or refuse them. Raises
        ApiError; Unsupported before 2018.1.
        """
        filters: Mapping[str, Value] = {
            "min_finish_timestamp": min_finish_timestamp,
            "max_finish_timestamp": max_finish_timestamp,
        }
        plain = (order_by, order) == ("name", "desc")

        def page(at: int) -> tuple[Call, ...]:
            place: Mapping[str, Value] = {"limit": limit, "offset": at}
            ordered = {**place, "order": order, "order_by": order_by, "results": results}
            best = read("/plan_jobs", params={**ordered, **filters})
            less = (read("/plan_jobs", params=ordered),) if any(filters.values()) else ()
            older = read("/plan_jobs", params={**place, "results": results}), read("/plan_jobs", params=place)
            return (best, *less, *older) if plain else (best, *less)

        rows = paged(self._caller, page, PlanJob.read, key=lambda plan: plan.id, offset=offset)
        async with aclosing(rows) as found:
            async for plan in found:
                if ended_within(plan.finished, min_finish_timestamp, max_finish_timestamp):
                    yield plan

    async def get(self, plan_job: int) -> PlanJob:
        """Return one plan job with the jobs it started. Raises UnknownJob, also where it was pruned."""
        call = read("/plan_jobs/:id", plan_job)
        return made(call, await self._caller.told(call), PlanJob.read)

    async def events(self, plan_job: int, *, start: int | None = None) -> tuple[PlanEvent, ...]:
        """Return the events that are visible now, by ascending id, from `start` on, inclusive.

        Messages are cut at 1024 bytes; `event` has them whole. Raises UnknownJob.
        """
        told = await self._caller.told(read("/plan_jobs/:id/events", plan_job, params={"start": start}))
        events = map(PlanEvent.read, fields.listed(told.get("items")))
        return tuple(sorted(events, key=lambda event: event.id or 0))

    async def event(self, plan_job: int, event: int) -> PlanEvent:
        """Return one event, its message whole (2019.4). Raises UnknownJob, UnknownEvent, Unsupported."""
        return PlanEvent.read(await self._caller.told(read("/plan_jobs/:id/event/:event", plan_job, event)))

    async def follow(self, plan_job: int, tempo: Tempo = TEMPO) -> AsyncGenerator[PlanEvent, None]:
        """Yield the events of a plan job to its end, each once, long messages whole.

        It ends with the plan job's state, also where plan_finished is missing. An externally driven
        plan whose driver died never ends. Raises UnknownJob as `jobs.follow` does.
        """
        async with aclosing(follow(_Followed(self, plan_job), tempo)) as events:
            async for event in events:
                yield await self._whole(plan_job, event)

    async def _whole(self, plan_job: int, event: PlanEvent) -> PlanEvent:
        if not event.cut or event.id is None:
            return event
        try:
            return await self.event(plan_job, event.id)
        except NotFound:  # an older server, or pruned meanwhile
            return event


class _Followed:
    """A plan job being followed."""

    def __init__(self, plan_jobs: PlanJobs, plan_job: int) -> None:
        self._plan_jobs = plan_jobs
        self._plan_job = plan_job

    async def events(self, start: int | None) -> Sequence[PlanEvent]:
        return await self._plan_jobs.events(self._plan_job, start=start)

    async def over(self) -> bool:
        return (await self._plan_jobs.get(self._plan_job)).over

    def ends(self, event: PlanEvent) -> bool:
        return event.type in _LAST

    def explained(self) -> bool:
        return True
