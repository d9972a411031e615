"""Cursor documents of single jobs and plans: a versioned struct, its event ids packed."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

from orchbridge.core.errors import Corrupt
from orchbridge.core.idset import IdSet

VERSION = 1


class Memo(Protocol):
    """What all memos have: their version."""

    @property
    def v(self) -> int: ...


M = TypeVar("M", bound=Memo)


def _pack(value: Any) -> str:
    if isinstance(value, IdSet):
        return value.pack() if len(value) else ""
    raise NotImplementedError(type(value).__name__)


def _unpack(kind: type, value: Any) -> Any:
    if kind is not IdSet:
        raise NotImplementedError(kind.__name__)
    return IdSet.unpack(value) if value else IdSet.of(())


_ENCODER = msgspec.json.Encoder(enc_hook=_pack)


def encode(memo: Memo) -> bytes:
    """Return the memo as JSON."""
    return _ENCODER.encode(memo)


def decode(kind: type[M], key: str, document: bytes) -> M:
    """Return the memo of cursor document `key`; raise Corrupt where it cannot be read."""
    hint = "restore the cursor topic or file from a backup; never edit it by hand"
    try:
        found = msgspec.json.decode(document, type=kind, dec_hook=_unpack)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt(f"the cursor document {key} cannot be read: {error}", hint=hint) from error
    if found.v != VERSION:
        raise Corrupt(
            f"the cursor document {key} has version {found.v}, this program reads version {VERSION}",
            hint="run the version of orchbridge that wrote it",
        )
    return found
