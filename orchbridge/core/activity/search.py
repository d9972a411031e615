"""Finding the end of an activity list, or the place in it where the last look ended."""

from __future__ import annotations

import msgspec

from orchbridge.core import times
from orchbridge.core.activity.known import Known
from orchbridge.core.activity.match import Survey, aligned, survey, unsure
from orchbridge.core.activity.sight import REACH, TORN_AGAIN_S, TORN_MAX, Sight
from orchbridge.core.activity.work import brief

SHORTEST_STEP = 20
HELD_MAX = 2_000  # entries of a search, held until all that is known was looked for among them

replace = msgspec.structs.replace


def seek(sight: Sight) -> None:
    """Look for the end of the list, where a stream that starts now begins."""
    work, stretch, state = sight.work, sight.stretch, sight.work.state
    if not sight.items and state.seek > 0:
        work.wait(sight.rest_s, seek=0)  # there are fewer than the server said
    elif stretch.ends if state.total is not None else len(sight.items) <= 1:
        for item, each in zip(sight.items, sight.full, strict=True):
            work.pass_over(item, each)
        work.change(start=None)
        work.remember(brief(sight.full), stretch.end, whole=not sight.items)
        work.wait(sight.rest_s)
    elif state.total is None:
        work.change(seek=stretch.end - 1)  # on to the page that has nothing more
    else:
        jump = state.total - state.reach.kept
        work.change(seek=jump if jump > state.seek else stretch.end - 1)


def find(sight: Sight) -> None:
    """Deliver what is new, or find the place."""
    work, stretch, known = sight.work, sight.stretch, sight.work.state.known
    overlap = aligned(known, stretch)
    if overlap is not None and unsure(known, stretch) and work.state.veiled < TORN_MAX:
        work.wait(TORN_AGAIN_S, veiled=work.state.veiled + 1)
        return
    if overlap is not None:
        work.change(search=None, suspicion=None, veiled=0)
        sight.onward(overlap)
        return
    found = survey(known, stretch)
    below = len(known.digests) - known.position + stretch.start
    expected = (max(0, -below), max(0, below))
    if found is None:
        _search_on(sight)
    elif work.state.search is None and (found.first != expected or not found.reached):
        begin_at = max(0, known.position - len(known.digests))
        work.wait(0.0, search=begin_at, looked=None)  # look at everything that is known
    elif work.state.search is not None and (low := _lower(sight, found)) is not None:
        work.wait(0.0, search=low, looked=low)
    elif work.state.search is not None and not found.reached and len(sight.items) <= HELD_MAX:
        work.wait(0.0, search=max(stretch.start + 1, stretch.end - REACH), held=sight.held)
    elif found.missing and len(found.missing) <= found.unread and work.state.torn < TORN_MAX:
        work.wait(TORN_AGAIN_S, torn=work.state.torn + 1)
    elif len(found.missing) > found.unread and sight.blind and (work.state.search is None or work.state.looked != 0):
        work.wait(0.0, search=0, looked=0)
    elif len(found.missing) > found.unread:
        _suspect(sight, found)
    elif found.twins and work.state.suspicion != (doubt := ("twins", str(found.twins))):
        work.wait(sight.rest_s, suspicion=doubt)
    else:
        _moved(sight, found)


def _lower(sight: Sight, found: Survey) -> int | None:
    """Return where known entries, and what became visible late among them, may stand below this stretch unseen."""
    (place, index), start, looked = found.first, sight.stretch.start, sight.work.state.looked
    if not found.strange and not place == 0 < index:
        return None
    room = _step(sight) - place - REACH  # what is strange is looked at with as much below it as a page holds
    low = max(0, start - (max(REACH, room) if found.strange else index + REACH))
    return low if low < start and (looked is None or low < looked) else None


def _moved(sight: Sight, found: Survey) -> None:
    """The place is another by now: entries below it were purged, or became visible late."""
    work, known = sight.work, sight.work.state.known
    work.change(search=None, suspicion=None)
    sight.take(found, known)


def _search_on(sight: Sight) -> None:
    """Nothing known is here: look further down, and where that was the bottom, believe it the second time."""
    work, state, stretch = sight.work, sight.work.state, sight.stretch
    known = state.known
    if state.search is None:
        work.wait(0.0, search=max(0, known.position - len(known.digests)), looked=None)
    elif state.looked is None and state.total is not None and stretch.end < state.total:
        work.wait(0.0, search=max(0, state.total - _step(sight)), looked=stretch.start)  # from the top down
    elif stretch.start > 0:
        top = state.search if state.total is None else min(state.search, state.total)
        work.wait(0.0, search=max(0, top - _step(sight)), looked=min(stretch.start, state.looked or stretch.start))
    elif not sight.items:
        work.wait(sight.rest_s, search=None, suspicion=None)  # an empty list says nothing; what comes next will
    elif state.suspicion != ("lost",):
        work.wait(sight.rest_s, search=None, suspicion=("lost",))
    else:
        _lost(sight)


def _step(sight: Sight) -> int:
    """Return how far down the next stretch of a search begins: two of them overlap."""
    return max(SHORTEST_STEP, (len(sight.items) or sight.work.state.limit) - SHORTEST_STEP)


def _lost(sight: Sight) -> None:
    """Nothing that is remembered is left: what is not older than the newest of it is new."""
    work, state = sight.work, sight.work.state
    newest = times.seconds(state.known.newest)
    head = replace(state.head, epoch=state.head.epoch + 1, floor=state.head.floor if newest is None else newest)
    work.counts = {}
    forgotten = Known(whole=True, newest=state.known.newest, edge=state.known.edge)
    work.change(head=head, search=None, suspicion=None, dirty=True, known=forgotten)
    work.miss(forgotten.edge)
    _told(sight, "nothing of what was delivered last is in the list any more")
    work.wait(0.0)


def _suspect(sight: Sight, found: Survey) -> None:
    """Known entries are gone from the midst of the list: it went back, if the next look says so too."""
    work, state = sight.work, sight.work.state
    if state.suspicion != found.missing:
        work.wait(sight.rest_s, suspicion=found.missing, search=state.search)
        return
    gone = set(found.missing)
    survivors = [each for each in state.known.digests if each not in gone]
    work.counts = {each: survivors.count(each) for each in survivors}
    head = replace(state.head, epoch=state.head.epoch + 1)
    work.change(head=head, search=None, suspicion=None)
    work.miss(found.missing)
    _told(sight, f"{len(found.missing)} of the newest entries that were delivered are gone from the list")
    sight.take(found, work.state.known)


def _told(sight: Sight, what: str) -> None:
    """Tell people of a new epoch."""
    service = sight.work.service
    sight.work.tell(
        "source_reset",
        f"epoch-{sight.work.state.head.epoch}",
        explanation=f"the activity of {service} is another history: {what}",
        action="check that the server was restored, or its activity purged, on purpose",
    )
