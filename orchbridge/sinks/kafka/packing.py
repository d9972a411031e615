"""Messages into prepared batches: which partition, which batch, and what is too large for any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from orchbridge.core.records import Message
from orchbridge.sinks.kafka.settings import CURSOR_PARTITIONS

_CACHE_MAX = 2_000  # keys of jobs under way; more would only be memory that grows for hours
_OVERHEAD = 128  # of a batch of one: its header and the record's own lengths, rounded up
_HEADER_OVERHEAD = 10

_slots: dict[tuple[bytes, int], int] = {}


class Parcel(msgspec.Struct, frozen=True):
    """A message for a partition whose topic takes batches of `room` bytes.

    `id` names its record, None for a cursor document; a `suspect` travels with few others.
    """

    message: Message
    partition: int
    room: int
    id: str | None = None
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch that is ready to go, and the records in it."""

    topic: str
    partition: int
    builder: BatchBuilder
    ids: tuple[str | None, ...]


def partition_for(key: bytes, partitions: int) -> int:
    """Return where Java's and aiokafka's default partitioner put this key, so that joins stay possible."""
    found = _slots.get((key, partitions))
    if found is None:
        if len(_slots) >= _CACHE_MAX:
            _slots.clear()
        found = _slots[key, partitions] = (murmur2(key) & 0x7FFFFFFF) % partitions
    return found


def cursor_partition(stream: str) -> int:
    """Return the partition of the cursor topic where a stream's memory lies: who owns it owns the stream."""
    return partition_for(stream.encode(), CURSOR_PARTITIONS)


def size(message: Message) -> int:
    """Return at least as many bytes as a batch with this message alone takes."""
    headers = sum(len(name) + len(value) + _HEADER_OVERHEAD for name, value in message.headers)
    return _OVERHEAD + len(message.key) + len(message.value or b"") + headers


class Packer:
    """Fills one batch per partition; a batch that takes no more is handed out, to be sent while the next one fills.

    `batch_bytes` is where the builders themselves say no; at most `suspects_per_batch` suspects
    travel together, and never with others.
    """

    def __init__(self, new_batch: Callable[[], BatchBuilder], batch_bytes: int, suspects_per_batch: int) -> None:
        self._new_batch = new_batch
        self._batch_bytes = batch_bytes
        self._suspects_per_batch = suspects_per_batch
        self._open: dict[tuple[str, int], _Open] = {}

    def add(self, parcel: Parcel) -> Packed | None:
        """Take a parcel; return the batch that had no room for it any more, if so."""
        place = (parcel.message.topic, parcel.partition)
        batch = self._open.get(place)
        if batch is not None and batch.takes(parcel, self._suspects_per_batch):
            return None
        full = None if batch is None else batch.close(place)
        batch = self._open[place] = _Open(self._new_batch(), parcel.suspect, self._batch_bytes)
        batch.takes(parcel, self._suspects_per_batch)
        return full

    def rest(self) -> list[Packed]:
        """Return the batches that are not full."""
        found = [batch.close(place) for place, batch in self._open.items()]
        self._open.clear()
        return found


class _Open:
    """A batch being filled; aiokafka takes the first message whatever its size."""

    def __init__(self, builder: BatchBuilder, suspect: bool, full: int) -> None:
        self._builder = builder
        self._full = full  # where the builder itself says no
        self._suspect = suspect
        self._ids: list[str | None] = []

    def takes(self, parcel: Parcel, suspects_per_batch: int) -> bool:
        if parcel.suspect != self._suspect or (parcel.suspect and len(self._ids) >= suspects_per_batch):
            return False
        message = parcel.message
        if self._ids and parcel.room < self._full and self._builder.size() + size(message) > parcel.room:
            return False
        added = self._builder.append(
            timestamp=message.timestamp_ms, key=message.key, value=message.value, headers=message.headers
        )
        if added is None:
            return False
        self._ids.append(parcel.id)
        return True

    def close(self, place: tuple[str, int]) -> Packed:
        self._builder.close()
        return Packed(*place, self._builder, tuple(self._ids))
