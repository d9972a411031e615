"""Questions as requests: method, path, parameters, body. Never a URL the server gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, assert_never
from urllib.parse import quote

import msgspec

from orchbridge.core.questions import (
    Activity,
    BrokerStatus,
    Inventory,
    InventoryOf,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    Schedules,
    TaskMetadata,
)
from orchbridge.orchestrator.access import ROOT

Params: TypeAlias = dict[str, str]

_ORDERED = {"order": "desc", "order_by": "name"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `endpoint` is its path as a template, for metrics.

    `params` holds the parameters to send, best first; the later ones are for servers that
    refuse parameters they do not know. `console`: the console's services answer it, at an address
    of their own. `part`: of the endpoint, what may be forbidden while others are not.
    """

    endpoint: str
    path: str = field(repr=False)
    params: tuple[Params, ...] = ({},)
    method: str = "GET"
    body: bytes | None = field(default=None, repr=False)
    console: bool = False
    part: str = ""

    def place(self, *, part: bool) -> str:
        """Return what a refusal concerns that does not concern everything."""
        return f"{self.endpoint} {self.part}" if part else self.endpoint


def to_request(question: Question) -> Request:  # noqa: PLR0912 - one branch for each question
    """Return how this question is put to the server."""
    match question:
        case JobsPage(limit, offset):
            return _get("/jobs", params=_listing(limit, offset))
        case PlansPage(limit, offset):
            plain = _listing(limit, offset)
            return _get("/plan_jobs", params=({**plain[0], "results": "exclude"}, *plain))
        case JobDetail(job):
            return _get("/jobs/:id", job)
        case JobEvents(job, start):
            return _get("/jobs/:id/events", job, params=_from(start))
        case JobNodes(job, limit, offset):
            page = {"limit": str(limit), "offset": str(offset)}
            return _get("/jobs/:id/nodes", job, params=(page, {}))  # before 2017.3 there are no pages: all at once
        case PlanDetail(plan):
            return _get("/plan_jobs/:id", plan)
        case PlanEvents(plan, start):
            return _get("/plan_jobs/:id/events", plan, params=_from(start))
        case PlanEventWhole(plan, event):
            return _get("/plan_jobs/:id/event/:event", plan, event)
        case Inventory():
            return _get("/inventory")
        case InventoryOf(nodes):
            body = msgspec.json.encode({"nodes": nodes})
            return Request("/inventory", f"{ROOT}/inventory", method="POST", body=body)
        case BrokerStatus():
            path = "/status/v1/services/broker-service"
            return Request(path, path)
        case TaskMetadata(task, environment):
            module, _, name = task.partition("::")
            return _get("/tasks/:module/:task", module, name or "init", params=({"environment": environment},))
        case Activity(service, limit, offset, version):
            return _activity(service, limit, offset, version)
        case Schedules(limit, offset, old):
            page = {"limit": str(limit), "offset": str(offset)}
            if old:
                return _get("/scheduled_jobs", params=(page, *_plainest(limit, offset)))
            return _get("/scheduled_jobs/environment_jobs", params=({**page, "order": "asc", "order_by": "name"}, page))
    assert_never(question)


def _activity(service: str, limit: int, offset: int, version: int) -> Request:
    """Ask for the oldest first; before 2019.8.7 and 2021.2 the second version does not know how to."""
    path = f"/activity-api/v{version}/events"
    page = {"service_id": service, "limit": str(limit), "offset": str(offset)}
    return Request(path, path, ({**page, "order": "asc"}, page), console=True, part=service)


def _get(endpoint: str, *parts: int | str, params: tuple[Params, ...] = ({},)) -> Request:
    return Request(endpoint, ROOT + filled(endpoint, *parts), params)


def filled(template: str, *parts: int | str) -> str:
    """Fill the template's places, in order; a part cannot leave its place in the path."""
    values = iter(parts)
    return "/".join(_segment(next(values)) if place.startswith(":") else place for place in template.split("/"))


def _segment(part: int | str) -> str:
    quoted = quote(str(part), safe="")
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted


def _listing(limit: int, offset: int) -> tuple[Params, ...]:
    page = {"limit": str(limit), "offset": str(offset)}
    return ({**page, **_ORDERED}, page, *_plainest(limit, offset))


def _plainest(limit: int, offset: int) -> tuple[Params, ...]:
    """Before 2017.3 only `limit` is known; a later page cannot be asked for there."""
    return ({"limit": str(limit)},) if offset == 0 else ()


def _from(start: int | None) -> tuple[Params, ...]:
    return ({},) if start is None else ({"start": str(start)},)
