"""Walking a server's id space: what is new, what is missing, and whether it is still the same server.

Shared by jobs and plans. Ids are database sequence values: ascending, with natural gaps, visible
out of order for a moment, pruned at the low end, and reissued after a restore. So a cursor moves
over ids that were *received*; an id skipped over stays a gap until it appears or was looked up and
found empty; a history that contradicts what we remember needs two agreeing answers to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from orchbridge.core.head import ANCHORS_MAX, GAPS_MAX, Anchor, Head

GAP_FIRST_LOOK_S = 4.0
GAP_LOOK_EVERY_S = 10.0
GAP_PATIENCE_S = 30.0
GAP_LOOKS_A_TICK = 4
PRUNED_RANGE_MIN = 50  # a hole this wide below everything visible was pruned, not rolled back

replace = msgspec.structs.replace


class Seen(msgspec.Struct, frozen=True):
    """What a list tells of one id; `created_s` in Unix seconds where known."""

    anchor: Anchor
    open: bool
    created_s: float | None = None


class Listed(msgspec.Struct, frozen=True):
    """One page of the list: from which offset, what it shows, the server's own count if it gives one."""

    offset: int
    items: Sequence[Seen]
    total: int | None = None
    paged: bool = True


class Start(msgspec.Struct, frozen=True):
    """Where a stream without a memory begins: now, earliest, from (an id), since (Unix seconds)."""

    kind: str = "now"
    id: int = 0
    at: float = 0.0

    def chooses(self, seen: Seen) -> bool:
        match self.kind:
            case "now":
                return seen.open
            case "from":
                return seen.anchor.id >= self.id
            case "since":
                return seen.created_s is None or seen.created_s >= self.at
            case _:
                return True


class Scan(msgspec.Struct, frozen=True):
    """A listing in progress, page by page from the newest id down."""

    offset: int = 0
    ids: tuple[int, ...] = ()
    chosen: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    newest: tuple[Anchor, ...] = ()


class Gap(msgspec.Struct, frozen=True):
    """Since when an id is missed, when to look it up next, how often that found nothing."""

    since: float
    due: float
    misses: int = 0


class Reset(msgspec.Struct, frozen=True):
    """The server's history is another one now; ids above `survivor` mean other things than before."""

    survivor: int
    reason: str


class Hole(msgspec.Struct, frozen=True):
    """Ids that will never be read: `pruned` before we came, or never given out."""

    first: int
    last: int
    pruned: bool = False


Happening: TypeAlias = Reset | Hole


class Walk(msgspec.Struct, frozen=True):
    """Where a walk stands. Only `head` is remembered; `dirty` says it must be written.

    `todo` holds ids that are visible but not yet taken up, ascending. `newest` is the highest id
    the server showed. `suspect` says why the server looks like another one; `survivor` is the floor
    of a reset whose full listing is under way.
    """

    head: Head
    begun: bool = False
    dirty: bool = False
    due: float = 0.0
    listed_at: float = 0.0
    scan: Scan | None = None
    todo: tuple[int, ...] = ()
    gaps: Mapping[int, Gap] = {}
    suspect: str = ""
    survivor: int | None = None
    failures: int = 0
    newest: int = 0

    @property
    def trusted(self) -> bool:
        """Whether ids mean what they meant before; until then nothing but the list may be asked."""
        return not self.suspect


Folded: TypeAlias = tuple[Walk, tuple[Happening, ...]]


def fold_page(walk: Walk, page: Listed, start: Start, *, now: float, next_due: float) -> Folded:
    """Return the walk after one page of the list, and what it revealed; the next listing starts at `next_due`."""
    scan = walk.scan if page.offset and walk.scan is not None else Scan()
    if page.offset != scan.offset:
        return walk, ()  # an answer to a listing that was given up
    scan = _extend(scan, page.items, start)
    at_end = not page.items or not page.paged or (page.total is not None and scan.offset >= page.total)
    lowest = min((item.anchor.id for item in page.items), default=0)
    met_memory = walk.begun and walk.survivor is None and lowest <= walk.head.high
    if not at_end and not met_memory:
        return replace(walk, scan=scan, failures=0), ()
    settled = replace(walk, scan=None, due=next_due, listed_at=now, failures=0)
    if walk.begun and not scan.ids:
        return settled, ()  # everything pruned, or an answer not to be believed: keep the place
    settled = replace(settled, newest=max(scan.ids, default=0))
    if not walk.begun:
        return _begin(settled, scan, start), ()
    if walk.survivor is not None:
        return _restart(settled, scan, walk.survivor)
    return _continue(settled, scan, at_end, now)


def _extend(scan: Scan, items: Sequence[Seen], start: Start) -> Scan:
    known = set(scan.ids)
    fresh = [item for item in items if item.anchor.id not in known]
    newest = sorted((*scan.newest, *(item.anchor for item in fresh)), key=lambda anchor: -anchor.id)
    return Scan(
        offset=scan.offset + len(items),
        ids=scan.ids + tuple(item.anchor.id for item in fresh),
        chosen=scan.chosen + tuple(item.anchor.id for item in fresh if start.chooses(item)),
        open=scan.open + tuple(item.anchor.id for item in fresh if item.open),
        newest=tuple(newest[:ANCHORS_MAX]),
    )


def _begin(walk: Walk, scan: Scan, start: Start) -> Walk:
    """Apply the start rule: from here on the head is the memory."""
    if start.kind == "now" or not scan.chosen:
        high, todo = walk.newest, scan.chosen
    else:
        high = min(scan.chosen) - 1
        todo = tuple(id_ for id_ in scan.ids if id_ > high)
    head = replace(walk.head, high=high, anchors=scan.newest)
    return replace(walk, head=head, begun=True, dirty=True, todo=tuple(sorted(todo)))


