"""One tracked job: what is known of it in this claim, and what is still to be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchbridge.core import reading, times
from orchbridge.core.facts import Job, NodeRow
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.tasks import Tasks
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.jobs import terminal
from orchbridge.core.questions import JobDetail, JobEvents, JobNodes, Question
from orchbridge.core.reading import Reading
from orchbridge.core.trouble import Count

NODES_PAGE = 500
SWEEPS_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0)  # after the certificate, and once more when the late window ends
SWEEPS_LARGE_S = (30.0, 300.0)  # the whole list is read each time
SWEEPS_WHOLE_S = (15.0, 120.0)  # nothing is missing: two looks for what nobody expects, none at the end
LARGE = 1_000
SWEEPS_BEHIND = 100  # more overdue than this, of jobs that may lack something, are worked off faster than one a tick
STALE_S = 60.0
LONG_AGO_S = 3_600.0  # what ended that long before the late window has no late events, whatever the clocks say
BLIND_PATIENCE = 43_200  # where nothing hints at a job's events: every tick, for a day at the usual pace

replace = msgspec.structs.replace


class Track(msgspec.Struct, frozen=True):
    """A job being followed. Only `memo` is remembered across claims.

    job         newest facts from list or detail; `detail` the newest detail whose states are not emitted yet
    read        (state, timestamp) of the newest detail
    changed_at  since when the facts that hint at events are as they are; seen_at: when last confirmed,
    looked_at: when its own page was last asked for, whatever came of it
    nodes       certname -> newest result delivered; `began`: when its run started (Unix seconds)
    explained   the events delivered account for the job's node_states
    rows        the job's nodes as listed after its end, once `rows_done`
    missing     the last comparison found nodes without their event: read everything again
    misses      look-ups in a row that found no such job; `misread`: those whose answer could not be understood
    count       failures since the last answer; `doubts`: events in a row that seemed to be another job's;
    strangers   pages in a row that told of another job than the list
    blocked     why this job cannot be read (forbidden, oversize)
    """

    id: int
    memo: Memo
    job: Job | None = None
    detail: Job | None = None
    read: tuple[str, str | None] | None = None
    context: Context | None = None
    changed_at: float = 0.0
    seen_at: float = 0.0
    looked_at: float = 0.0
    nodes: Mapping[str, str] = {}
    began: Mapping[str, float] = {}
    explained: bool = False
    reading: Reading = Reading()
    rows: tuple[NodeRow, ...] = ()
    rows_done: bool = False
    missing: bool = False
    misses: int = 0
    count: Count = Count()
    doubts: int = 0
    strangers: int = 0
    misread: int = 0
    due: float = 0.0
    blocked: str = ""
    sweep_due: float = 0.0
    summary: dict[str, object] | None = None

    @property
    def open(self) -> bool:
        """Whether a certificate is still to come: the first, or a revision for events that it does not count."""
        return not self.memo.certified or len(self.memo.events) != self.memo.counted

    @property
    def unsaid(self) -> bool:
        """Whether the state it is in was not told yet."""
        return self.job is not None and self.job.state not in {name.split("/")[0] for name in self.memo.states}

    @property
    def blind(self) -> bool:
        """Whether the server does not tell how many nodes are in which state."""
        return self.job is not None and self.job.node_states is None and self.job.node_count != 0

    @property
    def moved(self) -> bool:
        """Whether there may be events that were not delivered yet."""
        done = self.reading.done_at
        if not self.reading.whole or self.reading.resume is not None:
            return True
        return not self.explained or self.missing or done < self.changed_at or done < self.memo.ended


def explains(job: Job | None, nodes: Mapping[str, str]) -> bool:
    """Whether these node results account for what the job's list entry says of its nodes."""
    if job is None:
        return False
    if job.node_states is None:  # a job without nodes, or a server too old to tell
        return job.node_count == 0 or (job.node_count is None and terminal(job))
    counts = Counter(nodes.values())
    told = job.node_states
    return all(told.get(state, 0) == counts.get(mine, 0) for state, mine in _PAIRS)


_PAIRS = (("running", "started"), *((state, state) for state in ("finished", "failed", "errored", "skipped")))


def with_facts(track: Track, job: Job, now: float) -> Track:
    """Return the track after the list or a detail told this of the job."""
    old = track.job
    if old is not None:
        job = _merged(old, job)
    if track.context is not None:
        job = replace(job, raw=b"")  # only what must be hidden was to be read in it, and it may be large
    hints = (job.state, job.stamp, job.node_states, job.finished)
    changed = old is None or hints != (old.state, old.stamp, old.node_states, old.finished)
    memo = track.memo
    if terminal(job) and not 0 < memo.ended <= now:  # not yet known, or known by a clock that was ahead
        memo = replace(memo, ended=now)
        changed = True
    if not changed:
        return replace(track, job=job, seen_at=now)
    again = replace(track.reading, due=0.0, fruitless=0)
    if memo.ended and job.node_count == 0:
        track = replace(track, rows_done=True)  # there is nothing to list
    return replace(
        track, job=job, memo=memo, seen_at=now, changed_at=now, reading=again, explained=explains(job, track.nodes)
    )


