"""What a live stream leaves to the backfill beside it: documents that only the live stream writes."""

from __future__ import annotations

import msgspec

from orchbridge.core.head import Anchor, Era
from orchbridge.core.idset import IdSet
from orchbridge.core.walk import Left, Walk
from orchbridge.core.window import BACKFILL, Window


def window_key(live: str) -> str:
    """Return the key of the hand-over of live stream `live`."""
    return f"{live}-{BACKFILL}/window"


def eras_key(live: str) -> str:
    """Return the key under which live stream `live` tells of restores."""
    return f"{live}-{BACKFILL}/eras"


class Handover(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a live stream leaves to its backfill: written once, by the live stream, under `<backfill>/window`.

    mark     names this hand-over; a backfill that was at another one begins anew
    total    how many ids are handed over, `first` to `last`, but for the time rule `since`
    skip     ids unfinished then: the live stream has them; `floor` and `known` as in a window
    """

    mark: str = ""
    epoch: int = 1
    total: int = 0
    first: int = 1
    last: int = 0
    since: float | None = None
    skip: IdSet = IdSet.of(())
    floor: int = 0
    known: IdSet = IdSet.of(())
    anchors: tuple[Anchor, ...] = ()
    v: int = 1


def handover(mark: str, walk: Walk, left: Left, since: float | None) -> Handover:
    """Return what a walk that has just begun leaves; `since` is its start's time rule."""
    if not left.ids:
        return Handover(mark=mark, epoch=walk.head.epoch)
    first, last = min(left.ids), max(left.ids)
    return Handover(
        mark=mark,
        epoch=walk.head.epoch,
        total=len(left.ids),
        first=first,
        last=last,
        since=since,
        skip=IdSet.of(id_ for id_ in left.open if first <= id_ <= last),
        floor=walk.floor,
        known=IdSet.of(id_ for id_ in walk.known if first <= id_ <= last),
        anchors=walk.head.anchors,
    )


class Eras(msgspec.Struct, frozen=True):
    """What the live stream tells its backfill of later epochs, under `<backfill>/eras`."""

    eras: tuple[Era, ...] = ()
    v: int = 1


def window_of(handed: Handover, eras: tuple[Era, ...]) -> tuple[Window, int]:
    """Return the window that is left of what was handed over, and the epoch of the restore that cut it last (0 = none).

    Ids above a restore's survivor mean other things now; those that the live stream read again are its own.
    """
    later = [era for era in eras if era.epoch > handed.epoch]
    last, again = handed.last, frozenset[int]()
    for era in later:
        last, again = min(last, era.survivor), again.union(era.again)
    window = Window(
        first=handed.first,
        last=last,
        since=handed.since,
        skip=frozenset(handed.skip) | again,
        floor=handed.floor,
        known=handed.known,
        eras=(Era(0, handed.epoch),),
        anchors=tuple(anchor for anchor in handed.anchors if anchor.id <= last or not later),
    )
    return window, later[-1].epoch if later else 0
