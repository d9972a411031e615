"""The body of a successful answer, read: pure, lenient, and never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, assert_never

import msgspec

from orchbridge.core.facts import Odd
from orchbridge.core.questions import (
    Activity,
    Answer,
    BrokerStatus,
    Inventory,
    InventoryOf,
    Item,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    Schedules,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import activity_facts, fields
from orchbridge.orchestrator.excerpt import excerpt
from orchbridge.orchestrator.job_facts import job, job_event, node_row
from orchbridge.orchestrator.node_facts import connection, health, task_meta
from orchbridge.orchestrator.odd import understood
from orchbridge.orchestrator.plan_facts import plan, plan_event
from orchbridge.orchestrator.schedule_facts import schedule
from orchbridge.orchestrator.split import split

Reader: TypeAlias = Callable[[bytes | msgspec.Raw], Item]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Envelope(msgspec.Struct):
    items: list[msgspec.Raw]
    pagination: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def read(question: Question, body: bytes) -> Answer:
    """Return the facts in a complete body, or Trouble `malformed` where it is not what was asked for."""
    match question:
        case (
            JobsPage()
            | JobEvents()
            | JobNodes()
            | PlansPage()
            | PlanEvents()
            | Inventory()
            | InventoryOf()
            | Schedules()
        ):
            return _page(body, reader_of(question))
        case Activity():
            return activity_facts.page(compact(body)) or malformed(body)
        case JobDetail():
            return _single(body, job)
        case PlanDetail():
            return _single(body, plan)
        case PlanEventWhole():
            return _single(body, plan_event)
        case BrokerStatus():
            told = understood(compact(body))
            return malformed(body, told) if isinstance(told, Odd) else health(told) or malformed(body)
        case TaskMetadata(task, _):
            told = understood(compact(body))
            return malformed(body, told) if isinstance(told, Odd) else task_meta(told, task) or malformed(body)
    assert_never(question)


def reader_of(question: Question) -> Reader:
    """Return what reads one item of this question's page."""
    match question:
        case JobsPage():
            return job
        case JobEvents():
            return job_event
        case JobNodes():
            return node_row
        case PlansPage():
            return plan
        case PlanEvents():
            return plan_event
        case Schedules():
            return schedule
        case _:
            return connection


def read_each(items: Iterable[bytes], reader: Reader) -> tuple[Item, ...]:
    """Read items that nobody has looked at yet: the fast readers skip what they do not need."""
    seen = ((item, understood(item)) for item in items)
    return tuple(told if isinstance(told, Odd) else reader(compact(item)) for item, told in seen)


def page_around(shell: bytes, items: Iterable[Item]) -> Page | Trouble:
    """Return the page whose items were taken out of its body, of which `shell` is left."""
    try:
        envelope = _ENVELOPE.decode(shell)
    except (ValueError, RecursionError):
        return Trouble("malformed", f"the answer ends too early or is not JSON; {excerpt(shell)}")
    return _page_of(envelope, items)


def compact(body: bytes) -> bytes:
    """Return the JSON on one line without the spaces of pretty-printing, or unchanged where it is not JSON."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if b"\n" not in body:
        return body
    try:
        return msgspec.json.format(body, indent=-1)
    except (ValueError, RecursionError):
        return body


def malformed(body: bytes, odd: Odd | None = None) -> Trouble:
    """Return the Trouble of a body that is not what was asked for."""
    why = f"the answer cannot be read: {odd.reason}" if odd else "the answer has another shape than asked for"
    return Trouble("malformed", f"{why}; {excerpt(body)}")


def _page(body: bytes, reader: Reader) -> Page | Trouble:
    """Read all items; one bad item costs the fast way, not the others."""
    body = compact(body)
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.ValidationError:
        return malformed(body)
    except (ValueError, RecursionError):
        found = split(body)
        return page_around(found.left if found.whole else body, read_each(found.items, reader))
    if _is_text(body):
        return _page_of(envelope, map(reader, envelope.items))
    return _page_of(envelope, read_each(map(bytes, envelope.items), reader))


def _page_of(envelope: _Envelope, items: Iterable[Item]) -> Page:
    paging = understood(bytes(envelope.pagination))
    if isinstance(paging, Odd):
        return Page(tuple(items), paged=False)
    return Page(tuple(items), total=fields.count(paging.get("total")))


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _single(body: bytes, reader: Callable[[bytes | msgspec.Raw], Any]) -> Answer:
    """Read a body that is one item."""
    fact = reader(compact(body))
    return malformed(body, fact) if isinstance(fact, Odd) else fact
