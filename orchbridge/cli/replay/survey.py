"""Looking at what there is to read before anything is written: which ids are visible, and how fast answers come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchbridge.cli.replay.patience import Patience
from orchbridge.cli.replay.wanted import Holes, Span, Wanted
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Job, Plan
from orchbridge.core.head import Anchor, Head, history
from orchbridge.core.listing import Listing, fold_listing
from orchbridge.core.normalize.jobs import terminal as job_over
from orchbridge.core.normalize.plans import terminal as plan_over
from orchbridge.core.ports import Api
from orchbridge.core.questions import JobsPage, Page, PlansPage, Trouble
from orchbridge.core.times import seconds
from orchbridge.core.walk import Listed, Seen
from orchbridge.core.window import Window

PAGE, PAGE_LEAST = 200, 50
REQUESTS_EACH = {"jobs": 4.0, "plans": 3.0}  # for one of the usual kind: itself, its events, its nodes, its task


@dataclass(frozen=True, slots=True)
class Survey:
    """What the server shows of the jobs or plans wanted.

    over      ids that can be read, ascending; `running` are not over and are left out
    lowest    the lowest id met, `newest` the highest the server shows; 0 where it shows none
    reach     the wanted ids up to the newest, where ids were named
    answer_s  how long an answer took
    """

    kind: str
    over: tuple[int, ...] = ()
    running: tuple[int, ...] = ()
    lowest: int = 0
    newest: int = 0
    reach: tuple[Span, ...] = ()
    answer_s: float = 0.0

    @property
    def gone(self) -> tuple[Span, ...]:
        """The wanted ids that are not visible: pruned, or never given out."""
        shown = sorted((*self.over, *self.running))
        return tuple(gap for span in self.reach for gap in _gaps(span, shown))

    @property
    def gone_count(self) -> int:
        return sum((span.last or span.first) - span.first + 1 for span in self.gone)

    def about_s(self, left: int, requests_per_s: float, at_once: int) -> float:
        """Return about how many seconds so many of them take within such a budget."""
        pace = min(requests_per_s, at_once / max(self.answer_s, 0.001))
        return left * REQUESTS_EACH[self.kind] / pace


def _gaps(span: Span, shown: Sequence[int]) -> Iterator[Span]:
    last = span.first if span.last is None else span.last
    at = span.first
    for id_ in (*(id_ for id_ in shown if span.first <= id_ <= last), last + 1):
        if id_ > at:
            yield Span(at, id_ - 1)
        at = id_ + 1


def window_of(wanted: Wanted, kind: str, live: Head | None, newest: int | None = None) -> Window:
    """Return the window to read, up to the newest id where that is known.

    What the live stream remembers gives it the epochs, and what tells another history from this one.
    """
    spans = wanted.spans(kind)
    last = spans[-1].last
    if newest is not None and wanted.since is None:
        last = newest if last is None else min(last, newest)
    return Window(
        first=spans[0].first,
        last=last,
        since=wanted.since,
        until=wanted.until,
        skip=Holes(spans),
        eras=() if live is None else history(live),
        anchors=() if live is None else live.anchors,
    )


async def survey(api: Api, wanted: Wanted, kind: str, live: Head | None, patience: Patience) -> Survey:
    """Walk the list down to the first id wanted, for as long as it takes.

    Raise Corrupt where the server's history is not the one that the live stream has read.
    """
    window = window_of(wanted, kind, live)
    listing, most, failures, answers, took = Listing(), PAGE, 0, 0, 0.0
    while not listing.whole:
        limit = max(most, listing.wide)
        started = time.monotonic()
        answer = await api.answer((JobsPage if kind == "jobs" else PlansPage)(limit, listing.offset))
        if isinstance(answer, Trouble) and answer.kind == "absent" and kind == "plans":
            return Survey(kind)  # servers before 2018.1 have none
        if isinstance(answer, Trouble) and answer.kind == "invalid" and most > PAGE_LEAST:
            most = PAGE_LEAST
        elif not isinstance(answer, Page):
            failures += 1
            await patience.rest(failures)
        else:
            failures, answers, took = 0, answers + 1, took + time.monotonic() - started
            listed = Listed(listing.offset, limit, _seen(answer), len(answer.items), answer.total, answer.paged)
            listing = fold_listing(listing, listed, window)
    _same_history(kind, listing, window)
    return _found(kind, wanted, listing, took / max(answers, 1))


def _seen(page: Page) -> list[Seen]:
    found: list[Seen] = []
    for item in page.items:
        if isinstance(item, Job | Plan) and item.id > 0:
            over = job_over(item) if isinstance(item, Job) else plan_over(item)
            found.append(Seen(Anchor(item.id, item.created, item.owner.id), not over, seconds(item.created)))
    return found


def _same_history(kind: str, listing: Listing, window: Window) -> None:
    expected = max((anchor.id for anchor in window.anchors), default=0)
    reason = listing.clash
    if 0 < listing.newest < expected and not listing.odd:
        reason = f"the newest id is {listing.newest}, below {expected} which was read before"
    if reason:
        raise Corrupt(
            f"the orchestrator's {kind} are not those that the live stream has read: {reason}",
            hint="was it restored? let `orchbridge run` meet it first: it opens a new epoch then",
        )


def _found(kind: str, wanted: Wanted, listing: Listing, answer_s: float) -> Survey:
    seen = {item.anchor.id: item for page in listing.pages for item in page}
    newest = listing.newest
    spans = () if wanted.since is not None else wanted.spans(kind)
    return Survey(
        kind,
        over=tuple(sorted(id_ for id_, item in seen.items() if not item.open)),
        running=tuple(sorted(id_ for id_, item in seen.items() if item.open)),
        lowest=listing.lowest,
        newest=newest,
        reach=tuple(
            Span(span.first, newest if span.last is None else min(span.last, newest))
            for span in spans
            if span.first <= newest
        ),
        answer_s=answer_s,
    )
