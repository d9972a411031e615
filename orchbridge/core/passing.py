"""One fold's steps through a window: listing it, taking ids up, letting go of what is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from orchbridge.core.draft import OPEN_ENDED_MAX, Draft, Tracked
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Odd
from orchbridge.core.head import Passage
from orchbridge.core.listing import LISTINGS_MAX, Listing, fold_listing
from orchbridge.core.past import Past, doubt, settled
from orchbridge.core.questions import Page, Reply, Trouble
from orchbridge.core.walk import Listed, Seen, Walk
from orchbridge.core.window import BACKFILL

RELIST_S = 5.0
CONFIRM_PAGE = 50
RESTARTS = frozenset({"unreachable", "tls"})  # no server is restored without being stopped

T = TypeVar("T", bound=Tracked)

replace = msgspec.structs.replace


def page_wanted(past: Past, widest: int) -> tuple[int, int]:
    """Return limit and offset of the next page of the list: the next one down, or later only the newest."""
    return (CONFIRM_PAGE, 0) if past.listed else (max(widest, past.listing.wide), past.listing.offset)


def each(work: Draft[T], past: Past, replies: Sequence[Reply], fold_one: Callable[[Any, Past, Reply], Past]) -> Past:
    """Fold one reply after the other, until the batch is full or the history turns out to be another's."""
    for at, reply in enumerate(replies):
        if past.lost:
            break
        if work.full:
            work.left.extend(replies[at:])
            break
        past = fold_one(work, past, reply)
    return past


def page(work: Draft[T], past: Past, reply: Reply, seen: list[Seen], answer: Page) -> Past:
    """Fold a page of the list: the next one down, or the newest once more."""
    return (_confirm if past.listed else _list_on)(work, past, reply, seen, answer)


def _list_on(work: Draft[T], past: Past, reply: Reply, seen: list[Seen], page: Page) -> Past:
    """Fold one page of the list; once it is whole, what is to be read is known, or that it is another history's.

    Raise Corrupt where that happens to a replay: nobody tells it where the histories part.
    """
    assert past.window is not None
    work.set_aside([item for item in page.items if isinstance(item, Odd)])
    strange = _strange(past, seen)
    if strange:
        return lost(past, strange)
    question = reply.question
    limit, offset = getattr(question, "limit", 0), getattr(question, "offset", 0)
    listed = Listed(offset, limit, seen, len(page.items), page.total, page.paged)
    listing = fold_listing(past.listing, listed, past.window)
    again = listing.tries > past.listing.tries
    work.walk = replace(work.walk, failures=0, newest=max(work.walk.newest, listing.newest))
    work.walk = replace(work.walk, due=work.now + RELIST_S if again else work.now)
    past = replace(past, listing=listing)
    if not offset:
        past = replace(past, top={item.anchor.id: item.anchor for item in seen})
    if not listing.whole:
        return past
    reason = doubt(past)
    if reason:
        return lost(past, reason)
    past, work.walk = settled(past, work.walk, tuple(work.tracks))
    return replace(past, newest=past.top, unsure=False)


def _confirm(work: Draft[T], past: Past, reply: Reply, seen: list[Seen], page: Page) -> Past:
    """Look once a tick whether the newest page still tells of the same history.

    What is under way was listed before; its events alone could not tell that they are another job's by now.
    """
    due = max(reply.asked_at + work.settings.poll_s, work.now)
    work.walk = replace(work.walk, failures=0, due=due)
    if not seen:  # not to be believed at once, one way or the other
        blank = past.blank + 1
        return replace(past, blank=blank, unsure=bool(past.newest) and blank < LISTINGS_MAX)
    past = replace(past, blank=0)
    reason = _strange(past, seen)
    if reason:
        return lost(past, reason)
    if past.newest and not any(item.anchor.id in past.newest for item in seen):
        return replace(past, listing=Listing())  # too much happened since: list down to what is known
    newest = max(item.anchor.id for item in seen)
    readable = len(seen) == len(page.items)  # else the newest may be the one that is not
    if readable and newest < max(past.newest, default=0):
        return lost(past, f"the newest id is {newest}, below {max(past.newest)} which was listed before")
    return replace(past, newest={item.anchor.id: item.anchor for item in seen}, unsure=False)


def _strange(past: Past, seen: list[Seen]) -> str:
    return next((reason for item in seen if (reason := past.another(item.anchor))), "")


def sure(past: Past, walk: Walk) -> bool:
    """Whether answers about single things are about the history that was listed; else they are asked for again."""
    return past.listed and not past.unsure and not walk.failures


def due(past: Past, walk: Walk, moments: Iterable[float], now: float) -> float:
    """Return seconds until there may be something to ask: a page of the list, or at one of the tracks' moments."""
    if not sure(past, walk):
        return walk.wait_s(now)
    return max(0.0, min([walk.due, *moments]) - now, walk.held - now)


def shaken(past: Past, reply: Reply) -> Past:
    """After a failure that may have been a restart: nothing but the list is asked before the history is confirmed."""
    answer = reply.answer
    return replace(past, unsure=True) if isinstance(answer, Trouble) and answer.kind in RESTARTS else past


def lost(past: Past, reason: str) -> Past:
    """Return the window as it waits for the live stream to say where the histories part; raise Corrupt for a replay."""
    if not past.backfill:
        raise Corrupt(
            f"the server's history is not the one that was delivered: {reason}",
            hint="let the live stream begin its new epoch first (it says source_reset), then replay again",
        )
    return replace(past, lost=reason)


def take_up(work: Draft[T], past: Past, make: Callable[[int, int], T]) -> None:
    """Begin tracking the next ids, lowest first, as far as there is room; `make` is given id and epoch."""
    if past.window is None or not past.listed or past.lost:
        return
    ids = past.next(work.walk.head.high, OPEN_ENDED_MAX - len(work.tracks))
    if ids:
        work.walk = replace(work.walk, head=replace(work.walk.head, high=ids[-1]), dirty=True)
        for id_ in ids:
            work.put(make(id_, past.window.epoch(id_)))


def forget(work: Draft[T], past: Past) -> Past:
    """Forget documents of an earlier hand-over, or of ids that a restore took away."""
    for id_ in past.stale:
        work.forget(id_)
    return replace(past, stale=()) if past.stale else past


def close(work: Draft[T], past: Past, under_way: Collection[int], noun: str) -> None:
    """Let go of what is certified, count it, and say so once nothing is left."""
    for id_, track in tuple(work.tracks.items()):
        if not track.open:
            work.drop(id_)
    walk, passage = work.walk, work.walk.head.passage
    if passage.over:
        return
    done = len(set(under_way).difference(work.tracks, work.unread))
    over = past.listed and not past.lost and not work.tracks and not past.left(walk.head.high)
    if not done and over == passage.over:
        return
    passage = replace(passage, done=passage.done + done, over=over)
    work.walk = replace(walk, head=replace(walk.head, passage=passage), dirty=True)
    if over and past.backfill:
        _told(work, past, passage, noun)


def _told(work: Draft[T], past: Past, passage: Passage, noun: str) -> None:
    window, gone = past.window, max(0, passage.total - passage.done)
    subject = f"{window.first}-{window.last}" if window is not None else ""
    if gone:
        work.tell(
            "pruned_unread",
            subject,
            explanation=f"{gone} of {passage.total} finished {noun}s were gone from the server before they were read",
            action="nothing can be done about these; a backfill with a larger share of requests is faster",
        )
    work.tell(
        f"{BACKFILL}_done",
        subject,
        explanation=f"the history is delivered: {passage.done} of {passage.total} finished {noun}s",
        action="nothing; the live stream goes on",
    )
