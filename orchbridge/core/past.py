"""A window of history as it is being read: what is to be read, and how far that has come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping

import msgspec

from orchbridge.core.head import Anchor, Head
from orchbridge.core.listing import Listing
from orchbridge.core.view import StreamView
from orchbridge.core.walk import Seen, Walk
from orchbridge.core.window import Progress, Window

replace = msgspec.structs.replace


class Past(msgspec.Struct, frozen=True):
    """A window being read; the walk's head tells how far (`high`: everything up to there is done or tracked).

    window   None where nothing was handed over yet; `handed`: how many ids were
    cut      the epoch of the restore that shortened it last, 0 = none
    todo     ids to read, ascending; those up to the head are done with
    anchors  what the list said of each, so that another history is recognised
    running  ids left out because they are not over
    stale    documents of ids that are not ours any more, to be forgotten with the next commit
    newest   the newest page of the list, as last believed; `top`: that of the listing under way
    unsure   something failed since, so that page has to be seen again before anything else is believed
    blank    how often in a row it came empty
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
    newest: Mapping[int, Anchor] = {}
    top: Mapping[int, Anchor] = {}
    unsure: bool = False
    blank: int = 0
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
        for listed in (self.anchors.get(shown.id), self.newest.get(shown.id)):
            if listed is not None and listed.contradicts(shown):
                return f"id {shown.id} was created {listed.created}, now {shown.created}"
        return ""

    def next(self, high: int, room: int) -> tuple[int, ...]:
        """Return the next ids to take up."""
        at = bisect_right(self.todo, high)
        return self.todo[at : at + max(room, 0)]


def doubt(past: Past) -> str:
    """Return why a whole listing cannot be of the history that the window was made for; empty where it can."""
    listing, window = past.listing, past.window
    if window is None or listing.clash:
        return listing.clash
    expected = max([anchor.id for anchor in window.anchors] + list(past.newest), default=0)
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
        total = max(passage.total or past.handed, ahead) if passage.cut == past.cut else ahead
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


def viewed(view: StreamView, past: Past, head: Head, under_way: int) -> StreamView:
    """Return the view of a live stream's state as that of a window."""
    told = progress(past, head, under_way)
    noun = view.cursor.partition(" ")[0]
    cursor = "waits for the live stream" if told is None else f"{noun} {head.high}, {told.done} of {told.total}"
    behind = 0 if told is None else max(0, told.total - told.done - told.skipped)
    return replace(view, cursor=cursor, recent=(), running=(), behind=behind, progress=told)
