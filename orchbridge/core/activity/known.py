"""What is remembered of a list without ids: how far it was read, and digests of the newest entries there.

A position says nothing by itself: a purge takes entries away below it, a restore above it. So the newest entries
are remembered by content, and a position counts only where the list still has them there. What vanished from among
them is remembered as well: it may come back, and is no news then, in whatever epoch.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from orchbridge.core import head as heads
from orchbridge.core.errors import Corrupt

DIGEST_BYTES = 8
WILD = "0" * 2 * DIGEST_BYTES  # stands for an entry that could not be read: it may look like anything


class Known(msgspec.Struct, frozen=True):
    """What was read of the list.

    position  where the next entry stands, as far as nothing is purged meanwhile
    gone      how many below it were purged since: together with the position it says how many are accounted for
    digests   of the newest of them, oldest first, as hex
    counts    how many equal ones there were of those that have any, by digest
    whole     the digests are those of the whole list from its first entry on: what shows among them is new
    newest    the latest time (RFC 3339) of any of them
    edge      digests of those of its second: a new epoch that finds nothing again begins there
    vanished  digests of the newest that were among them and stand in the list no more, oldest first
    """

    position: int = 0
    gone: int = 0
    digests: tuple[str, ...] = ()
    counts: Mapping[str, int] = {}
    whole: bool = False
    newest: str | None = None
    edge: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    @property
    def high(self) -> int:
        """How many entries are accounted for; it never goes back within an epoch."""
        return self.position + self.gone

    def counted(self) -> dict[str, int]:
        """Return for every digest that is remembered how many equal entries there were so far."""
        return {digest: self.counts.get(digest, 1) for digest in self.digests}


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stream's only document; what every head has is named as there (core/head.py).

    high     entries accounted for, of which the server has purged `gone`
    digests  those of `Known`, packed; equal: its counts
    floor    what is older is passed over: it is from before the start, or an earlier epoch told of it; Unix seconds
    edge, vanished  those of `Known`, packed
    odd      names of entries that were set aside
    newest_first  the server began its list with the newest when it was last asked
    """

    v: int = 1
    url: str = ""
    keys: str = "bare"
    owner: str = ""
    epoch: int = 1
    high: int = 0
    gone: int = 0
    digests: str = ""
    equal: dict[str, int] = {}
    whole: bool = False
    newest: str | None = None
    edge: str = ""
    vanished: str = ""
    floor: float | None = None
    odd: tuple[str, ...] = ()
    newest_first: bool = False

    @property
    def epoch_name(self) -> str:
        return f"e{self.epoch}"


def encode(head: Head, known: Known) -> bytes:
    """Return the head as JSON, with what is known."""
    full = msgspec.structs.replace(
        head, high=known.high, gone=known.gone, digests=_pack(known.digests), equal=dict(known.counts),
        whole=known.whole, newest=known.newest, edge=_pack(known.edge), vanished=_pack(known.vanished),
    )  # fmt: skip
    return msgspec.json.encode(full)


def decode(name: str, document: bytes, *, url: str, keys: str, adopt: bool) -> tuple[Head, Known]:
    """Return the head of stream `name` and what is known; raise Corrupt where it cannot be ours."""
    heads.decode(name, document, url=url, keys=keys, adopt=adopt)  # says what is wrong with any head
    hint = f"put back an export of it, or begin anew: orchbridge cursors reset {name}"
    try:
        head = msgspec.json.decode(document, type=Head)
        digests, edge, vanished = map(_unpack, (head.digests, head.edge, head.vanished))
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt(f"the cursor of {name} cannot be read: {error}", hint=hint) from error
    if len(digests) > head.high - head.gone:
        raise Corrupt(f"the cursor of {name} remembers more than it has read", hint=hint)
    known = Known(head.high - head.gone, head.gone, digests, head.equal, head.whole, head.newest, edge, vanished)
    return msgspec.structs.replace(head, url=url, digests="", equal={}, edge="", vanished=""), known


def _pack(digests: Sequence[str]) -> str:
    return base64.b64encode(bytes.fromhex("".join(digests))).decode()


def _unpack(packed: str) -> tuple[str, ...]:
    """Return the digests; raise ValueError where these are none."""
    told = base64.b64decode(packed, validate=True)
    if len(told) % DIGEST_BYTES:
        raise ValueError(f"{len(told)} bytes are no digests of {DIGEST_BYTES} bytes each")
    return tuple(told[at : at + DIGEST_BYTES].hex() for at in range(0, len(told), DIGEST_BYTES))


def without(digests: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return these digests in their order less the others, one for one; what looks like any is left out."""
    left, rest = Counter(others), list[str]()
    for digest in digests:
        if left[digest] > 0:
            left[digest] -= 1
        elif digest != WILD:
            rest.append(digest)
    return rest


def short(digest: str) -> str:
    """Return the part of a SHA-256 in hex that is remembered."""
    return digest[: 2 * DIGEST_BYTES]
