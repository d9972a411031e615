"""Bodies too large to decode at once: read in parts, so that memory stays small."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from orchbridge.core.facts import JobEvent, PlanEvent
from orchbridge.core.questions import (
    Answer,
    Inventory,
    InventoryOf,
    Item,
    JobEvents,
    JobNodes,
    JobsPage,
    Page,
    PlanEvents,
    PlansPage,
    Question,
    Schedules,
    Trouble,
)
from orchbridge.orchestrator import wire
from orchbridge.orchestrator.access import MEBIBYTE
from orchbridge.orchestrator.body import Body
from orchbridge.orchestrator.split import split

AT_ONCE = 8 * MEBIBYTE
_PART = MEBIBYTE


async def read_large(question: Question, head: list[bytes], rest: AsyncGenerator[bytes, None], body: Body) -> Answer:
    """Return the answer that begins with `head` and goes on with `rest`; `head` is used up.

    Pages of events end after about 8 MiB, cut: whoever asked goes on behind the last one.
    Lists are read to their end. A single thing of that size is read whole.
    """
    pieces = _chained(head, rest)
    match question:
        case JobEvents() | PlanEvents():
            return await _in_parts(question, pieces, body, cut_at=AT_ONCE)
        case JobsPage() | PlansPage() | JobNodes() | Inventory() | InventoryOf() | Schedules():
            return await _in_parts(question, pieces, body, cut_at=None)
        case _:
            whole = b"".join([piece async for piece in pieces])
            return unread(body) or wire.read(question, whole)


def unread(body: Body) -> Trouble | None:
    """Return what kept a body from being read to its end, None where nothing did."""
    if body.over:
        return Trouble("oversize", f"the answer is larger than {body.bytes_max} bytes")
    if body.garbled:
        return Trouble("malformed", f"the answer's compression is broken or unknown, after {body.count} bytes")
    return None


async def _in_parts(
    question: Question, pieces: AsyncGenerator[bytes, None], body: Body, cut_at: int | None
) -> Page | Trouble:
    """Take the complete items out of what has come, a part at a time.

    A part is doubled while not even one item in it is complete, so a huge item is looked
    at a few times only.
    """
    reader = wire.reader_of(question)
    items: list[Item] = []
    left, taken = b"", 0
    while True:
        part, ended = await _some(left, pieces, max(_PART, 2 * len(left)))
        found = split(part)
        items.extend(wire.read_each(found.items, reader))
        left = found.left
        taken += sum(map(len, found.items))
        if ended:
            return unread(body) or wire.page_around(left, items)
        if not found.found and len(part) >= AT_ONCE:
            return wire.malformed(part)
        if cut_at and taken + len(left) >= cut_at and _leads_on(items):
            return Page(tuple(items), paged=False, cut=True)
        await asyncio.sleep(0)


def _leads_on(items: list[Item]) -> bool:
    """Whether something here has an id to go on behind; else the same page would be asked for, for ever."""
    return any(isinstance(item, JobEvent | PlanEvent) and item.id is not None for item in reversed(items))


async def _some(left: bytes, pieces: AsyncGenerator[bytes, None], size: int) -> tuple[bytes, bool]:
    """Return `left` grown to `size`, and whether the body ended."""
    parts, length = [left], len(left)
    while length < size:
        piece = await anext(pieces, None)
        if piece is None:
            return b"".join(parts), True
        parts.append(piece)
        length += len(piece)
    return b"".join(parts), False


async def _chained(head: list[bytes], rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    head.reverse()
    while head:
        yield head.pop()
    async for piece in rest:
        yield piece
