"""Living through a stream's days by hand: no sockets, no sleeping, any crash at any commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from orchbridge.core.batch import Batch
from orchbridge.core.normalize.context import Origin
from orchbridge.core.ports import Finite, Recalled, Stream, StreamId
from orchbridge.core.questions import Reply
from orchbridge.core.records import NODE_STATE, Record
from orchbridge.core.redact import Rules
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Start
from orchbridge.sinks.needs import of_stream
from tests.core.server import Server

FATES = ("ok", "refused", "answer_lost")


def settings(kind: str, **more: Any) -> StreamSettings:
    """Return a stream's settings with an easy default for everything."""
    given = {"start": Start("earliest"), "poll_s": 1.0, **more}
    return StreamSettings(StreamId("prod", kind), "https://pe.test", Origin("prod", Rules()), **given)


@dataclass
class Store:
    """What a sink would hold."""

    records: list[Record] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)

    def apply(self, batch: Batch) -> None:
        self.records.extend(batch.records)
        for key, value in batch.documents.items():
            if value is None:
                self.documents.pop(key, None)
            else:
                self.documents[key] = value

    def recalled(self) -> Iterator[Recalled]:
        import msgspec

        yield from (Recalled("cursor", key, value) for key, value in self.documents.items())
        for record in self.records:
            if record.channel == NODE_STATE:
                data = None if record.data is None else msgspec.json.encode(record.data)
                yield Recalled(NODE_STATE, record.key, data)

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records]

    def of(self, type_: str) -> list[Record]:
        return [record for record in self.records if record.type == type_]


class Life:
    """One stream against one server and one store, moved by hand."""

    def __init__(self, stream: Stream, server: Server, store: Store | None = None, now: float = 0.0) -> None:
        self.stream, self.server, self.now = stream, server, now
        self.store = store if store is not None else Store()
        self.state: Any = None
        self.claims = 0
        self.troubles: list[tuple[str, Any]] = []

    def claim(self) -> None:
        """Forget everything and read the memory back."""
        self.claims += 1
        recall = self.stream.recall(f"w{self.claims}")
        for document in self.store.recalled():
            if document.place != "cursor" or of_stream(self.stream.id, document.key):
                recall.learn(document)
        self.state = recall.state()

    def lap(self, fate: str = "ok") -> bool:
        """Ask everything, fold, commit; return whether anything was asked. A bad fate ends the claim."""
        if self.state is None or self._waits():
            self.claim()
            if self._waits():
                return False  # whoever carries it rests before it looks again
        questions = self.stream.ask(self.state, self.now)
        replies = [Reply(q, self.server.answer(q, self.now), self.now, self.now) for q in questions]
        while replies:
            batch = self.stream.fold(self.state, replies, self.now)
            self.troubles.extend(batch.troubles)
            if not batch.empty:
                if fate != "refused":
                    self.store.apply(batch)
                if fate != "ok":
                    self.claim()
                    return True
            self.state, replies = batch.state, list(batch.left)
        return bool(questions) and not self._waits()

    def _waits(self) -> bool:
        return isinstance(self.stream, Finite) and self.stream.waits(self.state)

    def until(self, end: float, step: float = 0.5, fates: Iterator[str] | None = None) -> None:
        """Live on until `end`, lap after lap; at each step until nothing more is asked."""
        fates = fates if fates is not None else repeat("ok")
        while self.now < end:
            for _ in range(200):
                if not self.lap(next(fates, "ok")):
                    break
            else:
                raise AssertionError(f"asks for ever at {self.now}: {self.stream.ask(self.state, self.now)}")
            self.now += step
