"""Reading a window of history: what is to be read, how far that has come, and what is remembered of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import msgspec

from orchbridge.core import memos
from orchbridge.core.draft import OPEN_ENDED_MAX, Draft, Tracked
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Odd
from orchbridge.core.handover import Eras, Handover, window_of
from orchbridge.core.head import Anchor, Head, Passage
from orchbridge.core.listing import Listing, fold_listing
from orchbridge.core.ports import Recalled
from orchbridge.core.questions import Page, Reply
from orchbridge.core.recall import WalkRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Listed, Seen, Walk
from orchbridge.core.window import BACKFILL, Progress, Window

RELIST_S = 5.0

T = TypeVar("T", bound=Tracked)
M = TypeVar("M", bound=memos.Memo)

replace = msgspec.structs.replace


class Past(msgspec.Struct, frozen=True):
    """A window being read; the walk's head tells how far (`high`: everything up to there is done or tracked).

    window   None where nothing was handed over yet; `handed`: how many ids were
    cut      the epoch of the restore that shortened it last, 0 = none
    todo     ids to read, ascending; those up to the head are done with
    anchors  what the list said of each, so that another history is recognised
    running  ids left out because they are not over
    stale    documents of ids that are not ours any more, to be forgotten with the next commit
    lost     why the server's history is not the one that was listed
    """

    window: Window | None
    handed: int = 0
    cut: int = 0
    backfill: bool = True
    listing: Listing = Listing()
    todo: tuple[int, ...] = ()
    anchors: Mapping[int, Anchor] = {}
    running: tuple[int, ...] = ()
    stale: tuple[int, ...] = ()
    lost: str = ""

    @property
    def listed(self) -> bool:
        return self.listing.whole

    def left(self, high: int) -> int:
        """Return how many ids above `high` are still to be taken up."""
        return len(self.todo) - bisect_right(self.todo, high)

    @property
    def waits(self) -> bool:
        """Whether there is nothing to ask before the memory is read again."""
        return self.window is None or bool(self.lost)

    def over(self, head: Head) -> bool:
        """Whether everything in the window is accounted for."""
        return self.window is not None and (head.passage.over or (self.backfill and not self.handed))

    def another(self, shown: Anchor) -> str:
        """Return why something cannot be what the list said of that id; empty where it can."""
        listed = self.anchors.get(shown.id)
        if listed is None or not listed.contradicts(shown):
            return ""
        return f"id {shown.id} was created {listed.created}, now {shown.created}"

    def next(self, high: int, room: int) -> tuple[int, ...]:
        """Return the next ids to take up."""
        at = bisect_right(self.todo, high)
        return self.todo[at : at + max(room, 0)]


def doubt(past: Past) -> str:
    """Return why a whole listing cannot be of the history that the window was made for; empty where it can."""
    listing, window = past.listing, past.window
    if window is None or listing.clash:
        return listing.clash
    expected = max((anchor.id for anchor in window.anchors), default=0)
    if 0 < listing.newest < expected and not listing.odd:
        return f"the newest id is {listing.newest}, below {expected} which was read before"
    return ""


def settled(past: Past, walk: Walk, tracked: Collection[int]) -> tuple[Past, Walk]:
    """Return both once the listing is whole: what is to be read, and how much that makes."""
    assert past.window is not None
    seen = {item.anchor.id: item for page in past.listing.pages for item in page}
    doubts = {id_ for id_ in past.listing.doubts if past.window.has(id_, None)}.difference(seen)
    running = () if past.backfill else tuple(sorted(id_ for id_, item in seen.items() if item.open))
    high = walk.head.high
    todo = tuple(sorted(id_ for id_ in doubts.union(seen).difference(running) if id_ > high))
    anchors = {id_: item.anchor for id_, item in seen.items() if id_ > high or id_ in tracked}
    head, passage = walk.head, walk.head.passage
    ahead = passage.done + len(todo) + len(tracked)
    if past.backfill:
        total = max(past.handed, ahead) if passage.cut == past.cut else ahead
    else:
        total = max(_reach(past.window, seen), passage.total, ahead)
    if passage.total != total or passage.cut != past.cut:
        head = replace(head, passage=replace(passage, total=total, cut=past.cut))
        walk = replace(walk, head=head, dirty=True)
    listing = replace(past.listing, pages=(), doubts=())
    return replace(past, listing=listing, todo=todo, anchors=anchors, running=running), walk


def _reach(window: Window, seen: Mapping[int, Seen]) -> int:
    """Return how many ids the window spans: those never given out or pruned are counted, and will be skipped."""
    timed = window.since is not None or window.until is not None
    first = window.first if window.first > 1 and not timed else min(seen, default=0)
    last = window.last if window.last is not None and not timed else max(seen, default=0)
    return 0 if not last else sum(1 for id_ in range(first, last + 1) if id_ not in window.skip)


def progress(past: Past, head: Head, under_way: int) -> Progress | None:
    """Return how far it has come; None where there is nothing yet to come from."""
    if past.window is None:
        return None
    passage = head.passage
    total = passage.total or past.handed
    left = past.left(head.high) + under_way if past.listed else max(0, total - passage.done)
    skipped = max(0, total - passage.done - (0 if passage.over else left))
    return Progress(passage.done, total, skipped, past.running, past.over(head))


class PastRecall(WalkRecall[M]):
    """The memory of a window stream being read back; a backfill learns its window from it."""

    def __init__(self, settings: StreamSettings, owner: str, kind: type[M], window: Window | None) -> None:
        super().__init__(settings, owner, kind)
        self._window = window
        self._notes: dict[str, bytes | None] = {}

    def learn(self, document: Recalled) -> None:
        """Take in one document; raise Corrupt where its key cannot be ours."""
        last = document.key.removeprefix(f"{self._settings.name}/")
        if last in {"window", "eras"}:
            self._notes[last] = document.value
        else:
            super().learn(document)

    def past(self) -> tuple[Past, Walk, dict[int, M]]:
        """Return the window, how far it was read, and what was under way."""
        walk = self.walk()
        head = walk.head
        if self._window is not None:
            past = Past(self._window, backfill=False)
            newest = self._window.eras[-1].epoch if self._window.eras else 1
            fresh = replace(head, epoch=newest, high=self._window.first - 1)
            known = walk.begun
        else:
            past, handed = self._handed()
            fresh = Head(url=head.url, keys=head.keys, owner=head.owner, epoch=handed.epoch, high=handed.first - 1)
            fresh = replace(fresh, passage=Passage(mark=handed.mark))
            known = walk.begun and head.passage.mark == handed.mark
        tracked = self.tracked() if known else {}
        kept = {id_: memo for id_, memo in tracked.items() if past.window and past.window.has(id_, None)}
        stale = tuple(sorted(set(self._memos).difference(kept)))
        walk = Walk(head if known else fresh, begun=True, dirty=True)
        return replace(past, stale=stale), walk, kept

    def _handed(self) -> tuple[Past, Handover]:
        name = self._settings.name
        note, told = self._notes.get("window"), self._notes.get("eras")
        if note is None:
            return Past(None), Handover()
        handed = memos.decode(Handover, f"{name}/window", note)
        eras = memos.decode(Eras, f"{name}/eras", told).eras if told is not None else ()
        window, cut = window_of(handed, eras)
        return Past(window, handed.total, cut), handed


def list_on(work: Draft[T], past: Past, reply: Reply, seen: list[Seen], page: Page) -> Past:
    """Fold one page of the list; once it is whole, what is to be read is known, or that it is another history's.

    Raise Corrupt where that happens to a replay: nobody tells it where the histories part.
    """
    assert past.window is not None
    work.set_aside([item for item in page.items if isinstance(item, Odd)])
    question = reply.question
    limit, offset = getattr(question, "limit", 0), getattr(question, "offset", 0)
    listed = Listed(offset, limit, seen, len(page.items), page.total, page.paged)
    listing = fold_listing(past.listing, listed, past.window)
    again = listing.tries > past.listing.tries
    work.walk = replace(work.walk, failures=0, newest=max(work.walk.newest, listing.newest))
    work.walk = replace(work.walk, due=work.now + RELIST_S if again else work.now)
    past = replace(past, listing=listing)
    if not listing.whole:
        return past
    reason = doubt(past)
    if reason:
        return lost(past, reason)
    past, work.walk = settled(past, work.walk, tuple(work.tracks))
    return past


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
