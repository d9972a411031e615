"""One page of an activity list folded: what is new in it, or where the place is by now."""

from __future__ import annotations

from orchbridge.core.activity.match import Held, backwards, stretch_of
from orchbridge.core.activity.search import find, seek
from orchbridge.core.activity.sight import Sight
from orchbridge.core.activity.work import Work, begin
from orchbridge.core.facts import Commit, Odd
from orchbridge.core.normalize.activity import digest
from orchbridge.core.questions import Activity, Page, Trouble


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
    sight = Sight(work, seen, ends=told.ends, rest_s=rest_s, directed=direction is not None)
    if work.state.start is not None:
        seek(sight)
    else:
        find(sight)


def _too_high(work: Work, question: Activity, page: Page, more: bool, rest_s: float) -> None:
    """The answer of a server that begins with its newest entries does not reach down to what was asked for."""
    count, least = len(page.items), 2 * work.state.reach.overlap
    clamped = not page.cut and least <= count < question.limit
    if clamped and count < work.state.limit:
        work.wait(0.0, limit=count)
    else:
        work.wait(0.0 if more else rest_s)
