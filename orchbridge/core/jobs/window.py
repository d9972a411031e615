"""A window of the jobs' history as a stream: the records that the live stream gives or gave, on a lane of their own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchbridge.core import passing
from orchbridge.core.batch import Batch
from orchbridge.core.facts import Job
from orchbridge.core.jobs.answers import fold_answer, questions_of
from orchbridge.core.jobs.details import anchor_of
from orchbridge.core.jobs.listing import PAGE_MAX, seen_of
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.settle import finish
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.track import Track, replace
from orchbridge.core.jobs.work import JobsState, Work
from orchbridge.core.past import Past, viewed
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import JobDetail, JobsPage, Page, Question, Reply
from orchbridge.core.recall_past import PastRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.window import BACKFILL, RUNNING_S, Window, marked


class JobWindowState(msgspec.Struct, frozen=True):
    """The window, and the jobs of it that are under way."""

    past: Past
    jobs: JobsState


class JobWindowRecall(PastRecall[Memo]):
    """A window's memory being read back."""

    def state(self) -> JobWindowState:
        """Return the state that the documents describe."""
        past, walk, memos = self.past()
        return JobWindowState(past, JobsState(walk, {id_: Track(id_, memo) for id_, memo in memos.items()}))


class JobWindow:
    """Finished jobs of a window, ascending; implements `Finite` of core/ports.py.

    Without a window it is a backfill, and learns from the live stream what to read. `run` marks its
    records: "backfill", or the replay's id.
    """

    def __init__(self, settings: StreamSettings, window: Window | None = None, run: str = BACKFILL) -> None:
        self.settings = replace(settings, run=run)
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()
        self._window = window
        self._live = JobStream(settings)

    def recall(self, owner: str) -> JobWindowRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return JobWindowRecall(self.settings, owner, Memo, self._window)

    def done(self, state: JobWindowState) -> bool:
        """Whether everything in the window is accounted for; true once committed."""
        return state.past.over(state.jobs.walk.head)

    def waits(self, state: JobWindowState) -> bool:
        """Whether there is nothing to ask before the memory is recalled again."""
        return state.past.waits

    def ask(self, state: JobWindowState, now: float) -> tuple[Question, ...]:
        """Return the list until it is whole, then what the jobs under way leave open, and once a tick
        whether the history is the same still."""
        past, walk = state.past, state.jobs.walk
        if past.waits or self.done(state) or walk.held > now:
            return ()
        wanted, offset = passing.page_wanted(past, PAGE_MAX)
        asked: list[Question] = [JobsPage(walk.limit(wanted), offset)] if walk.due <= now else []
        if not passing.sure(past, walk):
            return tuple(asked)
        for track in state.jobs.tracks.values():
            asked += questions_of(track, state.jobs.tasks, walk, now)
        return tuple(asked)

    def fold(self, state: JobWindowState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; those that find the batch full are left for the next fold.

        Raise Corrupt where a replay meets another history than the one that was delivered.
        """
        work = Work(self.settings, state.jobs, now)
        past = passing.forget(work, state.past)
        under_way = set(work.tracks)
        past = passing.each(work, past, replies, self._fold_one)
        finish(work)
        passing.close(work, past, under_way, "job")
        passing.take_up(work, past, lambda id_, epoch: Track(id_, Memo(epoch)))
        batch = work.batch()
        records = marked(batch.records, self.settings.run)
        return replace(
            batch,
            records=records,
            state=JobWindowState(past, batch.state),
            left=() if past.lost else batch.left,
        )

    @staticmethod
    def _fold_one(work: Work, past: Past, reply: Reply) -> Past:
        question, answer = reply.question, reply.answer
        if isinstance(question, JobsPage):
            if not isinstance(answer, Page):
                work.not_listed(answer, question.limit)
                return past
            return passing.page(work, past, reply, seen_of(answer), answer)
        if not passing.sure(past, work.walk):
            return past
        if isinstance(answer, Job):
            reason = past.another(anchor_of(answer))
            if reason:
                return passing.lost(past, reason)
        fold_answer(work, reply)
        track = work.tracks.get(question.job) if isinstance(question, JobDetail) else None
        if track is not None and track.job is not None and not track.memo.ended:
            work.put(replace(track, read=None, due=work.now + RUNNING_S))
        return passing.shaken(past, reply)

    def due(self, state: JobWindowState, now: float) -> float:
        """Return seconds until ask() may have something new to say without another answer."""
        tracks = state.jobs.tracks.values()
        moments = [max(track.due, track.reading.due) for track in tracks]
        return passing.due(state.past, state.jobs.walk, moments, now)

    def view(self, state: JobWindowState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        return viewed(self._live.view(state.jobs), state.past, state.jobs.walk.head, len(state.jobs.tracks))
