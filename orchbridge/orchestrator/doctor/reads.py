"""Everything a running bridge reads of a source, each read once: may we, and how does it go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import httpx

from orchbridge.core.ports import Finding
from orchbridge.core.questions import (
    Activity,
    InventoryOf,
    JobEvents,
    JobNodes,
    JobsPage,
    PlanEvents,
    PlansPage,
    Question,
    Schedules,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.access import Access, http_client
from orchbridge.orchestrator.console import rbac_address
from orchbridge.orchestrator.doctor import pace
from orchbridge.orchestrator.doctor.findings import failed, not_checked, ok, warning
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.look import Look, look
from orchbridge.orchestrator.requests import to_request
from orchbridge.orchestrator.tokens import Token

PAGE = 50  # what is asked for at every tick
NOBODY = ("orchbridge-check.invalid",)  # cannot exist: the whole inventory would be a burden
OF_A_JOB = ("job events", "job nodes")
ACTIVITY = "activity-"  # and the service, as its stream is called


@dataclass(frozen=True, slots=True)
class Reading:
    """What a bridge with these settings reads, and how often (seconds); `services` are those whose activity is read.

    With `renewed` it looks after its token itself.
    """

    streams: tuple[str, ...] = ("jobs", "plans", "inventory")
    poll_s: float = 2.0
    services: tuple[str, ...] = ("rbac",)
    renewed: bool = False

    @property
    def activities(self) -> tuple[str, ...]:
        """The findings on activity: one for each service, which may each be refused."""
        return tuple(f"{ACTIVITY}{service}" for service in self.services)


class Reader:
    """Asks the questions that a bridge asks."""

    def __init__(self, access: Access, token: Token, http: httpx.AsyncClient) -> None:
        self._access, self._token, self._http = access, token, http
        self.seconds: list[float] = []  # of requests whose answers are small

    async def findings(self, reading: Reading) -> list[Finding]:
        """Return one finding for each thing that these streams read."""
        found: list[Finding] = []
        if "jobs" in reading.streams:
            found += await self._jobs(reading)
        if "plans" in reading.streams:
            found += await self._plans()
        if "inventory" in reading.streams:
            found.append(readable("inventory", await self._small(InventoryOf(NOBODY))))
        if "schedules" in reading.streams:
            found.append(readable("scheduled jobs", await self._newest(Schedules(1), Schedules(1, old=True))))
        if "activity" in reading.streams:
            found += await self._activity(reading)
        return found

    async def _newest(self, *questions: Question) -> Look:
        """Ask the newest API that this server has."""
        for question in questions[:-1]:
            seen = await self._small(question)
            if not (isinstance(seen.problem, Trouble) and seen.problem.kind == "absent"):
                return seen
        return await self._small(questions[-1])

    async def _activity(self, reading: Reading) -> list[Finding]:
        """Read an entry of each service where the console's services are, which is another address."""
        there = replace(self._access, url=rbac_address(self._access))
        found: list[Finding] = []
        async with http_client(there) as http:
            reader = Reader(there, self._token, http)
            for name, service in zip(reading.activities, reading.services, strict=True):
                seen = await reader._newest(Activity(service, 1), Activity(service, 1, version=1))
                if seen.status is None:
                    hint = f"let this machine reach {there.place}, or set rbac_url"
                    rest = not_checked(reading.activities[len(found) + 1 :], f"{there.place} was not reached")
                    return [*found, failed(name, seen.reason, hint), *rest]
                found.append(readable(name, seen))
        return found

    async def _jobs(self, reading: Reading) -> list[Finding]:
        seen = await self.ask(JobsPage(PAGE))
        found = [readable("jobs", seen)]
        if seen.problem:
            return found
        jobs = [job for job in fields.listed(seen.told.get("items")) if fields.own_id(job) is not None]
        found += await self._of_a_job(jobs)
        found.append(await self._task(jobs))
        found.append(pace.listing(len(jobs), seen.size, seen.seconds, reading.poll_s, self._access.read_s))
        return found

    async def _of_a_job(self, jobs: list[dict[str, Any]]) -> list[Finding]:
        """Read events and nodes of the smallest job in sight."""
        if not jobs:
            return [ok(subject, "not tried: the server shows no job yet") for subject in OF_A_JOB]
        smallest = min(jobs, key=lambda job: fields.count(job.get("node_count")) or 0)
        number = fields.own_id(smallest) or 0
        return [
            readable("job events", await self._small(JobEvents(number)), f"of job {number} "),
            readable("job nodes", await self._small(JobNodes(number, 1)), f"of job {number} "),
        ]

    async def _task(self, jobs: list[dict[str, Any]]) -> Finding:
        """Read what tells which parameters of a task are secret."""
        named = [(fields.text(fields.mapping(job.get("options")).get("task")), job) for job in jobs]
        task, job = next(((task, job) for task, job in named if task), (None, {}))
        if task is None:
            return ok("task metadata", "not tried: no job in sight runs a task")
        seen = await self._small(TaskMetadata(task, fields.environment(job) or "production"))
        if not seen.problem:
            return ok("task metadata", f"of {task[:60]} may be read")
        if isinstance(seen.problem, Denial):
            return failed("task metadata", seen.reason, seen.problem.hint)
        hint = 'parameters of such tasks are hidden whole; redaction.unknown_task = "keep" would show them'
        return warning("task metadata", f"of {task[:60]}: {seen.reason}", hint)

    async def _plans(self) -> list[Finding]:
        seen = await self._small(PlansPage(1))
        found = [readable("plan jobs", seen)]
        plans = [fields.own_id(plan) for plan in fields.listed(seen.told.get("items"))]
        if seen.problem:
            return found
        if not plans or plans[0] is None:
            return [*found, ok("plan events", "not tried: the server shows no plan yet")]
        events = await self._small(PlanEvents(plans[0]))
        return [*found, readable("plan events", events, f"of plan {plans[0]} ")]

    async def _small(self, question: Question) -> Look:
        seen = await self.ask(question)
        if seen.status is not None:
            self.seconds.append(seen.seconds)
        return seen

    async def ask(self, question: Question) -> Look:
        """Put the question as the bridge does, with fewer parameters where the server refuses them."""
        asked = to_request(question)
        headers = {"Content-Type": "application/json"} if asked.body else None
        for params in asked.params:
            path = f"{asked.path}?{urlencode(params)}" if params else asked.path
            request = self._http.build_request(asked.method, path, content=asked.body, headers=headers)
            seen = await look(self._access, self._token, self._http, request, question)
            if not (isinstance(seen.problem, Trouble) and seen.problem.kind == "invalid"):
                break
        return seen


