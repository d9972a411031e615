"""Taking up what a walk found, and being patient with the ids it skipped.

An id that was skipped stays a gap until it appears or was looked up and found empty, several
times and for long enough: a job can become visible after others with higher ids.
"""

from __future__ import annotations

from bisect import bisect_right

from orchbridge.core.head import GAPS_MAX
from orchbridge.core.walk import Folded, Gap, Happening, Hole, Walk, replace
from orchbridge.core.walking import merge

FIRST_LOOK_S = 4.0
LOOK_EVERY_S = 10.0
PATIENCE_S = 30.0
LOOKS_A_TICK = 4
FRESH_MAX = 50  # the first id seen on a server without any: up to here those before it are still on their way


def take(walk: Walk, room: int, now: float) -> tuple[Walk, tuple[int, ...], tuple[Happening, ...]]:
    """Take up to `room` ids off the to-do list, lowest first, and move the head over them.

    Ids at or below the head (unfinished ones of a start or reset, late ones) are taken whatever
    the room: the head is committed together with them and nothing would find them again.
    """
    known = bisect_right(walk.todo, walk.head.high)
    ahead = walk.todo[known : known + max(room, 0)]
    taken = walk.todo[: known + len(ahead)]
    if not taken:
        return walk, (), ()
    gaps = dict(walk.gaps)
    for id_ in taken[:known]:
        gaps.pop(id_, None)
    happenings: list[Happening] = []
    high = walk.head.high
    if not high and ahead and ahead[0] > FRESH_MAX:
        high = ahead[0] - 1  # nothing was ever seen below the first id, and it is not the first of all
    for id_ in ahead:
        if id_ - high - 1 > GAPS_MAX:
            happenings.append(Hole(high + 1, id_ - 1))
        else:
            gaps.update((missing, Gap(now, now + FIRST_LOOK_S)) for missing in range(high + 1, id_))
        high = id_
    while len(gaps) > GAPS_MAX:
        lowest = min(gaps)
        del gaps[lowest]
        happenings.append(Hole(lowest, lowest))
    head = replace(walk.head, high=high, gaps=tuple(sorted(gaps)))
    rest = walk.todo[len(taken) :]
    return replace(walk, head=head, dirty=True, todo=rest, gaps=gaps), taken, tuple(happenings)


def due_gaps(walk: Walk, now: float) -> tuple[int, ...]:
    """Return the gaps to look up now, a few at a time."""
    return tuple(sorted(id_ for id_, gap in walk.gaps.items() if gap.due <= now)[:LOOKS_A_TICK])


def found(walk: Walk, id_: int) -> Walk:
    """A gap turned out to be a job that became visible late."""
    return replace(walk, todo=merge(walk.todo, {id_}), known=walk.known | {id_})


def not_found(walk: Walk, id_: int, now: float, *, looks: int = 2) -> Folded:
    """A look-up found nothing: be patient, then declare the id empty; `looks` is how many must agree."""
    gap = walk.gaps[id_]
    since = gap.since or now  # not known for a gap that was remembered: patience begins anew
    if gap.misses + 1 >= looks and now - since >= PATIENCE_S:
        gaps = {key: value for key, value in walk.gaps.items() if key != id_}
        head = replace(walk.head, gaps=tuple(sorted(gaps)))
        return replace(walk, head=head, gaps=gaps, dirty=True), (Hole(id_, id_),)
    patience = Gap(since, now + LOOK_EVERY_S, gap.misses + 1)
    return replace(walk, gaps={**walk.gaps, id_: patience}), ()


def postpone(walk: Walk, id_: int, now: float) -> Walk:
    """A look-up failed for another reason; it says nothing about the id."""
    gap = walk.gaps.get(id_)
    return walk if gap is None else replace(walk, gaps={**walk.gaps, id_: replace(gap, due=now + LOOK_EVERY_S)})
