"""Finding the place again: what a stretch of the list shows, laid over what is remembered of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise, takewhile

import msgspec

from orchbridge.core import times
from orchbridge.core.activity.known import WILD, Known
from orchbridge.core.facts import Commit, Odd
from orchbridge.core.questions import Page


class Stretch(msgspec.Struct, frozen=True):
    """Entries from `start` on, oldest first; None is one that could not be read. `ends`: the list ends with them."""

    start: int
    digests: tuple[str | None, ...]
    ends: bool

    @property
    def end(self) -> int:
        return self.start + len(self.digests)


class Held(msgspec.Struct, frozen=True):
    """Entries as they were read, from `start` on, oldest first, with their whole digests."""

    start: int
    items: tuple[Commit | Odd, ...]
    digests: tuple[str | None, ...]

    def onward(self, other: Held) -> Held | None:
        """Return both as one, None where the other is not seen to go on where this one ends."""
        shared = self.start + len(self.digests) - other.start
        if not 0 < shared <= min(len(self.digests), len(other.digests)):
            return None
        if self.digests[-shared:] != other.digests[:shared]:
            return None
        return Held(self.start, self.items + other.items[shared:], self.digests + other.digests[shared:])


class Survey(msgspec.Struct, frozen=True):
    """What a stretch shows that has at least one remembered entry in it.

    fresh    places in the stretch of what was never read: in between is what became visible late
    last     the place of the newest remembered one, `index` which of the remembered that is
    first    likewise of the oldest; `below`: what is remembered of before that and may stand below the stretch
    missing  digests that should be here and are not; `reached`: none can be further up
    strange  what stands below the first is none of what is remembered of before that: those are missing as well
    twins    how many may be missing of the kind that the stretch is made of: purged, or not here yet
    unread   how many entries of the stretch could not be read
    """

    fresh: tuple[int, ...]
    first: tuple[int, int]
    last: tuple[int, int]
    below: tuple[str, ...]
    missing: tuple[str, ...]
    twins: int
    reached: bool
    unread: int
    strange: bool = False


def aligned(known: Known, stretch: Stretch) -> int | None:
    """Return behind which entry the new ones begin, None where the known ones are not where they were."""
    overlap = known.position - stretch.start
    if not 0 <= overlap <= len(stretch.digests):
        return None
    both = min(overlap, len(known.digests))  # what stands further below is not remembered
    if not both and known.position:
        return None
    pairs = zip(known.digests[len(known.digests) - both :], stretch.digests[overlap - both : overlap], strict=True)
    return overlap if all(seen is None or one in {seen, WILD} for one, seen in pairs) else None


def unsure(known: Known, stretch: Stretch) -> bool:
    """Return whether an aligned stretch has something new behind known entries that cannot be read there."""
    overlap = known.position - stretch.start
    both = min(overlap, len(known.digests))
    pairs = zip(known.digests[len(known.digests) - both :], stretch.digests[overlap - both : overlap], strict=True)
    return overlap < len(stretch.digests) and any(seen is None and one != WILD for one, seen in pairs)


def survey(known: Known, stretch: Stretch) -> Survey | None:
    """Return what the stretch shows, None where nothing remembered is in it."""
    lowest, twins = _lower_end(known, stretch)
    places = defaultdict[str, list[int]](list)
    for index in range(len(known.digests) - 1, -1, -1):
        if index >= lowest or known.digests[index] != stretch.digests[0]:
            places[known.digests[index]].append(index)  # the oldest is taken first
    places.pop(WILD, None)
    matches = list[tuple[int, int]]()
    fresh = list[int]()
    complete = known.whole and stretch.start == 0
    for place, digest in enumerate(stretch.digests):
        if digest is not None and places.get(digest):
            matches.append((place, places[digest].pop()))
        elif digest is not None and (matches or complete) and not _older_twin(known, digest, matches, complete):
            fresh.append(place)
    if not matches:
        return None
    behind = max(place for place, _ in matches)
    fresh += [place for place, digest in enumerate(stretch.digests) if digest is None and place > behind]
    first, last = matches[0], max(matches, key=lambda match: match[1])
    found = {index for _, index in matches}
    reached = stretch.ends or last[1] == len(known.digests) - 1
    horizon = len(known.digests) if reached else last[1]
    strange = first[1] > 0 and any(digest is not None for digest in stretch.digests[: first[0]])
    missing = tuple(
        digest
        for index, digest in enumerate(known.digests[:horizon])
        if (strange or index > first[1]) and index not in found and digest != WILD
    )
    unread = sum(digest is None for digest in stretch.digests)
    below = tuple(digest for index, digest in enumerate(known.digests[: first[1]]) if index not in found)
    below, twins = () if strange else below, twins if reached else 0
    return Survey(tuple(sorted(fresh)), first, last, below, missing, twins, reached, unread, strange)


def _lower_end(known: Known, stretch: Stretch) -> tuple[int, int]:
    """Return which remembered entry the stretch begins with, and how many more there may be of its kind.

    Among equal ones that is the one that what follows fits best. Where it fits several as well, it is the one behind
    which nothing known is left out, then the one that stands there if nothing has moved, else the newest; it stays
    doubtful where nothing else follows at all.
    """
    seen, digests = stretch.digests, known.digests
    if not seen or seen[0] not in digests:
        return 0, 0
    lengths = {index: _common(digests, index, seen) for index, each in enumerate(digests) if each == seen[0]}
    best = max(lengths.values())
    fitting = [index for index, length in lengths.items() if length == best]
    if best < len(seen):
        fitting = [index for index in fitting if index + best == len(digests)] or fitting
    expected = len(digests) - known.position + stretch.start
    chosen = expected if expected in fitting else fitting[-1]
    return chosen, chosen - fitting[0] if best == len(seen) and chosen != expected else 0


def _common(digests: Sequence[str], index: int, seen: Sequence[str | None]) -> int:
    """Return how many entries agree, one after the other from there on."""
    pairs = zip(digests[index:], seen, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[1] is None or pair[0] in {pair[1], WILD}, pairs))


def _older_twin(known: Known, digest: str, matches: list[tuple[int, int]], complete: bool) -> bool:
    """Whether one more of an equal kind may have been read before what is remembered begins."""
    return not complete and digest == known.digests[0] and all(known.digests[index] == digest for _, index in matches)


def backwards(page: Page) -> bool | None:
    """Return whether a page as it came runs from newest to oldest, None where it does not tell."""
    moments = [times.seconds(item.stamp) for item in page.items if isinstance(item, Commit)]
    told = [moment for moment in moments if moment is not None]
    steps = [later - earlier for earlier, later in pairwise(told)]
    up, down = sum(step > 0 for step in steps), sum(step < 0 for step in steps)
    return None if up == down else down > up


def stretch_of(
    page: Page, offset: int, digests: Sequence[str | None], limit: int, *, newest_first: bool
) -> Stretch | None:
    """Return where the entries of a page stand, counted from the oldest; `digests` are in the order of the answer.

    None where that cannot be told: a server that begins with the newest has to say how many there are.
    """
    count = len(digests)
    if not newest_first:
        ends = offset + count >= page.total if page.total is not None else count < limit
        return Stretch(offset, tuple(digests), ends or not count)
    if page.total is None or page.total - offset - count < 0:
        return None
    return Stretch(page.total - offset - count, tuple(reversed(digests)), offset == 0)
