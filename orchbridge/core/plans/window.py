"""A window of the plans' history as a stream: the records that the live one gives or gave, on a lane of their own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchbridge.core import memos, passing
from orchbridge.core.batch import Batch
from orchbridge.core.facts import Plan
from orchbridge.core.past import Past, viewed
from orchbridge.core.plans.answers import anchor_of, fold_answer, seen_of
from orchbridge.core.plans.stream import DEEP_PAGE, PlanStream
from orchbridge.core.plans.track import Memo, Track, questions, replace
from orchbridge.core.plans.work import PlansState, Work, deliver_held
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Page, PlanDetail, PlansPage, Question, Reply
from orchbridge.core.recall_past import PastRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.window import BACKFILL, RUNNING_S, Window, marked


class PlanWindowState(msgspec.Struct, frozen=True):
    """The window, and the plans of it that are under way."""

    past: Past
    plans: PlansState


class PlanWindowRecall(PastRecall[Memo]):
    """A window's memory being read back."""

    def state(self) -> PlanWindowState:
        """Return the state that the documents describe."""
        past, walk, memos_ = self.past()
        tracks = {id_: Track(id_, memo) for id_, memo in memos_.items()}
        return PlanWindowState(past, PlansState(walk, self._settings.start, tracks))


class PlanWindow:
    """Finished plans of a window, ascending; implements `Finite` of core/ports.py.

    Without a window it is a backfill, and learns from the live stream what to read. `run` marks its
    records: "backfill", or the replay's id.
    """

    def __init__(self, settings: StreamSettings, window: Window | None = None, run: str = BACKFILL) -> None:
        self.settings = replace(settings, run=run)
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()
        self._window = window
        self._live = PlanStream(settings)

    def recall(self, owner: str) -> PlanWindowRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return PlanWindowRecall(self.settings, owner, Memo, self._window)

    def done(self, state: PlanWindowState) -> bool:
        """Whether everything in the window is accounted for; true once committed."""
        return state.past.over(state.plans.walk.head)

    def waits(self, state: PlanWindowState) -> bool:
        """Whether there is nothing to ask before the memory is recalled again."""
        return state.past.waits

    def ask(self, state: PlanWindowState, now: float) -> tuple[Question, ...]:
        """Return the list until it is whole, then what the plans under way leave open, and once a tick
        whether the history is the same still."""
        past, walk = state.past, state.plans.walk
        if past.waits or self.done(state) or walk.held > now:
            return ()
        wanted, offset = passing.page_wanted(past, DEEP_PAGE)
        asked: list[Question] = [PlansPage(walk.limit(wanted), offset)] if walk.due <= now else []
        if not passing.sure(past, walk):
            return tuple(asked)
        for track in state.plans.tracks.values():
            asked += questions(track, now)
        return tuple(asked)

    def fold(self, state: PlanWindowState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; those that find the batch full are left for the next fold.

        Raise Corrupt where a replay meets another history than the one that was delivered.
        """
        plans = state.plans
        work: Work = Work(self.settings, plans.walk, plans.tracks, now)
        past = passing.forget(work, state.past)
        under_way = set(work.tracks)
        past = passing.each(work, past, replies, self._fold_one)
        if not past.lost:
            deliver_held(work)
        passing.close(work, past, under_way, "plan")
        passing.take_up(work, past, lambda id_, epoch: Track(id_, Memo(epoch)))
        documents = work.documents(memos.encode)
        return Batch(
            marked(work.records, self.settings.run),
            documents,
            PlanWindowState(past, PlansState(work.walk, plans.start, work.tracks)),
            () if past.lost else tuple(work.left),
            tuple(work.troubles),
        )

    @staticmethod
    def _fold_one(work: Work, past: Past, reply: Reply) -> Past:
        question, answer = reply.question, reply.answer
        if isinstance(question, PlansPage):
            if not isinstance(answer, Page):
                work.not_listed(answer, question.limit)
                return past
            return passing.page(work, past, reply, seen_of(answer), answer)
        if not passing.sure(past, work.walk):
            return past
        if isinstance(answer, Plan):
            reason = past.another(anchor_of(answer))
            if reason:
                return passing.lost(past, reason)
        fold_answer(work, reply)
        track = work.tracks.get(question.plan) if isinstance(question, PlanDetail) else None
        if track is not None and track.plan is not None and not track.memo.ended:
            work.put(replace(track, read=None, due=work.now + RUNNING_S))
        return passing.shaken(past, reply)

    def due(self, state: PlanWindowState, now: float) -> float:
        """Return seconds until ask() may have something new to say without another answer."""
        tracks = state.plans.tracks.values()
        moments = [max(track.due, track.reading.due) for track in tracks]
        return passing.due(state.past, state.plans.walk, moments, now)

    def view(self, state: PlanWindowState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        return viewed(self._live.view(state.plans), state.past, state.plans.walk.head, len(state.plans.tracks))
