"""What has been committed so far: for the screen, and for an end that leaves no job half told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from orchbridge.core.batch import Batch
from orchbridge.core.ports import StreamId, Watch
from orchbridge.core.records import JOB_EVENTS

WINDOW_S = 40


class Tally:
    """Counts of one run. Jobs are known by their record key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._seconds: deque[tuple[int, int]] = deque(maxlen=WINDOW_S + 1)  # (second, job events in it)
        self._expected: frozenset[str] = frozenset()
        self.events = 0
        self.records = 0
        self.jobs: set[str] = set()
        self.ended: set[str] = set()
        self.certified: set[str] = set()

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._begun

    @property
    def owed(self) -> set[str]:
        """Jobs whose end is told, or was to be told, and that have no complete certificate yet."""
        return (self.ended | self._expected) - self.certified

    def expect(self, jobs: Iterable[str]) -> None:
        """Owe certificates to these jobs as well."""
        self._expected = frozenset(jobs)

    def committed(self, batch: Batch) -> None:
        """Count a batch."""
        self.records += len(batch.records)
        events = 0
        for record in batch.records:
            data = record.data or {}
            events += record.channel == JOB_EVENTS
            if record.type == "job.state.changed.v1":
                self.jobs.add(record.key)
                if "outcome" in data:
                    self.ended.add(record.key)
            elif record.type == "job.summary.v1" and data["complete"]:
                self.certified.add(record.key)
        if events:
            self._count(events)

    def _count(self, events: int) -> None:
        self.events += events
        second = int(self.elapsed_s)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + events)
        else:
            self._seconds.append((second, events))

    def by_second(self) -> list[int]:
        """Return the job events of each of the last 40 whole seconds, oldest first."""
        now = int(self.elapsed_s)
        counts = dict(self._seconds)
        return [counts.get(second, 0) for second in range(now - WINDOW_S, now)]

    def rate(self) -> float:
        """Return job events a second over the last 10 whole seconds, or fewer where it began later."""
        seconds = max(1, min(10, int(self.elapsed_s)))
        return sum(self.by_second()[-seconds:]) / seconds


class Listening:
    """A Watch that passes everything on, and lets a tally count and `settled` look after each lap.

    In a lap's callback no commit of its stream is under way, so what the tally says then is all there is.
    """

    def __init__(self, watch: Watch, tally: Tally, settled: Callable[[], None]) -> None:
        self._watch, self._tally, self._settled = watch, tally, settled
        self.shared, self.assigned, self.claimed = watch.shared, watch.assigned, watch.claimed
        self.read = watch.read
        self.stumbled, self.troubled = watch.stumbled, watch.troubled
        self.parked, self.resumed = watch.parked, watch.resumed
        self.released, self.revoked = watch.released, watch.revoked
        self.waiting, self.finished = watch.waiting, watch.finished

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None:
        """A batch is in the files."""
        self._watch.committed(stream, batch, seconds)
        self._tally.committed(batch)

    def lapped(self, stream: StreamId, batch: Batch, now: float) -> None:
        """An answer was folded; whatever it held is committed."""
        self._watch.lapped(stream, batch, now)
        if stream.kind == "jobs":
            self._settled()
