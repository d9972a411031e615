"""Windows on history: which ids a stream of their own reads, for the first time or again, beside the live one.

A backfill's window comes from the live stream, which hands over what was finished at its first listing;
a replay's comes from a person. Either way the server's list is walked once per claim, down to the
window's first id, and then the ids are read in ascending order, so that pruning does not overtake them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from orchbridge.core.head import Anchor, Era, epoch_of
from orchbridge.core.records import NOTICES, Record
from orchbridge.core.walk import Listed

BACKFILL = "backfill"
RUN_HEADER = "orchbridge-replay"
RUNNING_S = 10.0  # how often to look at what was said to be over and is not
BACK_S = 3_600.0  # ids ascend with the creation time, give or take what a transaction takes


class Window(msgspec.Struct, frozen=True):
    """Which ids: `first` to `last`, created `since` to `until` (Unix seconds), all inclusive, None = open.

    skip     ids that somebody else reads; they are not ours and not counted
    floor    from this id on only those in `known` are meant: whatever else appears there is the live stream's
    eras     the history of epochs, so that every id gets the epoch it was, or would have been, delivered under
    anchors  what ids were when the window was made; a list that contradicts them is another history's
    """

    first: int = 1
    last: int | None = None
    since: float | None = None
    until: float | None = None
    skip: Collection[int] = ()
    floor: int | None = None
    known: Collection[int] = ()
    eras: tuple[Era, ...] = ()
    anchors: tuple[Anchor, ...] = ()

    def has(self, id_: int, created_s: float | None) -> bool:
        """Whether an id is inside; one whose creation time is not known is, where only time could tell."""
        if id_ < self.first or (self.last is not None and id_ > self.last) or id_ in self.skip:
            return False
        if self.floor is not None and id_ >= self.floor and id_ not in self.known:
            return False
        if created_s is None:
            return True
        return (self.since is None or created_s >= self.since) and (self.until is None or created_s <= self.until)

    def epoch(self, id_: int) -> int:
        """Return the epoch of an id's records."""
        return epoch_of(self.eras, id_)

    def behind(self, page: Listed) -> bool:
        """Whether nothing below this page can be inside."""
        if not page.items:
            return False
        if min(item.anchor.id for item in page.items) <= self.first:
            return True
        created = [item.created_s for item in page.items if item.created_s is not None]
        return self.since is not None and bool(created) and max(created) < self.since - BACK_S


class Progress(msgspec.Struct, frozen=True):
    """How far a window has been read, in ids.

    `done` of `total` were delivered; `skipped` of `total` never will be: gone from the server before they
    were read, or never given out. `running` are left out because they are not over, and count as skipped.
    """

    done: int = 0
    total: int = 0
    skipped: int = 0
    running: tuple[int, ...] = ()
    over: bool = False


def marked(records: Iterable[Record], run: str) -> tuple[Record, ...]:
    """Return the records as those of a run that reads history; what the bridge says of itself is no history."""
    return tuple(
        record
        if record.channel == NOTICES
        else msgspec.structs.replace(record, replay=True, headers=(*record.headers, (RUN_HEADER, run)))
        for record in records
    )
