"""What one look shows of an activity list, and how it is told once the place is known."""

from __future__ import annotations

from collections.abc import Iterable

from orchbridge.core.activity import known as memory
from orchbridge.core.activity.known import Known
from orchbridge.core.activity.match import Held, Stretch, Survey
from orchbridge.core.activity.work import BATCH_BYTES_MAX, Work, brief
from orchbridge.core.facts import Odd

TORN_MAX = 3  # times an entry that cannot be read is asked for again before it is set aside
TORN_AGAIN_S = 1.0
REACH = 5  # known entries by which the next stretch of a search overlaps


class Sight:
    """The entries of a stretch, oldest first, with their digests: `full` ones for ids, short ones to compare."""

    def __init__(self, work: Work, held: Held, *, ends: bool, rest_s: float, directed: bool) -> None:
        self.work, self.held, self.items, self.rest_s = work, held, held.items, rest_s
        self.blind = not directed and held.start > 0  # it does not show which way the list runs; its beginning may
        self.full = held.digests
        short = tuple(None if each is None else memory.short(each) for each in self.full)
        self.stretch = Stretch(held.start, short, ends)

    def onward(self, overlap: int) -> None:
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

    def take(self, found: Survey, known: Known) -> None:
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

    def _pace(self, end: int, *, news: bool = True) -> None:
        """Ask on at once where there is more to read, else rest until the next look."""
        stretch, total = self.stretch, self.work.state.total
        more = end < len(self.items) or (news and (total is None or stretch.end < total))
        self.work.wait(0.0 if more else self.rest_s)