def readable(name: str, seen: Look, which: str = "") -> Finding:
    """Return whether this may be read, and what to do if not."""
    match seen.problem:
        case None:
            return ok(name, f"{which}may be read")
        case Denial():
            return failed(name, seen.reason, seen.problem.hint)
        case Trouble("absent") if name in {"plan jobs", "plan events", "inventory"}:
            stream = "inventory" if name == "inventory" else "plans"
            return warning(name, seen.reason, f"this server is too old to have them: leave {stream!r} out of `streams`")
        case Trouble("absent") if name == "scheduled jobs" or name.startswith(ACTIVITY):
            stream = "schedules" if name == "scheduled jobs" else "activity"
            return warning(name, seen.reason, f"this server does not have them: leave {stream!r} out of `streams`")
        case Trouble("server") if name == "inventory":
            hint = "is the PCP broker up? Until then connections are unknown"
            return warning(name, seen.reason, hint)
        case Trouble("missing" | "absent" | "forbidden") if which:
            hint = "one job alone may be hidden or just deleted; check again, and see that the user may view every job"
            return warning(name, f"{which.strip()}: {seen.reason}", hint)
        case Trouble():
            return failed(
                name, seen.reason, "look into the orchestrator's log, /var/log/puppetlabs/orchestration-services"
            )
