"""The head document of a walked stream: how far ids are accounted for, and in which epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from orchbridge.core import times
from orchbridge.core.errors import Corrupt

VERSION = 2  # written where the head tells what version 1 does not know, and would lose
NEWS = ("odd", "eras", "handed", "passage", "forgotten")  # these
ANCHORS_MAX = 32
GAPS_MAX = 1_000
ERAS_MAX = 50


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """An id with what must stay true of it for as long as the server's history is the same."""

    id: int
    created: str | None = None
    owner: str | None = None

    def contradicts(self, other: Anchor) -> bool:
        """Whether both cannot be the same thing; what either does not tell decides nothing."""
        created = self.created is not None and other.created is not None and _differ(self.created, other.created)
        owner = self.owner is not None and other.owner is not None and self.owner != other.owner
        return created or owner


def _differ(one: str, other: str) -> bool:
    """Whether two stamps name different moments; a newer release may write the same one more precisely."""
    if one == other:
        return False
    first, second = times.seconds(one), times.seconds(other)
    return first is None or second is None or abs(first - second) >= 1.0


class Era(msgspec.Struct, frozen=True, array_like=True):
    """From one restore on: ids above `survivor` belong to `epoch`, and so do those `again`, unfinished then."""

    survivor: int
    epoch: int
    again: tuple[int, ...] = ()


def epoch_of(eras: Sequence[Era], id_: int) -> int:
    """Return the epoch under which the records of an id were delivered; 1 where no era says otherwise."""
    found = (era.epoch for era in reversed(eras) if id_ > era.survivor or id_ in era.again)
    return next(found, 1)


class Passage(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a window of history was read: `done` of `total` ids; `mark` names the hand-over it came from.

    `cut` is the epoch of the last restore that shortened it; `over` once nothing of it is left to read.
    """

    mark: str = ""
    done: int = 0
    total: int = 0
    cut: int = 0
    over: bool = False


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a stream remembers beside its tracked jobs or plans.

    url      the source it was read from: a memory of another server must not be used
    keys     "bare" or "prefixed" record keys: changing them would break order per key
    owner    the claim that wrote it last
    epoch    raised when the server's ids went back
    high     every id up to here is accounted for, but for the `gaps`
    gaps     ids below `high` that were never visible and are not yet declared empty
    anchors  the newest ids seen, to recognise the same history again
    seeded   inventory: the first snapshot is whole
    forgotten  inventory: the highest revision of a document that was forgotten; later ones begin above it
    odd      names of the items of the list that were set aside
    eras     the restores so far, oldest first
    handed   what was finished before the first listing was left to a backfill, be it nothing
    passage  of a window of history: how far it was read
    """

    v: int = 1
    url: str = ""
    keys: str = "bare"
    owner: str = ""
    epoch: int = 1
    high: int = 0
    gaps: tuple[int, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    seeded: bool = False
    forgotten: int = 0
    odd: tuple[str, ...] = ()
    eras: tuple[Era, ...] = ()
    handed: bool = False
    passage: Passage = Passage()

    @property
    def epoch_name(self) -> str:
        return f"e{self.epoch}"


_FRESH = Head()


def history(head: Head) -> tuple[Era, ...]:
    """Return the eras of a live stream's head; restores before its memory begins are one era without a survivor."""
    eras = head.eras
    before = eras[0].epoch - 1 if eras else head.epoch
    return eras if before == 1 else (Era(0, before), *eras)


def begun_again(head: Head, survivor: int, again: Iterable[int]) -> Head:
    """Return the head with the era that its epoch begins."""
    era = Era(survivor, head.epoch, tuple(sorted(again)))
    return msgspec.structs.replace(head, eras=(*head.eras, era)[-ERAS_MAX:])


def encode(head: Head) -> bytes:
    """Return the head as JSON, of the lowest version that knows everything it tells."""
    new = any(getattr(head, name) != getattr(_FRESH, name) for name in NEWS)
    return msgspec.json.encode(msgspec.structs.replace(head, v=VERSION if new else 1))


def decode(name: str, document: bytes, *, url: str, keys: str, adopt: bool) -> Head:
    """Return the head of stream `name`; raise Corrupt where it cannot be ours."""
    try:
        head = msgspec.json.decode(document, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"the cursor of {name} cannot be read: {error}",
            hint=f"put back an export of it, or begin anew: orchbridge cursors reset {name}",
        ) from error
    if not 1 <= head.v <= VERSION:
        raise Corrupt(
            f"the cursor of {name} has version {head.v}, this program reads versions 1 to {VERSION}",
            hint="run the version of orchbridge that wrote it",
        )
    if head.epoch < 1 or head.high < 0:
        raise Corrupt(
            f"the cursor of {name} stands at {head.high} in epoch {head.epoch}, where no stream can be",
            hint=f"put back an export of it, or begin anew: orchbridge cursors reset {name}",
        )
    if head.url != url and not adopt:
        raise Corrupt(
            f"the cursor of {name} belongs to {head.url}, not to {url}",
            hint="give the source another name, or set adopt_cursor = true if it only has a new address",
        )
    if head.keys != keys:
        raise Corrupt(
            f"the records of {name} were written with {head.keys} keys; topic_prefix now makes them {keys}",
            hint="keep {source} in topic_prefix as it was, or use another group",
        )
    return msgspec.structs.replace(head, url=url)
