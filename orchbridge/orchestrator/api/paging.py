"""Lists page by page: each thing once, whatever moves meanwhile (orchestrator API, section 16.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

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
    """Yield what `read` makes of each item, each `key` once, until a page is empty or the `total` is reached.

    A page of things that were there before ends nothing by itself: as many may have come meanwhile. It
    does where there is no total, since the server may not know the offset.

    `page` returns the calls for one offset, best first: the later ones are for servers that refuse
    parameters they do not know. A short page ends nothing, since servers may clamp the limit; the
    `total` of the envelope does. A server that sends no envelope where there should be one knows
    no offset either: it has one page.
    """
    seen: set[Any] = set()
    level = 0
    while True:
        got = await _got(caller, page(offset), level, read)
        level = got.level
        fresh = 0
        for thing in got.things:
            if key(thing) not in seen:
                seen.add(key(thing))
                fresh += 1
                yield thing
        offset += len(got.things)
        if not got.things or got.only or (enveloped and not got.enveloped):
            return
        if not fresh and got.total is None:
            return
        if got.total is not None and offset >= got.total:
            return


@dataclass(frozen=True, slots=True)
class _Got(Generic[T]):
    """One page; `only` is that the server takes no offset.

    Its repr shows no data: a traceback may show what is in the frame of whoever pages on.
    """

    level: int
    things: tuple[T, ...] = field(repr=False)
    only: bool
    enveloped: bool
    total: int | None


async def _got(caller: Caller, calls: Sequence[Call], level: int, read: Callable[[Json], T | None]) -> _Got[T]:
    level, told = await told_plainly(caller, calls, level)
    envelope = told.get("pagination")
    total = fields.count(fields.mapping(envelope).get("total"))
    only = "offset" not in calls[level].request.params[0]
    return _Got(level, all_made(calls[0], told, read), only, isinstance(envelope, dict), total)


async def told_plainly(caller: Caller, calls: Sequence[Call], level: int) -> tuple[int, Json]:
    """Ask in the best way the server takes, `level` or later; a later page is never asked for without its offset."""
    while True:
        place = min(level, len(calls) - 1)
        try:
            return place, await caller.told(calls[place])
        except Invalid:
            if place + 1 >= len(calls):
                raise
        level = place + 1


def ended_within(finished: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    """Whether something ended in this time, both ends inclusive; without any it need not have ended."""
    if finished is None:
        return not (start or end)
    return (start is None or finished >= start.replace(microsecond=0)) and (end is None or finished <= end)


def all_made(call: Call, told: Json, read: Callable[[Json], T | None]) -> tuple[T, ...]:
    """Return what the items of an answer mean; raise Malformed where one lacks what makes it one."""
    things = tuple(read(item) for item in fields.listed(told.get("items")))
    del told
    return tuple(_sure(call, thing) for thing in things)


def made(call: Call, told: Json, read: Callable[[Json], T | None]) -> T:
    """Return what an object means; raise Malformed where it lacks what makes it one."""
    thing = read(told)
    del told  # a traceback may show what is still in a frame
    return _sure(call, thing)


def _sure(call: Call, thing: T | None) -> T:
    if thing is None:
        raise malformed(call, "the answer holds something without a usable id or name")
    return thing
