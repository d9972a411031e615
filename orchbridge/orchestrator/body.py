"""The decoded bytes of one response, counted and bounded while they come."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Generator

import httpx

_STEP = 256 * 1024
_PACKED = {"gzip", "x-gzip", "deflate"}


class Body:
    """One response body. Not more than `bytes_max` decoded bytes are ever taken.

    count      decoded bytes so far
    over       there was more than allowed
    garbled    the compression is unknown or broken: what came is not the whole body
    """

    def __init__(self, response: httpx.Response, bytes_max: int) -> None:
        self._response = response
        self._packing = response.headers.get("content-encoding", "identity").strip().lower()
        self.bytes_max = bytes_max
        self.count = 0
        self.over = _announced(response) > bytes_max
        self.garbled = self._packing != "identity" and self._packing not in _PACKED

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body piece by piece, until its end or until something is wrong with it."""
        if self.over or self.garbled:
            return
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if self._packing in _PACKED else None
        async for piece in self._response.aiter_raw():
            for plain in self._unpacked(unpacker, piece) if unpacker else (piece,):
                self.count += len(plain)
                self.over = self.count > self.bytes_max
                if self.over:
                    return
                yield plain
        self.garbled = self.garbled or (unpacker is not None and not unpacker.eof)

    def _unpacked(self, unpacker: zlib._Decompress, piece: bytes) -> Generator[bytes, None, None]:
        """Unpack in bounded steps: a kilobyte can hold a megabyte."""
        more = True
        while more and not self.garbled:
            try:
                plain = unpacker.decompress(piece, _STEP)
            except zlib.error:
                self.garbled = True
                return
            piece = unpacker.unconsumed_tail
            more = bool(piece) or len(plain) == _STEP
            self.garbled = bool(unpacker.unused_data)
            yield plain


def _announced(response: httpx.Response) -> int:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
