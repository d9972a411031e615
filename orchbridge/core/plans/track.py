"""One tracked plan: what is remembered of it, what is known in this claim, what is still to be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchbridge.core import reading
from orchbridge.core.facts import Plan, PlanEvent
from orchbridge.core.idset import IdSet
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.plans import terminal
from orchbridge.core.questions import PlanDetail, PlanEvents, PlanEventWhole, Question
from orchbridge.core.reading import Reading
from orchbridge.core.trouble import Count

WHOLE_AT_ONCE = 8
TRUNCATED_BYTES = 1024 - 3  # the list cuts longer texts to 1024 (reference 7), where a character may not fit

replace = msgspec.structs.replace


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One plan's part of the cursor; as a job's, with `closed_at` (everything was read after its end).

    told   a notice said that this plan cannot be read
    """

    epoch: int
    events: IdSet = IdSet.of(())
    odd: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    ended: float = 0.0
    closed_at: float = 0.0
    told: bool = False
    v: int = 1


class Track(msgspec.Struct, frozen=True):
    """A plan being followed. Only `memo` is remembered across claims.

    held   events read but not delivered, because the first of them still lacks its whole text
    looked_at  when its own page was last asked for, whatever came of it
    torn   how often in a row a whole text came as something else
    texts  whole events fetched for those held; None where only the cut text can be had
    """

    id: int
    memo: Memo
    plan: Plan | None = None
    detail: Plan | None = None
    read: str | None = None
    context: Context | None = None
    held: tuple[PlanEvent, ...] = ()
    torn: int = 0
    texts: Mapping[int, PlanEvent | None] = {}
    reading: Reading = Reading()
    seen_at: float = 0.0
    looked_at: float = 0.0
    misses: int = 0
    count: Count = Count()
    due: float = 0.0
    sweep_due: float = 0.0

    @property
    def open(self) -> bool:
        """Whether it may still have more to say than late events."""
        return not self.memo.closed_at

    @property
    def moved(self) -> bool:
        """Whether there are events, as far as is known, that were not delivered yet."""
        return not self.reading.whole or self.reading.resume is not None or bool(self.held)

    @property
    def unsaid(self) -> bool:
        """Whether the state it is in was not told yet."""
        return self.plan is not None and self.plan.state not in self.memo.states


def needs_whole(event: PlanEvent) -> bool:
    """Whether the list may have cut this event's text."""
    return (
        event.type == "out_message" and event.id is not None and len((event.message or "").encode()) >= TRUNCATED_BYTES
    )


def with_facts(track: Track, plan: Plan, now: float) -> Track:
    """Return the track after the list or the plan's own page told this of it."""
    memo = track.memo
    if terminal(plan) and not 0 < memo.ended <= now:  # not yet known, or known by a clock that was ahead
        memo = replace(memo, ended=now)
    changed = track.plan is None or track.plan.state != plan.state
    again = replace(track.reading, due=0.0, fruitless=0) if changed else track.reading
    return replace(track, plan=plan, memo=memo, reading=again, seen_at=now)


def questions(track: Track, now: float) -> Iterator[Question]:
    """Yield what an open plan leaves to be asked, and the whole texts that late events of a closed one lack."""
    if track.due > now:
        return
    if track.open and (track.plan is None or (track.read != track.plan.state and track.detail is None)):
        yield PlanDetail(track.id)
    if track.held:
        wanted = [event.id for event in track.held if event.id not in track.texts and needs_whole(event)]
        yield from (PlanEventWhole(track.id, id_) for id_ in wanted[:WHOLE_AT_ONCE] if id_ is not None)
    elif track.open and track.context is not None and track.reading.due <= now:
        # Nothing in the list hints at a running plan's events: they have to be asked for.
        yield PlanEvents(track.id, reading.start(track.reading, len(track.memo.events)))
