"""Walking a server's id space: what is new, and whether it is still the same server.

Shared by jobs and plans. Ids are database sequence values: ascending, with natural gaps, visible
out of order for a moment, pruned at the low end, and reissued after a restore. So a cursor moves
over ids that were *received*; what was not visible in one listing and is in the next one is taken
up wherever it stands; a history that contradicts what we remember needs two agreeing answers to be
believed. What becomes of the ids skipped over is told in `gaps`.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchbridge.core.head import ANCHORS_MAX, Head
from orchbridge.core.walk import (
    STALE_PAGES_MAX,
    WIDEST,
    Folded,
    Gap,
    Happening,
    Hole,
    Left,
    Listed,
    Reset,
    Scan,
    Seen,
    Start,
    Walk,
    replace,
)

PRUNED_RANGE_MIN = 50  # a hole this wide below everything visible was pruned, not rolled back
KNOWN_MAX = 400  # ids of the last listings, to recognise what was not visible then
BLANK_S = 60.0  # what is younger than an empty list came after it, as far as two clocks agree


def fold_page(walk: Walk, page: Listed, start: Start, *, now: float, next_due: float, apart: bool = False) -> Folded:
    """Return the walk after one page of the list, and what it revealed; the next listing starts at `next_due`.

    `apart` leaves the history that the start rule chooses to a backfill.
    """
    scan = walk.scan if page.offset and walk.scan is not None else Scan()
    if page.offset != scan.offset:
        return walk, ()  # an answer to a listing that was given up
    if walk.blank and not walk.begun and start.kind == "now":
        start = replace(start, at=walk.listed_at - BLANK_S)
    scan = _extend(scan, page, start, {anchor.id for anchor in walk.head.anchors})
    met_memory = walk.begun and walk.survivor is None and _lowest(page.items) <= walk.head.high
    at_end = not page.count or (page.total is not None and scan.offset >= page.total)
    stuck = scan.stale >= STALE_PAGES_MAX  # this server does not look at the offset
    if not page.paged:
        at_end = at_end or page.count < page.limit
        stuck = page.limit >= WIDEST
        if not (at_end or met_memory or stuck):
            return replace(walk, scan=None, wide=page.limit * 2, due=now, failures=0), ()
    if not (at_end or met_memory or stuck):
        return replace(walk, scan=scan, failures=0), ()
    settled = replace(walk, scan=None, due=next_due, listed_at=now, failures=0, wide=0)
    if not scan.ids and (walk.begun or not walk.blank):
        return replace(settled, blank=True), ()  # everything pruned, or an answer not to be believed: keep the place
    settled = replace(settled, newest=max(scan.ids, default=0))
    if not walk.begun:
        return _begin(_knowing(settled, scan, at_end), scan, start, apart), ()
    if walk.survivor is not None and _contradiction(walk.head, scan):
        return _restart(settled, scan, at_end, now)
    return _continue(replace(settled, survivor=None), scan, at_end, now)


def _lowest(items: Sequence[Seen]) -> int:
    return min((item.anchor.id for item in items), default=0)


def _extend(scan: Scan, page: Listed, start: Start, remembered: set[int]) -> Scan:
    known = set(scan.ids)
    fresh = [item for item in page.items if item.anchor.id not in known]
    newest = sorted((*scan.newest, *(item.anchor for item in fresh)), key=lambda anchor: -anchor.id)
    return Scan(
        offset=scan.offset + page.count,
        stale=0 if fresh else scan.stale + 1,
        ids=scan.ids + tuple(item.anchor.id for item in fresh),
        chosen=scan.chosen + tuple(item.anchor.id for item in fresh if start.chooses(item)),
        open=scan.open + tuple(item.anchor.id for item in fresh if item.open),
        newest=tuple(newest[:ANCHORS_MAX]),
        met=scan.met + tuple(item.anchor for item in fresh if item.anchor.id in remembered),
        odd=scan.odd or page.count > len(page.items),
    )


def _knowing(walk: Walk, scan: Scan, at_end: bool) -> Walk:
    """Note what is visible now, so that what becomes visible later is recognised whatever its id."""
    together = walk.known.union(scan.ids)
    newest = sorted(together)[-KNOWN_MAX:]
    whole = at_end and len(newest) == len(together)
    floor = 0 if whole else max(newest[0] if newest else 0, min(scan.ids, default=0) if not at_end else 0)
    if scan.odd and walk.begun:
        floor = max(floor, walk.floor)  # further down, what could not be read this time would be new the next
    return replace(walk, known=frozenset(newest), floor=floor)


def _begin(walk: Walk, scan: Scan, start: Start, apart: bool) -> Walk:
    """Apply the start rule: from here on the head is the memory."""
    if apart:
        head = replace(walk.head, high=walk.newest, anchors=scan.newest, handed=True)
        left = Left(tuple(sorted(set(scan.chosen).difference(scan.open))), scan.open)
        return replace(walk, head=head, begun=True, dirty=True, todo=tuple(sorted(scan.open)), left=left)
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
        # What is still unfinished may stand anywhere in the list: walk it to its end before moving on.
        return replace(walk, suspect=reason, survivor=_survivor(head, scan), due=now), ()
    late = {id_ for id_ in scan.ids if walk.floor <= id_ <= head.high and id_ not in walk.known}
    lowest = min(scan.ids)
    happenings: tuple[Happening, ...] = ()
    if head.high and at_end and lowest - head.high - 1 > PRUNED_RANGE_MIN:
        happenings = (Hole(head.high + 1, lowest - 1, pruned=True),)
        head = replace(head, high=lowest - 1)
    new = {id_ for id_ in scan.ids if id_ > head.high or id_ in walk.gaps}
    anchors = scan.newest
    if scan.odd:  # what cannot be read now is still there: forgotten here, it would be new after a claim
        shown = {anchor.id for anchor in anchors}
        together = (*anchors, *(anchor for anchor in head.anchors if anchor.id not in shown))
        anchors = tuple(sorted(together, key=lambda anchor: -anchor.id)[:ANCHORS_MAX])
    if anchors != head.anchors:
        head = replace(head, anchors=anchors)
    dirty = walk.dirty or head is not walk.head
    todo = merge(walk.todo, new | late)
    return replace(_knowing(walk, scan, at_end), head=head, suspect="", dirty=dirty, todo=todo), happenings


def merge(todo: tuple[int, ...], new: set[int]) -> tuple[int, ...]:
    """Return the ids of both, ascending."""
    return tuple(sorted(new.union(todo))) if new.difference(todo) else todo


def _contradiction(head: Head, scan: Scan) -> str:
    if not head.high or not scan.ids:
        return ""
    newest = max(scan.ids)
    if newest < head.high and not scan.odd:
        return f"the newest id is {newest}, below {head.high} which was read before"
    shown = {anchor.id: anchor for anchor in scan.met}
    for known in head.anchors:
        other = shown.get(known.id)
        if other is not None and known.contradicts(other):
            return f"id {known.id} was created {known.created}, now {other.created}"
    return ""


def _survivor(head: Head, scan: Scan) -> int:
    """Return the newest id that both histories share, 0 where none of those remembered is left."""
    known = {anchor.id: anchor for anchor in head.anchors}
    others = [shown.id for shown in scan.met if known[shown.id].contradicts(shown)]
    limit = min([head.high + 1, *others])
    return max((shown.id for shown in scan.met if shown.id < limit), default=0)


def _restart(walk: Walk, scan: Scan, at_end: bool, now: float) -> Folded:
    """Begin the next epoch above the newest id that both histories share; gaps below it are still gaps."""
    survivor = _survivor(walk.head, scan)
    happening = Reset(survivor, walk.suspect)
    gaps = {id_: gap for id_, gap in walk.gaps.items() if id_ < survivor}
    late = {id_ for id_ in scan.ids if walk.floor <= id_ < survivor and id_ not in walk.known}
    new = {id_ for id_ in scan.ids if id_ > survivor or id_ in gaps}
    todo = tuple(sorted(new.union(late, scan.open)))
    head = replace(walk.head, epoch=walk.head.epoch + 1, high=survivor, gaps=tuple(sorted(gaps)), anchors=scan.newest)
    walk = _knowing(replace(walk, known=frozenset()), scan, at_end)
    walk = replace(walk, head=head, dirty=True, suspect="", survivor=None, since=now, gaps=gaps, todo=todo)
    return walk, (happening,)


def resumed(head: Head) -> Walk:
    """Return the walk that a remembered head describes."""
    known = frozenset(anchor.id for anchor in head.anchors)
    gaps = {id_: Gap(0.0, 0.0) for id_ in head.gaps}
    return Walk(head=head, begun=True, dirty=True, gaps=gaps, known=known, floor=min(known, default=head.high + 1))
