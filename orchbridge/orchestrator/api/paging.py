"""Lists page by page: each thing once, whatever moves meanwhile (orchestrator API, section 16.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call
from orchbridge.orchestrator.errors import Invalid
from orchbridge.orchestrator.models.common import Json
from orchbridge.orchestrator.refusals import malformed

T = TypeVar("T")

PAGE = 100


async def paged(
    caller: Caller,
    page: Callable[[int], Sequence[Call]],
    read: Callable[[Json], T | None],
    *,
    key: Callable[[T], Any],
    offset: int = 0,
    enveloped: bool = True,
) -> AsyncGenerator[T, None]:
    """Yield what `read` makes of each item, each `key` once, until a page brings nothing new.

    `page` returns the calls for one offset, best first: the later ones are for servers that refuse
    parameters they do not know. A short page ends nothing, since servers may clamp the limit; the
    `total` of the envelope does. A server that sends no envelope where there should be one knows
    no offset either: it has one page.
    """
    seen: set[Any] = set()
    level = 0
    while True:
        level, told = await _told(caller, page(offset), level)
        items = fields.listed(told.get("items"))
        fresh = 0
        for item in items:
            thing = made(page(offset)[0], item, read)
            if key(thing) not in seen:
                seen.add(key(thing))
                fresh += 1
                yield thing
        offset += len(items)
        envelope = told.get("pagination")
        total = fields.count(fields.mapping(envelope).get("total"))
        if not fresh or (enveloped and not isinstance(envelope, dict)) or (total is not None and offset >= total):
            return


async def _told(caller: Caller, calls: Sequence[Call], level: int) -> tuple[int, Json]:
    """Ask in the best way the server takes; a later page is never asked for without its offset."""
    while True:
        place = min(level, len(calls) - 1)
        try:
            return place, await caller.told(calls[place])
        except Invalid:
            if place + 1 >= len(calls):
                raise
        level = place + 1


def made(call: Call, item: Json, read: Callable[[Json], T | None]) -> T:
    """Return what an object means; raise Malformed where it lacks what makes it one."""
    thing = read(item)
    if thing is None:
        raise malformed(call, "the answer holds something without a usable id or name")
    return thing
