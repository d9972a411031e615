"""One page of an activity list folded: what is new in it, or where the place is by now."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchbridge.core import times
from orchbridge.core.activity import known as memory
from orchbridge.core.activity.known import Known
from orchbridge.core.activity.match import Held, Stretch, Survey, aligned, backwards, stretch_of, survey, unsure
from orchbridge.core.activity.work import BATCH_BYTES_MAX, Work, begin, brief
from orchbridge.core.facts import Commit, Odd
from orchbridge.core.normalize.activity import digest
from orchbridge.core.questions import Activity, Page, Trouble

TORN_MAX = 3  # times an entry that cannot be read is asked for again before it is set aside
TORN_AGAIN_S = 1.0
SHORTEST_STEP = 20
HELD_MAX = 2_000  # entries of a search, held until all that is known was looked for among them
REACH = 5  # known entries by which the next stretch of a search overlaps

Item = Commit | Odd
replace = msgspec.structs.replace


def fold_page(work: Work, question: Activity, page: Page, asked_at: float) -> None:
    """Fold an answer of the list; `asked_at` is what the next look is counted from."""
    items = [item for item in page.items if isinstance(item, Commit | Odd)]
    direction = backwards(page)
    wanted, before = begin(work.state), work.state.total
    work.change(total=page.total, absent=False)
    if direction is not None and direction != work.state.newest_first:
        again = 0.0 if work.state.failures == 0 else work.settings.poll_s
        work.wait(again, newest_first=direction, search=None, seek=0, failures=work.state.failures + 1)
        return
    origin, service = work.settings.origin, work.service
    full = [digest(service, item, origin) if isinstance(item, Commit) else None for item in items]
    backward = work.state.newest_first
    told = stretch_of(page, question.offset, full, question.limit, newest_first=backward)
    if told is None:
        trouble = Trouble("malformed", "the list begins with its newest entries and does not say how many there are")
        work.troubles.append((f"the activity of {service}", trouble))
        work.wait(work.settings.poll_s)
        return
    work.change(failures=0)
    rest_s = max(0.0, asked_at + work.settings.poll_s - work.now)
    if backward:
        items.reverse()
        if told.start > wanted:
            _too_high(work, question, page, before != page.total, rest_s)
            return
    work.listed = True
    seen = Held(told.start, tuple(items), told.digests)
    if work.state.held is not None:
        seen = work.state.held.onward(seen) or seen
        work.change(held=None)
    sight = _Sight(work, seen, ends=told.ends, rest_s=rest_s, directed=direction is not None)
    if work.state.start is not None:
        sight.seek()
    else:
        sight.read()


def _too_high(work: Work, question: Activity, page: Page, more: bool, rest_s: float) -> None:
    """The answer of a server that begins with its newest entries does not reach down to what was asked for."""
    count, least = len(page.items), 2 * work.state.reach.overlap
    clamped = not page.cut and least <= count < question.limit
    if clamped and count < work.state.limit:
        work.wait(0.0, limit=count)
    else:
        work.wait(0.0 if more else rest_s)


class _Sight:
    """The entries of one page, oldest first, with their digests: `full` ones for ids, short ones to compare."""

    def __init__(self, work: Work, held: Held, *, ends: bool, rest_s: float, directed: bool) -> None:
        self.work, self.held, self.items, self.rest_s = work, held, held.items, rest_s
        self.blind = not directed and held.start > 0  # it does not show which way the list runs; its beginning may
        self.full = held.digests
        short = tuple(None if each is None else memory.short(each) for each in self.full)
        self.stretch = Stretch(held.start, short, ends)

    def seek(self) -> None:
        """Look for the end of the list, where a stream that starts now begins."""
        work, stretch, state = self.work, self.stretch, self.work.state
        if not self.items and state.seek > 0:
            work.wait(self.rest_s, seek=0)  # there are fewer than the server said
        elif stretch.ends if state.total is not None else len(self.items) <= 1:
            for item, each in zip(self.items, self.full, strict=True):
                work.pass_over(item, each)
            work.change(start=None)
            work.remember(brief(self.full), stretch.end, whole=not self.items)
            work.wait(self.rest_s)
        elif state.total is None:
            work.change(seek=stretch.end - 1)  # on to the page that has nothing more
        else:
            jump = state.total - state.reach.kept
            work.change(seek=jump if jump > state.seek else stretch.end - 1)

    def read(self) -> None:
        """Deliver what is new, or find the place."""
        work, stretch, known = self.work, self.stretch, self.work.state.known
        overlap = aligned(known, stretch)
        if overlap is not None and unsure(known, stretch) and work.state.veiled < TORN_MAX:
            work.wait(TORN_AGAIN_S, veiled=work.state.veiled + 1)
            return
        if overlap is not None:
            work.change(search=None, suspicion=None, veiled=0)
            self._onward(overlap)
            return
        found = survey(known, stretch)
        below = len(known.digests) - known.position + stretch.start
        expected = (max(0, -below), max(0, below))
        if found is None:
            self._search_on()
        elif work.state.search is None and (found.first != expected or not found.reached):
            begin_at = max(0, known.position - len(known.digests))
            work.wait(0.0, search=begin_at, looked=None)  # look at everything that is known
        elif work.state.search is not None and (low := self._lower(found)) is not None:
            work.wait(0.0, search=low, looked=low)
        elif work.state.search is not None and not found.reached and len(self.items) <= HELD_MAX:
            work.wait(0.0, search=max(stretch.start + 1, stretch.end - REACH), held=self.held)
        elif found.missing and len(found.missing) <= found.unread and work.state.torn < TORN_MAX:
            work.wait(TORN_AGAIN_S, torn=work.state.torn + 1)
        elif len(found.missing) > found.unread and self.blind and (work.state.search is None or work.state.looked != 0):
            work.wait(0.0, search=0, looked=0)
        elif len(found.missing) > found.unread:
            self._suspect(found)
        elif found.twins and work.state.suspicion != (doubt := ("twins", str(found.twins))):
            work.wait(self.rest_s, suspicion=doubt)
        else:
            self._moved(found)

    def _lower(self, found: Survey) -> int | None:
        """Return where known entries, and what became visible late among them, may stand below this stretch unseen."""
        (place, index), start, looked = found.first, self.stretch.start, self.work.state.looked
        if not found.strange and not place == 0 < index:
            return None
        room = self._step() - place - REACH  # what is strange is looked at with as much below it as a page holds
        low = max(0, start - (max(REACH, room) if found.strange else index + REACH))
        return low if low < start and (looked is None or low < looked) else None

    def _onward(self, overlap: int) -> None:
        """Deliver what stands behind the known entries, as far as one batch holds it."""
        work, known = self.work, self.work.state.known
        end = self._deliver(range(overlap, len(self.items)), late_until=0)
        if end > overlap:
            news = brief(self.full[overlap:end])
            work.remember([*known.digests, *news], known.position + end - overlap, whole=work.state.known.whole)
        elif overlap < len(self.items):
            work.wait(TORN_AGAIN_S)
            return
        else:
            work.change(torn=0)
        self._pace(end, news=end > overlap)

    def _pace(self, end: int, *, news: bool = True) -> None:
        """Ask on at once where there is more to read, else rest until the next look."""
        stretch, total = self.stretch, self.work.state.total
        more = end < len(self.items) or (news and (total is None or stretch.end < total))
        self.work.wait(0.0 if more else self.rest_s)

    def _deliver(self, places: Iterable[int], late_until: int) -> int:
        """Deliver the entries at these places; return behind which place of the page that came to an end."""
        work, weight = self.work, 0
        for place in places:
            item = self.items[place]
            if isinstance(item, Odd) and place >= late_until:
                if work.state.torn < TORN_MAX:
                    work.change(torn=work.state.torn + 1)
                    return place
                work.change(torn=0)
            elif place >= late_until:
                work.change(torn=0)
            work.deliver(item, self.full[place], late=place < late_until)
            weight += len(item.raw)
            if weight >= BATCH_BYTES_MAX and place >= late_until:
                return place + 1
        return len(self.items)

    def _moved(self, found: Survey) -> None:
        """The place is another by now: entries below it were purged, or became visible late."""
        work, known = self.work, self.work.state.known
        work.change(search=None, suspicion=None)
        self._take(found, known)

    def _take(self, found: Survey, known: Known) -> None:
        """Deliver what is fresh on a stretch that shows the place."""
        work, stretch = self.work, self.stretch
        last, index = found.last
        rest = () if found.reached else known.digests[index + 1 :]
        end = self._deliver(found.fresh, late_until=last)
        upto = max(end, last + 1) if end < len(self.items) else len(self.items)
        before = () if known.whole and stretch.start == 0 else found.below
        begin = 0 if known.whole and stretch.start == 0 else found.first[0]
        purged = stretch.start == 0 and found.first[0] == 0 and found.first[1] > 0
        digests = [*(() if purged else before), *brief(self.full[begin:upto]), *rest]
        settled = stretch.start + last + 1 + len(rest)
        gone = 0 if found.missing else max(0, known.position - settled)
        position = stretch.start + upto + len(rest)
        work.remember(digests, position, whole=work.state.known.whole and not purged, purged=gone)
        if rest:
            work.wait(0.0, search=max(stretch.start + 1, stretch.end - REACH))
        else:
            self._pace(upto)

    def _search_on(self) -> None:
        """Nothing known is here: look further down, and where that was the bottom, believe it the second time."""
        work, state, stretch = self.work, self.work.state, self.stretch
        known = state.known
        if state.search is None:
            work.wait(0.0, search=max(0, known.position - len(known.digests)), looked=None)
        elif state.looked is None and state.total is not None and stretch.end < state.total:
            work.wait(0.0, search=max(0, state.total - self._step()), looked=stretch.start)  # from the top down
        elif stretch.start > 0:
            top = state.search if state.total is None else min(state.search, state.total)
            work.wait(0.0, search=max(0, top - self._step()), looked=min(stretch.start, state.looked or stretch.start))
        elif not self.items:
            work.wait(self.rest_s, search=None, suspicion=None)  # an empty list says nothing; what comes next will
        elif state.suspicion != ("lost",):
            work.wait(self.rest_s, search=None, suspicion=("lost",))
        else:
            self._lost()

    def _step(self) -> int:
        """Return how far down the next stretch of a search begins: two of them overlap."""
        return max(SHORTEST_STEP, (len(self.items) or self.work.state.limit) - SHORTEST_STEP)

    def _lost(self) -> None:
        """Nothing that is remembered is left: what is not older than the newest of it is new."""
        work, state = self.work, self.work.state
        newest = times.seconds(state.known.newest)
        head = replace(state.head, epoch=state.head.epoch + 1, floor=state.head.floor if newest is None else newest)
        work.counts = {}
        forgotten = Known(whole=True, newest=state.known.newest, edge=state.known.edge)
        work.change(head=head, search=None, suspicion=None, dirty=True, known=forgotten)
        work.miss(forgotten.edge)
        self._told("nothing of what was delivered last is in the list any more")
        work.wait(0.0)

    def _suspect(self, found: Survey) -> None:
        """Known entries are gone from the midst of the list: it went back, if the next look says so too."""
        work, state = self.work, self.work.state
        if state.suspicion != found.missing:
            work.wait(self.rest_s, suspicion=found.missing, search=state.search)
            return
        gone = set(found.missing)
        survivors = [each for each in state.known.digests if each not in gone]
        work.counts = {each: survivors.count(each) for each in survivors}
        head = replace(state.head, epoch=state.head.epoch + 1)
        work.change(head=head, search=None, suspicion=None)
        work.miss(found.missing)
        self._told(f"{len(found.missing)} of the newest entries that were delivered are gone from the list")
        self._take(found, work.state.known)

    def _told(self, what: str) -> None:
        """Tell people of a new epoch."""
        service = self.work.service
        self.work.tell(
            "source_reset",
            f"epoch-{self.work.state.head.epoch}",
            explanation=f"the activity of {service} is another history: {what}",
            action="check that the server was restored, or its activity purged, on purpose",
        )