def _continue(walk: Walk, scan: Scan, at_end: bool, now: float) -> Folded:
    head = walk.head
    reason = _contradiction(head, scan)
    if reason and not walk.suspect:
        return replace(walk, suspect=reason, due=now), ()
    if reason:
        survivor = max((a.id for a in scan.newest if a.id <= head.high and _survives(head, a)), default=0)
        # What is still unfinished may stand anywhere in the list: walk it to its end before moving on.
        return replace(walk, suspect=reason, survivor=survivor, due=now), ()
    lowest = min(scan.ids)
    happenings: tuple[Happening, ...] = ()
    if head.high and at_end and lowest - head.high - 1 > PRUNED_RANGE_MIN:
        happenings = (Hole(head.high + 1, lowest - 1, pruned=True),)
        head = replace(head, high=lowest - 1)
    new = {id_ for id_ in scan.ids if id_ > head.high or id_ in walk.gaps}
    if scan.newest != head.anchors:
        head = replace(head, anchors=scan.newest)
    return (
        replace(walk, head=head, suspect="", dirty=walk.dirty or head is not walk.head, todo=_merge(walk.todo, new)),
        happenings,
    )


def _merge(todo: tuple[int, ...], new: set[int]) -> tuple[int, ...]:
    return tuple(sorted(new.union(todo))) if new.difference(todo) else todo


def _contradiction(head: Head, scan: Scan) -> str:
    if not head.high:
        return ""
    newest = max(scan.ids)
    if newest < head.high:
        return f"the newest id is {newest}, below {head.high} which was read before"
    shown = {anchor.id: anchor for anchor in scan.newest}
    for known in head.anchors:
        other = shown.get(known.id)
        if other is not None and known.contradicts(other):
            return f"id {known.id} was created {known.created}, now {other.created}"
    return ""


def _survives(head: Head, shown: Anchor) -> bool:
    return any(known.id == shown.id and not known.contradicts(shown) for known in head.anchors)


def _restart(walk: Walk, scan: Scan, survivor: int) -> Folded:
    """Begin the next epoch above the newest id that both histories share."""
    happening = Reset(survivor, walk.suspect)
    head = replace(walk.head, epoch=walk.head.epoch + 1, high=survivor, gaps=(), anchors=scan.newest)
    todo = {id_ for id_ in scan.ids if id_ > survivor}.union(scan.open)
    walk = replace(walk, head=head, dirty=True, suspect="", survivor=None, gaps={}, todo=tuple(sorted(todo)))
    return walk, (happening,)


def take(walk: Walk, room: int, now: float) -> tuple[Walk, tuple[int, ...], tuple[Happening, ...]]:
    """Take up to `room` ids off the to-do list, lowest first, and move the head over them.

    Ids at or below the head (unfinished ones of a start or reset, late ones) are taken whatever
    the room: the head is committed together with them and nothing would find them again.
    """
    known = [id_ for id_ in walk.todo if id_ <= walk.head.high]
    ahead = [id_ for id_ in walk.todo if id_ > walk.head.high][: max(room, 0)]
    if not known and not ahead:
        return walk, (), ()
    gaps = {id_: gap for id_, gap in walk.gaps.items() if id_ not in known}
    happenings: list[Happening] = []
    high = walk.head.high or (ahead[0] - 1 if ahead else 0)  # nothing was ever seen below the first id
    for id_ in ahead:
        if id_ - high - 1 > GAPS_MAX:
            happenings.append(Hole(high + 1, id_ - 1))
        else:
            gaps.update((missing, Gap(now, now + GAP_FIRST_LOOK_S)) for missing in range(high + 1, id_))
        high = id_
    while len(gaps) > GAPS_MAX:
        lowest = min(gaps)
        del gaps[lowest]
        happenings.append(Hole(lowest, lowest))
    head = replace(walk.head, high=high, gaps=tuple(sorted(gaps)))
    taken = (*known, *ahead)
    rest = tuple(id_ for id_ in walk.todo if id_ not in set(taken))
    return replace(walk, head=head, dirty=True, todo=rest, gaps=gaps), taken, tuple(happenings)


def due_gaps(walk: Walk, now: float) -> tuple[int, ...]:
    """Return the gaps to look up now, a few at a time."""
    return tuple(sorted(id_ for id_, gap in walk.gaps.items() if gap.due <= now)[:GAP_LOOKS_A_TICK])


def found(walk: Walk, id_: int) -> Walk:
    """A gap turned out to be a job that became visible late."""
    return replace(walk, todo=_merge(walk.todo, {id_}))


def not_found(walk: Walk, id_: int, now: float) -> Folded:
    """A look-up found nothing: be patient, then declare the id empty."""
    gap = walk.gaps[id_]
    if gap.misses >= 1 and now - gap.since >= GAP_PATIENCE_S:
        gaps = {key: value for key, value in walk.gaps.items() if key != id_}
        head = replace(walk.head, gaps=tuple(sorted(gaps)))
        return replace(walk, head=head, gaps=gaps, dirty=True), (Hole(id_, id_),)
    patience = replace(gap, misses=gap.misses + 1, due=now + GAP_LOOK_EVERY_S)
    return replace(walk, gaps={**walk.gaps, id_: patience}), ()


def postpone(walk: Walk, id_: int, now: float) -> Walk:
    """A look-up failed for another reason; it says nothing about the id."""
    gap = walk.gaps.get(id_)
    return walk if gap is None else replace(walk, gaps={**walk.gaps, id_: replace(gap, due=now + GAP_LOOK_EVERY_S)})


def resumed(head: Head) -> Walk:
    """Return the walk that a remembered head describes."""
    return Walk(head=head, begun=True, dirty=True, gaps={id_: Gap(0.0, 0.0) for id_ in head.gaps})
