"""What happened becomes metrics, log lines and the status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import Share, StreamId
from orchbridge.core.questions import Trouble
from orchbridge.core.view import StreamView
from orchbridge.ops import status as words
from orchbridge.ops.account import Account, where
from orchbridge.ops.advice import advice
from orchbridge.ops.bounds import NAMES_MAX, Bounds
from orchbridge.ops.changes import Changes
from orchbridge.ops.failures import Failures
from orchbridge.ops.gauges import Gauges
from orchbridge.ops.lines import tell
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.missed import Missed
from orchbridge.ops.pulse import Pulse
from orchbridge.ops.repeats import Repeats
from orchbridge.ops.sharing import Sharing
from orchbridge.ops.status import Mishap, SourceStatus, Status, StreamStatus
from orchbridge.ops.watched import Asked, Fate, Watched

LOG_INTERVAL_S = 60.0


class OpsWatch:
    """The Watch of a real worker. All calls come from the event loop's thread."""

    def __init__(
        self,
        sources: Sequence[Watched],
        metrics: Metrics,
        view: Callable[[StreamId, Any], StreamView],
        *,
        version: str,
        clock: Callable[[], float],
        worker: str = "",
        name_series: int = NAMES_MAX,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._bounds = Bounds(metrics, name_series)
        self._gauges = Gauges(metrics, self._bounds)
        self._account = Account(metrics, self._bounds)
        self._failures, self._changes, self._missed = Failures(), Changes(), Missed()
        self._metrics = metrics
        self._view = view
        self._version = version
        self._clock = clock
        self._started = clock()
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger("orchbridge")
        self._repeats = Repeats(LOG_INTERVAL_S)
        self._sharing = Sharing(metrics, clock, self._log, self._repeats)
        self._worker = worker
        self._pulses = {name: Pulse() for name in self._sources}
        self._fates: dict[StreamId, Fate] = {}
        metrics.set("orchbridge_build_info", version, to=1)
        for source in sources:
            for kind, interval_s in source.streams.items():
                self._fates[StreamId(source.name, kind)] = Fate(interval_s)
            self._gauges.zeros(source.name, [kind for kind in source.streams if kind not in source.quiet])
        metrics.refresh = self.refresh

    # -- told by the runtime ------------------------------------------------------------------

    def shared(self, share: Share) -> None:
        """The workers' group has decided anew, or we are outside it."""
        self._sharing.told(share)
        if share.apart is None:
            for stream in [id_ for id_, fate in self._fates.items() if fate.word in words.UNSURE]:
                if stream not in share.owned:  # it stumbled before anybody knew whose it is
                    self._let_go(stream, words.STANDBY)

    def assigned(self, stream: StreamId) -> None:
        """The stream is ours to claim."""
        self._take_up(stream).word = words.STARTING
        if self._sharing.status is not None:
            self._log.info("stream.assigned", stream=stream.name)

    def claimed(self, stream: StreamId, state: Any) -> None:
        """The stream is ours, and this is what the sink remembers of it."""
        fate = self._take_up(stream)
        fate.become(state)
        if fate.word != words.STUMBLING:
            fate.word = words.STARTING
        self._metrics.set("orchbridge_stream_owned", *where(stream.source, stream.kind), to=1)
        view = self._seen(stream, fate)
        fate.first = None if view.progress is None else (self._clock(), view.progress.done)
        self._log.info("stream.claimed", stream=stream.name, cursor=view.cursor)

    def read(self, stream: StreamId, items: int) -> None:
        """Answers came that hold so many jobs, events, nodes or plans."""
        self._metrics.add("orchbridge_records_read_total", *where(stream.source, stream.kind), by=items)

    def lapped(self, stream: StreamId, batch: Batch, now: float) -> None:
        """An answer was folded and is committed. A fold of nothing but troubles completes no lap."""
        fate = self._fate(stream)
        fate.become(batch.state)
        if batch.troubles and batch.empty:
            return
        fate.last_lap = now
        fate.word = words.LIVE
        if self._repeats.over((stream.name, "stumbled")):
            self._log.info("stream.recovered", stream=stream.name)
        for _, _, kind in self._repeats.quiet((stream.name, "troubled"), now):
            self._log.info("page.recovered", stream=stream.name, kind=kind)

    def committed(self, stream: StreamId, batch: Batch, seconds: float) -> None:
        """A batch is in the sink; `seconds` is how long fold and commit took."""
        now = self._clock()
        fate, labels = self._fate(stream), where(stream.source, stream.kind)
        fate.last_commit = now
        fate.records += len(batch.records)
        self._metrics.add("orchbridge_commits_total", *labels)
        self._metrics.observe("orchbridge_commit_seconds", *labels, value=seconds)
        self._account.committed(labels, batch.records, now)
        self._failures.committed(labels, batch.records, now)
        self._changes.committed(labels, batch.records, now)
        self._missed.committed(labels, batch.records, now)
        self._log.debug("batch.committed", stream=stream.name, records=len(batch.records), seconds=round(seconds, 4))
        tell(self._log, stream, batch.records)

    def stumbled(self, stream: StreamId, loss: OrchbridgeError, pause_s: float) -> None:
        """The sink is uncertain; the stream will be claimed again after the pause."""
        fate = self._take_up(stream)
        fate.word = words.STUMBLING
        fate.mishap = Mishap(self._clock(), str(loss), loss.hint)
        self._metrics.add("orchbridge_stumbles_total", *where(stream.source, stream.kind))
        more = self._repeats.say((stream.name, "stumbled"), self._clock())
        if more is not None:
            self._log.warning(
                "stream.stumbled",
                stream=stream.name,
                error=str(loss),
                hint=loss.hint,
                pause_s=round(pause_s, 1),
                unsaid=more,
            )

    def troubled(self, stream: StreamId, subject: str, trouble: Trouble) -> None:
        """The source did not answer one question."""
        fate = self._fate(stream)
        fate.mishap = Mishap(self._clock(), f"{subject}: {trouble.explanation}", advice(trouble.kind))
        self._account.troubled(where(stream.source, stream.kind), trouble.kind)
        more = self._repeats.say((stream.name, "troubled", trouble.kind), self._clock())
        if more is not None:
            self._log.warning(
                "page.refused",
                stream=stream.name,
                subject=subject,
                kind=trouble.kind,
                status=trouble.status,
                explanation=trouble.explanation,
                unsaid=more,
            )

    def parked(self, stream: StreamId, refusal: OrchbridgeError) -> None:
        """Only a person can help; the stream waits."""
        fate = self._take_up(stream)
        fate.word = words.PARKED
        fate.mishap = Mishap(self._clock(), str(refusal), refusal.hint)
        self._metrics.set("orchbridge_stream_parked", *where(stream.source, stream.kind), to=1)
        more = self._repeats.say((stream.name, "parked", str(refusal)), self._clock())
        if more is not None:
            self._log.error("stream.parked", stream=stream.name, error=str(refusal), hint=refusal.hint, unsaid=more)

    def resumed(self, stream: StreamId) -> None:
        """The reason for parking may be gone; the stream is tried again."""
        fate = self._fate(stream)
        fate.word, fate.since = words.STARTING, self._clock()
        self._metrics.set("orchbridge_stream_parked", *where(stream.source, stream.kind), to=0)
        self._log.info("stream.resumed", stream=stream.name)

    def released(self, stream: StreamId, reason: str) -> None:
        """A newer owner was met: the stream is let go until the group says whose it is."""
        self._metrics.add("orchbridge_stream_fenced_total", *where(stream.source, stream.kind))
        self._let_go(stream, words.FENCED)
        self._log.warning("stream.released", stream=stream.name, reason=reason)

    def revoked(self, stream: StreamId, reason: str) -> None:
        """The group gave the stream to another worker, and it was let go."""
        self._let_go(stream, words.STANDBY)
        self._log.info("stream.revoked", stream=stream.name, reason=reason)

    def waiting(self, stream: StreamId, state: Any) -> None:
        """The stream cannot begin before another one of its source has written to its memory; nothing is wrong."""
        fate = self._fate(stream)
        if fate.word != words.WAITING:
            self._log.info("stream.waiting", stream=stream.name)
        fate.word, fate.since, fate.last_lap = words.WAITING, None, None
        fate.become(state)

    def finished(self, stream: StreamId, state: Any) -> None:
        """The stream has come to its end: nobody carries it any more, and what it did stays to be seen."""
        fate = self._fate(stream)
        told = fate.word == words.DONE
        fate.word, fate.since, fate.last_lap = words.DONE, None, None
        fate.become(state)
        if told or not self._shown(stream, fate):
            return  # it was looked at again, or there was nothing to do
        self._metrics.set("orchbridge_stream_owned", *where(stream.source, stream.kind), to=0)
        self._log.info("stream.done", stream=stream.name, cursor=self._seen(stream, fate).cursor)

    # -- told by the client and the sink ------------------------------------------------------

    def observed(self, asked: Asked) -> None:
        """A request to a source is over."""
        now = self._clock()
        pulse = self._pulses.setdefault(asked.source, Pulse())
        good = asked.code.isdigit() and int(asked.code) < 400
        pulse.beat(now, good=good, seconds=asked.seconds)
        if good and self._repeats.over((asked.source, "lost")):
            self._log.info("source.recovered", source=asked.source)
        elif pulse.up(now) is False and self._repeats.say((asked.source, "lost"), now) is not None:
            self._log.warning("source.lost", source=asked.source, code=asked.code, endpoint=asked.endpoint)
        code = self._bounds(asked.source, "code", asked.code)
        self._metrics.add("orchbridge_requests_total", asked.source, asked.endpoint, code)
        self._metrics.observe("orchbridge_request_seconds", asked.source, asked.endpoint, value=asked.seconds)
        self._metrics.add("orchbridge_response_bytes_total", asked.source, by=asked.bytes)

    def quarantined(self, stream: StreamId, stage: str, reason: str) -> None:
        """The sink set a record of a batch aside (what the core sets aside is in the batch itself)."""
        self._account.quarantined(where(stream.source, stream.kind), stage)
        more = self._repeats.say((stream.name, "quarantined", stage), self._clock())
        if more is not None:
            self._log.warning("record.quarantined", stream=stream.name, stage=stage, reason=reason, unsaid=more)

    # -- asked by the endpoints ---------------------------------------------------------------

    def status(self) -> Status:
        """Return the picture of this moment."""
        now = self._clock()
        sources = tuple(self._source(source, now) for source in self._sources.values())
        return Status(self._version, self._started, now, sources, self._worker, self._sharing.status)

    def refresh(self) -> None:
        """Bring the gauges that depend on time or on a stream's state up to date."""
        status = self.status()
        for source in status.sources:
            self._gauges.source(source, status.now)
            for job in (job for stream in source.streams for job in stream.view.running):
                self._account.opened(source.name, job)

    # -- ourselves ----------------------------------------------------------------------------

    def _let_go(self, stream: StreamId, word: str) -> None:
        """Drop the gauges of what another worker tells about now, or nobody."""
        fate = self._fate(stream)
        fate.word, fate.since, fate.last_lap = word, None, None
        fate.become(None)
        self._repeats.over((stream.name, "stumbled"))
        alone = all(other.word in words.RESTING for id_, other in self._fates.items() if id_.source == stream.source)
        self._gauges.forget(where(stream.source, stream.kind), alone=alone)
        self._failures.forget(where(stream.source, stream.kind))
        self._changes.forget(where(stream.source, stream.kind))
        self._missed.forget(where(stream.source, stream.kind))
        if stream.kind not in self._sources[stream.source].streams:
            del self._fates[stream]  # a replay does not come back

    def _fate(self, stream: StreamId) -> Fate:
        return self._fates.setdefault(stream, Fate(0.0))

    def _take_up(self, stream: StreamId) -> Fate:
        """Return the stream's fate; from now on it has to make laps, however often it is claimed again."""
        fate = self._fate(stream)
        if fate.since is None:
            fate.since = self._clock()
        return fate

    def _source(self, source: Watched, now: float) -> SourceStatus:
        pulse = self._pulses[source.name]
        asked = (fate.interval_s for id_, fate in self._fates.items() if id_.source == source.name and fate.asks)
        return SourceStatus(
            name=source.name,
            host=source.host,
            up=pulse.up(now, words.PATIENCE_LAPS * max(asked, default=0.0)),
            requests_per_s=round(pulse.per_s(now), 2),
            budget_left=None if source.budget_left is None else round(source.budget_left(), 1),
            streams=tuple(
                self._stream(id_, fate, now)
                for id_, fate in self._fates.items()
                if id_.source == source.name and self._shown(id_, fate)
            ),
            token_expires=None if source.token_expires is None else source.token_expires(),
            answers_s=pulse.answers_s(now),
            certificate_expires=None if source.certificate_expires is None else source.certificate_expires(),
            token_renewal=None if source.token_renewal is None else source.token_renewal(),
            canary=None if source.canary is None else source.canary(),
        )

    def _seen(self, stream: StreamId, fate: Fate) -> StreamView:
        """Return what is seen of the stream's state, looked at once: ten thousand jobs take their time."""
        if fate.seen is None:
            fate.seen = StreamView() if fate.state is None else self._view(stream, fate.state)
        return fate.seen

    def _shown(self, stream: StreamId, fate: Fate) -> bool:
        """Whether people are told of a stream: of a quiet one if it has, or had, something to do, or needs a person."""
        source = self._sources.get(stream.source)
        if source is None or stream.kind not in source.quiet or fate.word == words.PARKED:
            return True
        progress = self._seen(stream, fate).progress
        return progress is not None and progress.total > 0 and (not progress.over or fate.records > 0)

    def _stream(self, stream: StreamId, fate: Fate, now: float) -> StreamStatus:
        view = self._seen(stream, fate)
        return StreamStatus(
            kind=stream.kind,
            state=fate.word,
            interval_s=fate.interval_s,
            since=fate.since,
            last_lap=fate.last_lap,
            last_commit=fate.last_commit,
            mishap=fate.mishap,
            records=fate.records,
            view=view,
            owner=self._sharing.owner(stream),
            left_s=None if view.progress is None else words.left_s(fate.first, now, view.progress),
            failures=self._failures.recent(now, where(stream.source, stream.kind)),
            moves=self._changes.told(where(stream.source, stream.kind), now),
            missed=self._missed.recent(where(stream.source, stream.kind), now),
        )
