"""Jobs: lists, details, nodes, reports, events, and events to the end (orchestrator API, section 6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.following import Tempo, follow
from orchbridge.orchestrator.api.paging import PAGE, ended_within, made, paged
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Value, read
from orchbridge.orchestrator.models import Job, JobEvent, Node, ReportRow
from orchbridge.orchestrator.models.jobs import NODE_ENDS

_LAST = {"job_finished", "job_aborted"}
_FILTERED = {None, "deploy", "task", "plan_task"}  # the types a server lists by
_NODE_EVENTS = {"node_finished", "node_failed", "node_errored", "node_skipped"}
TEMPO = Tempo()


class Jobs:
    """`client.jobs`. Needs the permission orchestrator:view:*."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(
        self,
        *,
        limit: int = PAGE,
        offset: int = 0,
        order_by: str = "name",
        order: str = "desc",
        type: str | None = None,  # noqa: A002 - PE's name for it
        task: str | None = None,
        min_finish_timestamp: datetime | None = None,
        max_finish_timestamp: datetime | None = None,
    ) -> AsyncGenerator[Job, None]:
        """Yield jobs, newest first unless told otherwise, page by page of `limit` (section 6.1).

        order_by   owner, timestamp, environment, name (the number) or state; what changes while pages are
                   read, as timestamp and state do, may make it leave jobs out
        type       deploy, task or plan_task; `task` is a part of the task's name, and excludes type=deploy
        min_finish_timestamp, max_finish_timestamp  both inclusive; leave unfinished jobs out (2021.6)

        Before 2017.3 a server knows one page only. Filters are applied here as well, since an older
        server may ignore or refuse them; it is then asked for everything. Raises ApiError; Invalid for
        a filter that no server takes.
        """
        filters: Mapping[str, Value] = {
            "type": type,
            "task": task,
            "min_finish_timestamp": min_finish_timestamp,
            "max_finish_timestamp": max_finish_timestamp,
        }
        plain = (order_by, order) == ("name", "desc")
        filtered = any(value is not None for value in filters.values())
        sound = type in _FILTERED and not (type == "deploy" and task)

        def page(at: int) -> tuple[Call, ...]:
            place: Mapping[str, Value] = {"limit": limit, "offset": at}
            ordered = {**place, "order": order, "order_by": order_by}
            best = read("/jobs", params={**ordered, **filters})
            if not sound:
                return (best,)
            less = (read("/jobs", params=ordered),) if filtered else ()
            if not plain:
                return best, *less
            oldest = (read("/jobs", params={"limit": limit}),) if at == 0 else ()
            return best, *less, read("/jobs", params=place), *oldest

        async with aclosing(paged(self._caller, page, Job.read, key=lambda job: job.id, offset=offset)) as found:
            async for job in found:
                if _wanted(job, type, task, min_finish_timestamp, max_finish_timestamp):
                    yield job

    async def get(self, job: int) -> Job:
        """Return one job with its states (section 6.2). Raises UnknownJob, also where it was pruned."""
        call = read("/jobs/:id", job)
        return made(call, await self._caller.told(call), Job.read)

    async def nodes(
        self,
        job: int,
        *,
        limit: int = PAGE,
        offset: int = 0,
        order_by: str | None = None,
        order: str | None = None,
        state: str | None = None,
    ) -> AsyncGenerator[Node, None]:
        """Yield the nodes of a job, page by page of `limit`; results can be large (section 6.3).

        order_by   name, duration, state, start_timestamp or finish_timestamp; order asc or desc (2021.0)
        state      only nodes in this state (2021.2); applied here as well, since not every version takes every one

        Raises UnknownJob.
        """

        def page(at: int) -> tuple[Call, ...]:
            params: Mapping[str, Value] = {"limit": limit, "offset": at, "order_by": order_by, "order": order}
            best = read("/jobs/:id/nodes", job, params={**params, "state": state})
            less = (read("/jobs/:id/nodes", job, params=params),) if state else ()
            oldest = (read("/jobs/:id/nodes", job),) if at == 0 and not (order_by or order) else ()
            return best, *less, *oldest

        rows = paged(self._caller, page, Node.read, key=lambda node: node.name, offset=offset, enveloped=False)
        async with aclosing(rows) as found:
            async for node in found:
                if state is None or node.state == state:
                    yield node

    async def report(self, job: int) -> tuple[ReportRow, ...]:
        """Return a job's report (section 6.4). Raises UnknownJob."""
        told = await self._caller.told(read("/jobs/:id/report", job))
        return tuple(map(ReportRow.read, fields.listed(told.get("items"))))

    async def events(self, job: int, *, start: int | None = None) -> tuple[JobEvent, ...]:
        """Return the events that are visible now, by ascending id, from `start` on, inclusive (section 6.5).

        What is visible now need not be all below the highest id. Raises UnknownJob.
        """
        told = await self._caller.told(read("/jobs/:id/events", job, params={"start": start}))
        events = map(JobEvent.read, fields.listed(told.get("items")))
        return tuple(sorted(events, key=lambda event: event.id or 0))

    async def follow(self, job: int, tempo: Tempo = TEMPO) -> AsyncGenerator[JobEvent, None]:
        """Yield the events of a job from its first one to its end, each once (sections 6.5, 16.4).

        It ends with the job's state, also where job_finished is missing, and waits `tempo.grace_s`
        for what trails. A server that is away for less than `tempo.patience_s` is waited for.
        Raises UnknownJob where the job is not there, or was pruned meanwhile.
        """
        async with aclosing(follow(_Followed(self, job), tempo)) as events:
            async for event in events:
                yield event


class _Followed:
    """A job being followed: which of its nodes told their end."""

    def __init__(self, jobs: Jobs, job: int) -> None:
        self._jobs = jobs
        self._job = job
        self._ended: set[str] = set()
        self._expected = 0

    async def events(self, start: int | None) -> Sequence[JobEvent]:
        return await self._jobs.events(self._job, start=start)

    async def over(self) -> bool:
        job = await self._jobs.get(self._job)
        self._expected = sum(count for state, count in job.node_states.items() if state in NODE_ENDS - {"stopped"})
        return job.over

    def ends(self, event: JobEvent) -> bool:
        if event.type in _NODE_EVENTS and event.node:
            self._ended.add(event.node)
        return event.type in _LAST

    def explained(self) -> bool:
        return len(self._ended) >= self._expected


def _wanted(job: Job, kind: str | None, task: str | None, start: datetime | None, end: datetime | None) -> bool:
    """Whether the job is what was asked for, as far as it tells."""
    if kind and job.type and job.type != kind:
        return False
    if task and job.task is not None and task not in job.task:
        return False
    return ended_within(job.finished, start, end)