def _merged(old: Job, new: Job) -> Job:
    """Keep what the newer answer leaves out: a job's own page may lack fields that the list has, and the reverse."""
    kept = {
        name: getattr(old, name)
        for name in ("stamp", "node_states", "node_count", "created", "finished", "duration", "status", "task")
        if getattr(new, name) is None and getattr(old, name) is not None
    }
    return replace(new, **kept) if kept else new


def questions(track: Track, now: float, nodes_page: int = NODES_PAGE) -> Iterator[Question]:
    """Yield what an open job leaves to be asked; its task's metadata is known by now."""
    if track.due > now:
        return
    job = track.job
    if job is None:
        yield JobDetail(track.id)
        return
    if track.detail is None and not _same(track.read, (job.state, job.stamp)):
        yield JobDetail(track.id)
    if track.moved and track.reading.due <= now:
        yield JobEvents(track.id, reading.start(track.reading, len(track.memo.events), full=track.missing))
    if track.memo.ended and not track.rows_done:
        yield JobNodes(track.id, nodes_page, len(track.rows))


def _same(read: tuple[str, str | None] | None, now: tuple[str, str | None]) -> bool:
    """Whether the detail read is still the newest; a stamp that either answer lacks decides nothing."""
    return read is not None and read[0] == now[0] and (read[1] == now[1] or read[1] is None)


def after_certificate(track: Track, now: float, window_s: float) -> Track:
    """Return the track as it waits for late events: small, with its next sweep set."""
    job = None if track.job is None else replace(track.job, raw=b"", status=None)
    memo = track.memo
    slim = Track(id=track.id, memo=memo, job=job, read=track.read, context=track.context, seen_at=now)
    return next_sweep(slim, now, window_s)


def slow_questions(tracks: Iterable[Track], tasks: Tasks, listed_at: float, now: float) -> tuple[Question, ...]:
    """Return this tick's look for late events and its round-robin read, so that nothing is forgotten."""
    asked: list[Question] = []
    tracks = tuple(tracks)
    overdue = [t for t in tracks if not t.open and max(t.sweep_due, t.due) <= now]
    overdue.sort(key=lambda t: (t.memo.whole, t.sweep_due))
    lacking = sum(not t.memo.whole for t in overdue)
    quiet = [t for t in tracks if t.open and not t.moved and now - t.reading.done_at > STALE_S]
    unseen = [t for t in tracks if t.open and t.job is not None and t.seen_at < listed_at and t.due <= now]
    for track in overdue[: 1 if lacking <= SWEEPS_BEHIND else 8]:
        asked += _sweep(track, tasks, now)
    if not asked and quiet:
        asked.append(JobEvents(min(quiet, key=lambda t: t.reading.done_at).id))
    if unseen:
        asked.append(JobDetail(min(unseen, key=lambda t: max(t.seen_at, t.looked_at)).id))
    return tuple(asked)


def _sweep(track: Track, tasks: Tasks, now: float) -> Iterator[Question]:
    """Yield the next step of a look for late events; after a claim the job itself is not known yet."""
    if track.job is None:
        yield JobDetail(track.id)
        return
    if track.context is None and (metadata := tasks.question(track.job, now)) is not None:
        yield metadata
        return
    if track.context is None and tasks.of(track.job) is None:
        return  # its task's metadata is asked again in a moment
    if track.unsaid:
        yield JobDetail(track.id)  # given up before its last state was told
    yield JobEvents(track.id, track.reading.resume)


def next_sweep(track: Track, now: float, window_s: float) -> Track:
    """Set when late events are looked for next; the last look is when the window ends."""
    memo = track.memo
    if memo.certified > now:  # by a clock that was ahead
        memo = replace(memo, certified=now)
    marks = SWEEPS_WHOLE_S if memo.whole else SWEEPS_LARGE_S if len(memo.events) > LARGE else SWEEPS_S
    later = [mark for mark in marks if now - memo.certified < mark < window_s]
    return replace(track, memo=memo, sweep_due=memo.certified + (later[0] if later else window_s))


def let_go(track: Track, now: float, window_s: float) -> bool:
    """Whether a certified job may be forgotten without another look for late events."""
    memo, job = track.memo, track.job
    if track.open:
        return False
    if memo.whole and now >= memo.certified + window_s:
        return True
    ended = None if job is None else times.seconds(job.finished or job.stamp)
    return ended is not None and now - ended > window_s + LONG_AGO_S
