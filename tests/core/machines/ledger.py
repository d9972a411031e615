"""The memory of committed records and documents, and what must be true of every commit, whoever made it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchbridge.core.batch import Batch
from orchbridge.core.head import Head
from orchbridge.core.ports import Recalled
from orchbridge.core.records import NODE_STATE, Record
from tests.core.live import Store

DOCUMENT_BYTES_MAX = 4_096
ENDED = {"finished", "failed", "errored", "skipped"}


@dataclass
class Told:
    """What was committed about one job or plan in one epoch."""

    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    certificates: list[dict[str, Any]] = field(default_factory=list)
    counted: list[frozenset[int]] = field(default_factory=list)  # the events told when each of them came
    serials: set[int] = field(default_factory=set)
    asides: int = 0  # items that could not be read


@dataclass
class Ledger(Store):
    """A store that judges every batch as it is committed."""

    name: str = "prod/jobs"
    seen: set[str] = field(default_factory=set)
    told: dict[tuple[int, int], Told] = field(default_factory=lambda: defaultdict(Told))
    head: Head | None = None
    first: int = 0  # the first id ever taken up
    lowest: int = 0  # the first id taken up in this epoch; what is below was never seen
    states: dict[str, Record] = field(default_factory=dict)

    def commit(self, batch: Batch, now: float) -> None:
        """Take a batch whole, and judge it."""
        for record in batch.records:
            assert record.id not in self.seen, f"{record.id} was committed before"
            self.seen.add(record.id)
            self._read(record)
        for key, document in batch.documents.items():
            if document is not None:
                assert len(document) <= DOCUMENT_BYTES_MAX, f"{key} holds {len(document)} bytes"
        self.apply(batch)
        if batch.documents.get(self.name) is not None:
            self._onward(msgspec.json.decode(self.documents[self.name], type=Head))
            taken = [key.rpartition("/") for key, document in batch.documents.items() if document is not None]
            ids = [int(id_) for name, _, id_ in taken if name == self.name and id_.isdecimal()]
            self.lowest = self.lowest or min(ids, default=0)
            self.first = self.first or self.lowest

    def recalled(self) -> Iterator[Recalled]:
        """Yield the memory as a sink does, the newest of every key."""
        yield from (Recalled("cursor", key, value) for key, value in self.documents.items())
        for name, record in self.states.items():
            data = None if record.data is None else msgspec.json.encode(record.data)
            yield Recalled(NODE_STATE, name, data)

    def _onward(self, head: Head) -> None:
        if self.head is not None:
            assert head.epoch >= self.head.epoch, f"epoch {head.epoch} after {self.head.epoch}"
            if head.epoch > self.head.epoch:
                self.lowest = 0
            else:
                assert head.high >= self.head.high, f"the head went back from {self.head.high} to {head.high}"
        self.head = head

    def _read(self, record: Record) -> None:
        if record.channel == NODE_STATE:
            self.states[record.key] = record
        epoch, _, path = record.id.partition(":")
        kind, _, rest = path.partition("/")
        if kind not in {"job", "plan"}:
            return
        id_, what, name = rest.split("/", 2)
        told = self.told[int(epoch[1:]), int(id_)]
        if record.id.endswith("/quarantine"):
            told.asides += 1
        elif what == "event" and record.sequence is not None:
            self._event(told, record)
        elif what == "state":
            told.states.append(name)
        elif what == "summary":
            _certified(told, record)

    @staticmethod
    def _event(told: Told, record: Record) -> None:
        data, number = record.data, record.sequence
        assert data is not None
        assert number is not None
        late = number < max(told.events, default=0)
        assert bool(data.get("late")) is late, f"{record.id} comes {'' if late else 'not '}after a higher one"
        told.events[number] = data
        serial = serial_of(data)
        told.serials.add(serial[0])
        if data.get("result") in ENDED and isinstance(data.get("node"), str):
            told.ended.add(data["node"])

    def notices(self, kind: str) -> list[dict[str, Any]]:
        """Return what was noticed of this kind."""
        return [record.data for record in self.of("bridge.notice.v1") if record.data and record.data["kind"] == kind]


def serial_of(data: dict[str, Any]) -> tuple[int, int]:
    """Return which job (of all that ever were) an event belongs to, and which event it is."""
    job, event = str(data["message"]).removeprefix("#").split(".")[:2]
    return int(job), int(event)


def _certified(told: Told, record: Record) -> None:
    """A certificate counts what is committed by now, not more, and `complete` is true."""
    data = record.data
    assert data is not None
    delivered = data["delivered"]
    assert delivered["events"] == len(told.events), f"{record.id} counts {delivered}, told are {sorted(told.events)}"
    digest = hashlib.sha256(",".join(map(str, sorted(told.events))).encode()).hexdigest()
    assert delivered["ids_sha256"] == digest, f"{record.id} counts other events than were told"
    assert data["revision"] == len(told.certificates) + 1, f"{record.id} is no next revision"
    assert told.states or not data["complete"], f"{record.id} comes before any state"
    told.certificates.append(data)
    told.counted.append(frozenset(told.events))
