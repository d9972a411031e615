"""A set of ids that stays small: in memory eight bytes an id, in a cursor document about three bits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import final

_LARGEST = 2**64 - 1
_UNPACKED_BYTES_MAX = 64 * 1024 * 1024  # far above any job we track; a damaged document must not fill the memory


@final
class IdSet:
    """A frozen set of positive ids, ascending. Make one with `of`, `plus` or `unpack`."""

    __slots__ = ("_ids", "_packed")

    def __init__(self) -> None:
        self._ids: array[int] = array("Q")
        self._packed: str | None = None

    @classmethod
    def of(cls, ids: Iterable[int] = ()) -> IdSet:
        """Return the set of these ids, in any order; raise ValueError where one is not a positive 64-bit number."""
        return cls()._with(sorted(set(ids)))

    def _with(self, ascending: list[int]) -> IdSet:
        if ascending and not 0 < ascending[0] <= ascending[-1] <= _LARGEST:
            raise ValueError(f"ids are 1 to 2**64-1, got {ascending[0]} to {ascending[-1]}")
        made = IdSet()
        made._ids = array("Q", ascending)
        return made

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, int):
            return False
        at = bisect_left(self._ids, item)
        return at < len(self._ids) and self._ids[at] == item

    def between(self, first: int, last: int | None) -> int:
        """Return how many ids there are from `first` to `last`, both included; None = to the end."""
        end = len(self._ids) if last is None else bisect_right(self._ids, last)
        return max(0, end - bisect_left(self._ids, first))

    def __eq__(self, other: object) -> bool:
        return self._ids == other._ids if isinstance(other, IdSet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._ids.tobytes())

    def __repr__(self) -> str:
        return f"IdSet({len(self)} ids, {self.min} to {self.max})"

    @property
    def min(self) -> int:
        """The lowest id, 0 where the set is empty."""
        return self._ids[0] if self._ids else 0

    @property
    def max(self) -> int:
        """The highest id, 0 where the set is empty."""
        return self._ids[-1] if self._ids else 0

    def plus(self, ids: Iterable[int]) -> IdSet:
        """Return the union; this very set where nothing is new."""
        new = sorted(self.fresh(ids))
        if not new:
            return self
        if new[0] <= self.max:
            return self._with(sorted([*self._ids, *new]))  # two ascending runs: linear for Python's sort
        added = self._with(new)
        added._ids = self._ids + added._ids
        return added

    def fresh(self, ids: Iterable[int]) -> list[int]:
        """Return those not in the set, in their order, each once."""
        held, length, top = self._ids, len(self._ids), self.max
        return [
            one
            for one in dict.fromkeys(ids)
            if one > top or (at := bisect_left(held, one)) == length or held[at] != one
        ]

    def sha256(self) -> str:
        """Return the hex digest of the ascending decimal ids joined by commas (event-formats 8, `ids_sha256`)."""
        return hashlib.sha256(",".join(map(str, self._ids)).encode()).hexdigest()

    def pack(self) -> str:
        """Return the set as text: differences as varints, deflated, base64."""
        if self._packed is None:
            differences = [high - low for low, high in pairwise([0, *self._ids])]
            # Repeats of ids are runs or noise: searching them for longer patterns costs ten times as much, for nothing.
            deflate = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
            self._packed = base64.b64encode(deflate.compress(_varints(differences)) + deflate.flush()).decode()
        return self._packed

    @classmethod
    def unpack(cls, text: str) -> IdSet:
        """Return what `pack` wrote; raise ValueError where it was not `pack` that wrote it."""
        try:
            squeezed = base64.b64decode(text, validate=True)
            inflate = zlib.decompressobj()
            data = inflate.decompress(squeezed, _UNPACKED_BYTES_MAX)
        except (binascii.Error, zlib.error) as error:
            raise ValueError(f"not a packed id set: {error}") from error
        if not inflate.eof or inflate.unused_data:
            raise ValueError("not a packed id set: cut short, too long or followed by something else")
        differences = list(data) if data.isascii() else _differences(data)
        if 0 in differences:
            raise ValueError("not a packed id set: an id is repeated")
        made = cls()._with(list(accumulate(differences)))
        made._packed = text
        return made


def _varints(numbers: list[int]) -> bytes:
    if not numbers or max(numbers) < 0x80:
        return bytes(numbers)
    out = bytearray()
    for rest in numbers:
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7  # noqa: PLW2901 - the number is consumed seven bits at a time
        out.append(rest)
    return bytes(out)


def _differences(data: bytes) -> list[int]:
    numbers: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 63:  # no 64-bit number is longer; garbage must not grow without end
                raise ValueError("not a packed id set: a number without an end")
        else:
            numbers.append(value)
            value = shift = 0
    if shift:
        raise ValueError("not a packed id set: the last number is cut short")
    return numbers
