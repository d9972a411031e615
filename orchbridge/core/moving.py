"""Moving a walked stream's memory to another id by hand, so that it stays one that the stream could have written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchbridge.core.head import ANCHORS_MAX, Anchor


class Moved(msgspec.Struct, frozen=True):
    """What a move amounts to: the documents to write, and the tracked ids that are forgotten by it."""

    documents: Mapping[str, bytes | None]
    forgotten: tuple[int, ...] = ()


def moved(name: str, documents: Mapping[str, bytes], to: int, *, owner: str, shown: Sequence[Anchor] = ()) -> Moved:
    """Return what makes `to` the highest id of stream `name` that is accounted for.

    Back: ids above are new again, so what was tracked or missed among them is forgotten; anchors stay,
    because they say which history this is. Forward: `shown` are the newest anchors of the source, so that
    what is skipped counts as known and is not taken for something that became visible late.
    """
    head = _fields(documents[name])
    back = to < head.get("high", 0)
    changes: dict[str, Any] = {"high": to}
    forgotten: tuple[int, ...] = ()
    if back:
        changes["gaps"] = [id_ for id_ in head.get("gaps", ()) if id_ <= to]
        forgotten = tuple(sorted(id_ for id_ in tracked(name, documents) if id_ > to))
    elif shown:
        changes["anchors"] = newest(shown)
    written: dict[str, bytes | None] = {name: stamped(documents[name], owner, **changes)}
    return Moved(written | {f"{name}/{id_}": None for id_ in forgotten}, forgotten)


def tracked(name: str, documents: Iterable[str]) -> list[int]:
    """Return the ids of the jobs or plans that these documents of stream `name` track."""
    parts = (key.removeprefix(f"{name}/") for key in documents if key.startswith(f"{name}/"))
    return [int(part) for part in parts if part.isdecimal()]


def newest(anchors: Iterable[Anchor]) -> list[Anchor]:
    """Return as many of the newest anchors as a head keeps, newest first."""
    return sorted(anchors, key=lambda anchor: -anchor.id)[:ANCHORS_MAX]


def stamped(document: bytes, owner: str, **changes: Any) -> bytes:
    """Return a head with another owner and these changes; whatever else stands in it stays as it is."""
    return msgspec.json.encode(_fields(document) | {"owner": owner} | changes)


def _fields(document: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(document, type=dict[str, Any])
    return found
