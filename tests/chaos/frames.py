"""Kafka's requests as a proxy sees them: lengths and api keys, nothing more."""

from __future__ import annotations

import struct
from collections.abc import Iterator

END_TXN = 26  # the commit or abort of a transaction
_HEAD = struct.Struct(">ih")  # length of what follows, api key


class Frames:
    """Follows one direction of a connection, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0

    def keys(self, piece: bytes) -> Iterator[int]:
        """Yield the api key of each request whose head is complete with this piece."""
        piece = self._rest + piece
        place = self._skip
        while len(piece) - place >= _HEAD.size:
            length, key = _HEAD.unpack_from(piece, place)
            yield key
            place += 4 + length
        self._skip = max(0, place - len(piece))
        self._rest = piece[place:]
