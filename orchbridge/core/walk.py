"""What a walk through a server's id space knows: the shapes that `walking` folds pages into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from orchbridge.core.head import Anchor, Head

STALE_PAGES_MAX = 8  # new jobs shift the pages, so one or two of them may show nothing new
WIDEST = 20_000  # of a server without paging, which shows the newest so many

replace = msgspec.structs.replace


class Seen(msgspec.Struct, frozen=True):
    """What a list tells of one id; `created_s` in Unix seconds where known."""

    anchor: Anchor
    open: bool
    created_s: float | None = None


class Listed(msgspec.Struct, frozen=True):
    """One page of the list: what was asked for, what it shows, the server's own count if it gives one.

    `count` is how many items came, including those that could not be read.
    """

    offset: int
    limit: int
    items: Sequence[Seen]
    count: int
    total: int | None = None
    paged: bool = True


class Start(msgspec.Struct, frozen=True):
    """Where a stream without a memory begins: now, earliest, from (an id), since (Unix seconds).

    "now" chooses what is unfinished, and with `at` what was created since then: an empty list was seen there before.
    """

    kind: str = "now"
    id: int = 0
    at: float = 0.0

    def chooses(self, seen: Seen) -> bool:
        match self.kind:
            case "now":
                return seen.open or (self.at > 0 and seen.created_s is not None and seen.created_s >= self.at)
            case "from":
                return seen.anchor.id >= self.id
            case "since":
                return seen.created_s is None or seen.created_s >= self.at
            case _:
                return True


class Scan(msgspec.Struct, frozen=True):
    """A listing in progress, page by page from the newest id down.

    `stale` pages in a row showed nothing new; `odd` tells that some item could not be read; `met` are
    those that the head remembers, as they are shown now.
    """

    offset: int = 0
    stale: int = 0
    ids: tuple[int, ...] = ()
    chosen: tuple[int, ...] = ()
    open: tuple[int, ...] = ()
    newest: tuple[Anchor, ...] = ()
    met: tuple[Anchor, ...] = ()
    odd: bool = False


class Left(msgspec.Struct, frozen=True):
    """What a start leaves to a backfill: the finished `ids` that its rule chose. The `open` ones are not left."""

    ids: tuple[int, ...]
    open: tuple[int, ...]


class Gap(msgspec.Struct, frozen=True):
    """Since when an id is missed (0 = not known), when to look it up next, how often that found nothing."""

    since: float
    due: float
    misses: int = 0


class Reset(msgspec.Struct, frozen=True):
    """The server's history is another one now; ids above `survivor` mean other things than before."""

    survivor: int
    reason: str


class Hole(msgspec.Struct, frozen=True):
    """Ids that will never be read: `pruned` before we came, or never given out."""

    first: int
    last: int
    pruned: bool = False


Happening: TypeAlias = Reset | Hole


class Walk(msgspec.Struct, frozen=True):
    """Where a walk stands. Only `head` is remembered; `dirty` says it must be written.

    todo      ids that are visible but not yet taken up, ascending; `newest`: the highest id the server showed
    known     ids visible in the last listings; everything visible from `floor` on is among them
    blank     the first listing was empty: it takes another one to believe that
    suspect   why the server looks like another one; `survivor` is the floor of a reset whose listing is under way
    since     what was asked before may be about another history
    held      the server asked us to wait until then; nothing is asked
    wide      how much to list at once, for a server without paging; `most` is the largest limit it takes, 0 = any,
              learnt when it last refused a larger one, `lowered_at`
    left      what the first listing left to a backfill, until that is told
    """

    head: Head
    begun: bool = False
    dirty: bool = False
    due: float = 0.0
    listed_at: float = 0.0
    scan: Scan | None = None
    todo: tuple[int, ...] = ()
    newest: int = 0
    gaps: Mapping[int, Gap] = {}
    known: frozenset[int] = frozenset()
    floor: int = 0
    blank: bool = False
    suspect: str = ""
    survivor: int | None = None
    since: float = 0.0
    failures: int = 0
    held: float = 0.0
    wide: int = 0
    most: int = 0
    lowered_at: float = 0.0
    left: Left | None = None

    @property
    def trusted(self) -> bool:
        """Whether ids mean what they meant before; until then nothing but the list may be asked."""
        return not self.suspect

    def limit(self, wanted: int) -> int:
        """Return how much to list at once on this server."""
        wanted = max(wanted, self.wide)
        return min(wanted, self.most) if self.most else wanted

    def wait_s(self, now: float) -> float:
        """Return seconds until the list may be asked."""
        return max(0.0, self.due - now, self.held - now)


Folded: TypeAlias = tuple[Walk, tuple[Happening, ...]]
