"""What the lists have in common: paging, ordering, time filters, events from a start on (reference 6.1, 6.5)."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from orchbridge.sim import releases
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, integer, invalid
from orchbridge.sim.eventlog import Slice
from orchbridge.sim.rows import Job, Plan

Row = TypeVar("Row")
Ended = TypeVar("Ended", Job, Plan)


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a list is wanted; `limit` None is everything."""

    limit: int | None
    offset: int
    order_by: str
    order: str

    def cut(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return this page of rows that are sorted ascending."""
        if self.order == "desc":
            rows = rows[::-1]
        return rows[self.offset :] if self.limit is None else rows[self.offset : self.offset + self.limit]


def page_of(ask: Ask, orders: tuple[str, ...], *, by: str, order: str, limit: int | None) -> Page | Problem:
    """Return the page the query asks for, or what is wrong with it."""
    numbers: dict[str, int] = {}
    for name in ("limit", "offset"):
        if name in ask.query:
            number = integer(name, ask.query[name])
            if isinstance(number, Problem):
                return number
            numbers[name] = number
    wanted = (ask.query.get("order_by", by), ask.query.get("order", order))
    if wanted[0] not in orders:
        return invalid(f"order_by must be one of {', '.join(orders)}, not {wanted[0]!r}")
    if wanted[1] not in {"asc", "desc"}:
        return invalid(f"order must be asc or desc, not {wanted[1]!r}")
    size = numbers.get("limit", limit)
    most = ask.knobs.dose("limit_max")
    if most.form != "none" and size is not None and size > most.amount:
        if most.form == "400":
            return invalid(f"limit must be at most {int(most.amount)}")
        size = int(most.amount)
    return Page(size, numbers.get("offset", 0), *wanted)


def envelope(ask: Ask, items: bytes, page: Page, total: int, type_: str | None = None) -> Reply:
    """Return `{"items": [...], "pagination": {...}}`."""
    null = ask.knobs.empty_total == "null" or (
        ask.knobs.empty_total == "auto" and not ask.knobs.has(releases.ZERO_TOTAL)
    )
    echo: dict[str, object] = {
        "limit": page.limit,
        "offset": page.offset,
        "order": page.order,
        "order_by": page.order_by,
        "total": None if null and not total else total,
    }
    if type_ is not None:
        echo["type"] = type_
    return Reply(b'{"items":[' + items + b'],"pagination":' + msgspec.json.encode(echo) + b"}")


def finished_between(ask: Ask, rows: list[Ended]) -> list[Ended] | Problem:
    """Return the rows that ended between min_finish_timestamp and max_finish_timestamp, both inclusive."""
    for name, keep in (("min_finish_timestamp", operator.ge), ("max_finish_timestamp", operator.le)):
        if name not in ask.query:
            continue
        try:
            border = datetime.strptime(ask.query[name], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            return invalid(f"{name} must be a UTC time such as 2024-03-09T10:15:42Z")
        start = ask.world.start
        rows = [row for row in rows if row.finished is not None and keep((start + row.finished) // 1, border)]
    return rows


def events_of(ask: Ask, row: Job | Plan, url: str) -> Answer:
    """Return the events from `start` on, with the link that this server calls the next one."""
    start = integer("start", ask.query.get("start", "0"))
    if isinstance(start, Problem):
        return start
    part = ask.world.events(row, start, ask.now)
    past_end = ask.knobs.start_past_end
    if part.last is None and row.log.last is not None and start > row.log.last and past_end != "empty-200":
        return Problem(int(past_end), "unknown-event" if past_end == "404" else "validation-error", "No such event")
    link = msgspec.json.encode(next_link(ask, url, _next_event(ask, row, part, start)))
    return Reply(link[:-1] + (b"," if len(link) > 2 else b"") + b'"items":[' + part.items + b"]}")


def next_link(ask: Ask, url: str, event: int) -> dict[str, Any]:
    """Return the `next-events` member of an answer, as far as this server has one."""
    if ask.knobs.next_events == "missing":
        return {}
    link = {"id": f"{url}?start={event}", "event": str(event)}
    if ask.knobs.next_events == "event-key-missing":
        del link["event"]
    return {"next-events": link}


def _next_event(ask: Ask, row: Job | Plan, part: Slice, start: int) -> int:
    ids = ask.world.event_ids if isinstance(row, Job) else ask.world.plan_event_ids
    match ask.knobs.next_events:
        case "echo-start":
            return start
        case "first-item":
            return start if part.first is None else part.first
        case "global-next":
            return ids.last + 1
    return start if part.last is None else part.last + 1
