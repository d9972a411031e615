"""The plans stream as a pure function of what the orchestrator said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import nlargest, nsmallest

from orchbridge.core import memos, times
from orchbridge.core.batch import Batch
from orchbridge.core.facts import Job
from orchbridge.core.gaps import due_gaps
from orchbridge.core.plans.answers import fold_answer, plans_of, seen_of
from orchbridge.core.plans.fold import slow_questions, take_up
from orchbridge.core.plans.track import Memo, Track, questions, replace, with_facts
from orchbridge.core.plans.work import PlansState, Work, deliver_held
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import JobDetail, Page, PlanDetail, PlansPage, Question, Reply, Trouble, subject
from orchbridge.core.recall import WalkRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import RECENT_MAX, RUNNING_MAX, RecentJob, StreamView, described
from orchbridge.core.walk import Start

PAGE, DEEP_PAGE = 50, 200
ABSENT_RETRY_S = 60.0


class PlansRecall(WalkRecall[Memo]):
    """A plans memory being read back."""

    def state(self) -> PlansState:
        """Return the state that the documents describe; a start at a job still has to learn when that was."""
        walk, start = self.walk(), self._settings.start
        unknown = start.kind == "from" and not walk.begun
        return PlansState(walk, None if unknown else start, {id_: Track(id_, m) for id_, m in self.tracked().items()})


class PlanStream:
    """Plan jobs with their events and states; implements `Stream` of core/ports.py."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()

    def recall(self, owner: str) -> PlansRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return PlansRecall(self.settings, owner, Memo)

    def ask(self, state: PlansState, now: float) -> tuple[Question, ...]:
        """Return the list when it is due and what open plans leave to be asked."""
        walk = state.walk
        if state.start is None:
            return (JobDetail(self.settings.start.id),) if walk.wait_s(now) == 0.0 else ()
        asked: list[Question] = []
        if walk.held > now:
            return ()
        if walk.scan is not None:
            asked.append(PlansPage(walk.limit(DEEP_PAGE), walk.scan.offset))
        elif walk.due <= now:
            asked.append(PlansPage(walk.limit(PAGE if walk.trusted and walk.begun else DEEP_PAGE)))
        if not walk.begun or not walk.trusted or walk.failures:
            return tuple(asked)
        asked += [PlanDetail(id_) for id_ in due_gaps(walk, now)]
        for track in state.tracks.values():
            if track.open or track.held:
                asked += questions(track, now)
        asked += state.slow
        return tuple(asked)

    def fold(self, state: PlansState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; those that find the batch full are left for the next fold."""
        work: Work = Work(self.settings, state.walk, state.tracks, now)
        left: tuple[Reply, ...] = ()
        start, slow = state.start, state.slow
        for at, reply in enumerate(replies):
            if work.full:
                left = tuple(replies[at:])
                break
            if start is None:
                start = self._started(work, reply)
            elif isinstance(reply.question, PlansPage):
                if self._list(work, reply, reply.question, start):
                    slow = () if reply.question.offset else slow_questions(work)
            else:
                slow = tuple(question for question in slow if subject(question) != subject(reply.question))
                fold_answer(work, reply)
        if work.walk.begun and work.walk.trusted and work.walk.todo:
            take_up(work)
        deliver_held(work)
        documents = work.documents(memos.encode)
        return Batch(
            tuple(work.records), documents, PlansState(work.walk, start, work.tracks, slow), left, tuple(work.troubles)
        )

    def _started(self, work: Work, reply: Reply) -> Start | None:
        """ "job:N" concerns jobs; plans start at that job's creation, or at the earliest where it is gone."""
        if isinstance(reply.answer, Job):
            at = times.seconds(reply.answer.created)
            return Start("earliest") if at is None else Start("since", at=at)
        if isinstance(reply.answer, Trouble) and reply.answer.kind != "missing":
            work.not_listed(reply.answer, PAGE)
            return None
        return Start("earliest")

    def _list(self, work: Work, reply: Reply, question: PlansPage, start: Start) -> bool:
        page = reply.answer
        if not isinstance(page, Page):
            if isinstance(page, Trouble) and page.kind == "absent" and not work.walk.begun:
                _without_plans(work, page)
            else:
                work.not_listed(page, question.limit)
            return False
        plans = plans_of(page)
        whole = work.listed(reply, question.offset, question.limit, seen_of(page), page, start)
        if not work.walk.trusted:
            return False
        if whole:
            take_up(work)
        for plan in plans.values():
            track = work.tracks.get(plan.id)
            if track is not None and track.open:
                work.put(with_facts(track, plan, work.now))
        return whole

    def due(self, state: PlansState, now: float) -> float:
        """Return seconds until the next tick."""
        return state.walk.wait_s(now)

    def view(self, state: PlansState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        walk, tracks = state.walk, state.tracks
        open_ = [track for track in tracks.values() if track.plan is not None and not track.memo.ended]
        running = [track.plan for track in open_ if track.plan is not None]
        recent = nlargest(RECENT_MAX, tracks.values(), key=_by_id)
        oldest = nsmallest(RUNNING_MAX, open_, key=_by_id)
        return StreamView(
            cursor=f"plan {walk.head.high}" + (f", {len(walk.todo)} to do" if walk.todo else ""),
            position=walk.head.high,
            source_position=max(walk.newest, walk.head.high),
            tracked=len(tracks),
            behind=sum(track.open and track.moved for track in tracks.values()) + len(walk.todo),
            gaps=len(walk.gaps),
            epoch=walk.head.epoch_name,
            jobs_by_state=dict(Counter(plan.state for plan in running)),
            oldest_running=min((plan.created for plan in running if plan.created), default=None),
            recent=tuple(map(_recent, recent)),
            running=tuple(map(_recent, oldest)),
        )


def _without_plans(work: Work, trouble: Trouble) -> None:
    """Servers before 2018.1 have no plans: say so once, and look again now and then, as they can be upgraded."""
    if not work.walk.blank:
        work.troubles.append(("the list of plans", trouble))
    work.walk = replace(work.walk, blank=True, due=work.now + ABSENT_RETRY_S)


def _by_id(track: Track) -> int:
    return track.id


def _recent(track: Track) -> RecentJob:
    plan = track.plan
    if plan is None:
        return RecentJob(id=track.id, kind="plan")
    return RecentJob(
        id=track.id,
        kind="plan",
        name=plan.name or "",
        state=plan.state,
        environment=plan.environment,
        created=plan.created,
        finished=plan.finished,
        description=described(track.context.about) if track.context is not None else None,
    )
