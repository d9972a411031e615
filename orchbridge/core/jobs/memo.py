"""What is remembered of one tracked job: its cursor document."""

from __future__ import annotations

import msgspec

from orchbridge.core.errors import Corrupt
from orchbridge.core.idset import IdSet


class Memo(msgspec.Struct, frozen=True):
    """One job's part of the cursor.

    epoch      the epoch its records were written in
    events     ids of the events delivered; `odd` names delivered items that had no id
    states     id parts of the states delivered, in order
    closed     job_finished or job_aborted was delivered
    ended      when we first saw it over, Unix seconds; 0 while it is not
    certified  when its newest certificate went out; 0 before; `revision` and `complete` are that one's
    document   revision of its newest document
    told       a notice said that this job cannot be read
    """

    epoch: int
    events: IdSet = IdSet.of(())
    odd: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    closed: bool = False
    ended: float = 0.0
    certified: float = 0.0
    revision: int = 0
    complete: bool = False
    document: int = 0
    told: bool = False


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    v: int
    epoch: int
    events: str = ""
    odd: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    closed: bool = False
    ended: float = 0.0
    certified: float = 0.0
    revision: int = 0
    complete: bool = False
    document: int = 0
    told: bool = False


def encode(memo: Memo) -> bytes:
    """Return the memo as JSON; event ids are packed."""
    fields = {name: getattr(memo, name) for name in memo.__struct_fields__ if name != "events"}
    return msgspec.json.encode(_Document(v=1, events=memo.events.pack() if len(memo.events) else "", **fields))


def decode(key: str, document: bytes) -> Memo:
    """Return the memo; raise Corrupt where it cannot be read."""
    try:
        found = msgspec.json.decode(document, type=_Document)
        if found.v != 1:
            raise ValueError(f"version {found.v}")  # noqa: TRY301
        fields = {name: getattr(found, name) for name in found.__struct_fields__ if name not in {"events", "v"}}
        return Memo(events=IdSet.unpack(found.events) if found.events else IdSet.of(()), **fields)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt(
            f"the cursor document {key} cannot be read: {error}",
            hint="restore the cursor topic or file from a backup; never edit it by hand",
        ) from error
