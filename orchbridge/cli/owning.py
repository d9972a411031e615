"""Which streams this worker carries, and what it commits, for the tasks that go along with a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from orchbridge.core.batch import Batch
from orchbridge.core.ports import Share, StreamId, Watch


class Companion(Protocol):
    """Goes along with streams: it works where their owner does."""

    def taken(self, stream: StreamId) -> None:
        """The stream is ours; told once, however often it is claimed again."""

    def recalled(self, stream: StreamId, state: Any) -> None:
        """It was claimed, perhaps again, and this is what the sink remembers: more than we heard of, where the
        answer to a commit was lost."""

    def lost(self, stream: StreamId) -> None:
        """Another worker carries it now, or nobody does."""

    def committed(self, stream: StreamId, batch: Batch) -> None:
        """A batch of it is in the sink."""


class Owning:
    """A Watch that passes everything on, and tells companions what they need to know."""

    def __init__(self, watch: Watch, companions: Sequence[Companion]) -> None:
        self._watch, self._companions = watch, companions
        self._owned: set[StreamId] = set()
        self.assigned, self.read, self.lapped = watch.assigned, watch.read, watch.lapped
        self.stumbled, self.troubled = watch.stumbled, watch.troubled
        self.parked, self.resumed = watch.parked, watch.resumed
        self.waiting = watch.waiting

    def shared(self, share: Share) -> None:
        """The group has decided anew; outside it, what was ours stays ours."""
        self._watch.shared(share)
        if share.apart is None:
            for stream in self._owned - share.owned:
                self._lose(stream)

    def claimed(self, stream: StreamId, state: Any) -> None:
        """The stream is ours."""
        self._watch.claimed(stream, state)
        new = stream not in self._owned
        self._owned.add(stream)
        for companion in self._companions:
            if new:
                companion.taken(stream)
            companion.recalled(stream, state)

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None:
        """A batch is in the sink."""
        self._watch.committed(stream, batch, seconds)
        for companion in self._companions:
            companion.committed(stream, batch)

    def released(self, stream: StreamId, reason: str) -> None:
        """A newer owner was met."""
        self._watch.released(stream, reason)
        self._lose(stream)

    def revoked(self, stream: StreamId, reason: str) -> None:
        """The group gave the stream to another worker."""
        self._watch.revoked(stream, reason)
        self._lose(stream)

    def finished(self, stream: StreamId, state: Any) -> None:
        """The stream has come to its end."""
        self._watch.finished(stream, state)
        self._lose(stream)

    def _lose(self, stream: StreamId) -> None:
        if stream in self._owned:
            self._owned.discard(stream)
            for companion in self._companions:
                companion.lost(stream)
