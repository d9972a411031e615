"""The server's list as a window reads it: once per claim, page by page, believed only where it is whole."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from orchbridge.core.head import Anchor
from orchbridge.core.walk import STALE_PAGES_MAX, WIDEST, Listed, Seen
from orchbridge.core.window import Window

LISTINGS_MAX = 3  # how often a list that lacks items is asked for before it is believed

replace = msgspec.structs.replace


class Listing(msgspec.Struct, frozen=True):
    """The list of this claim, page by page from the newest id down; `pages` keeps what is inside the window.

    lowest   the lowest id seen; `stale` pages in a row held nothing below it
    newest   the highest id the server shows
    count    distinct items so far, `odd` ones included; `promised`: how many the server said at least
    wide     how much to list at once, for a server without paging
    tries    how often the list was begun anew because it lacked something
    """

    offset: int = 0
    lowest: int = 0
    newest: int = 0
    stale: int = 0
    count: int = 0
    odd: int = 0
    promised: int | None = None
    wide: int = 0
    tries: int = 0
    pages: tuple[tuple[Seen, ...], ...] = ()
    doubts: tuple[int, ...] = ()
    clash: str = ""
    whole: bool = False


def fold_listing(listing: Listing, page: Listed, window: Window) -> Listing:
    """Return the listing after one page; `whole` once everything inside the window has been shown."""
    if page.offset != listing.offset or listing.whole:
        return listing  # an answer to a listing that was given up
    fresh = [item for item in page.items if not listing.lowest or item.anchor.id < listing.lowest]
    inside = tuple(_slim(item) for item in page.items if window.has(item.anchor.id, item.created_s))
    odd = page.count - len(page.items)
    ids = [item.anchor.id for item in page.items]
    listing = replace(
        listing,
        offset=listing.offset + page.count,
        lowest=min(ids + [listing.lowest] * bool(listing.lowest), default=0),
        newest=max([*ids, listing.newest]),
        stale=0 if fresh else listing.stale + 1,
        count=listing.count + len(fresh) + odd,
        odd=listing.odd + odd,
        promised=_least(listing.promised, page.total),
        pages=(*listing.pages, inside) if inside else listing.pages,
        doubts=listing.doubts + _doubted(page, ids),
        clash=listing.clash or _clash(window, page),
    )
    at_end = not page.count or (page.total is not None and listing.offset >= page.total)
    if not page.paged:
        at_end = at_end or page.count < page.limit
        if not (at_end or window.behind(page) or page.limit >= WIDEST):
            return Listing(wide=page.limit * 2, tries=listing.tries)
        return replace(listing, whole=True)
    if at_end and not window.behind(page) and listing.tries < LISTINGS_MAX and _lacks(listing):
        return Listing(tries=listing.tries + 1)
    return replace(listing, whole=at_end or window.behind(page) or listing.stale >= STALE_PAGES_MAX)


def _slim(item: Seen) -> Seen:
    anchor = item.anchor
    return replace(item, anchor=Anchor(anchor.id, anchor.created, _one(anchor.owner)))


@lru_cache(maxsize=1024)
def _one(owner: str | None) -> str | None:
    """Return the same text for the same owner: few people, many jobs."""
    return owner


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _lacks(listing: Listing) -> bool:
    """Whether the list has fewer items than its own count, or none at all: that takes more than one answer."""
    return not listing.count or listing.count < (listing.promised or 0)


def _doubted(page: Listed, ids: list[int]) -> tuple[int, ...]:
    """Return ids that items which cannot be read may have; they are looked up one by one."""
    if page.count <= len(ids) or len(ids) < 2 or max(ids) - min(ids) > 2 * page.limit:
        return ()
    return tuple(sorted(set(range(min(ids), max(ids))).difference(ids)))


def _clash(window: Window, page: Listed) -> str:
    shown = {item.anchor.id: item.anchor for item in page.items}
    for anchor in window.anchors:
        other = shown.get(anchor.id)
        if other is not None and anchor.contradicts(other):
            return f"id {anchor.id} was created {anchor.created}, now {other.created}"
    return ""
