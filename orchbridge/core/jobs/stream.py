"""The jobs stream as a pure function of what the orchestrator said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import nlargest, nsmallest

from orchbridge.core.batch import Batch
from orchbridge.core.gaps import due_gaps
from orchbridge.core.jobs.answers import fold_answer, questions_of
from orchbridge.core.jobs.listing import PAGE_MAX, fold_list, page_limit
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.settle import finish, label
from orchbridge.core.jobs.track import Track
from orchbridge.core.jobs.work import JobsState, Work
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import JobDetail, JobsPage, Question, Reply
from orchbridge.core.recall import WalkRecall
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import RECENT_MAX, RUNNING_MAX, RecentJob, StreamView, described


class JobsRecall(WalkRecall[Memo]):
    """A jobs memory being read back."""

    def state(self) -> JobsState:
        """Return the state that the documents describe."""
        return JobsState(self.walk(), {id_: Track(id_, memo) for id_, memo in self.tracked().items()})


class JobStream:
    """Jobs with their events, states and certificates; implements `Stream` of core/ports.py."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()

    def recall(self, owner: str) -> JobsRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return JobsRecall(self.settings, owner, Memo)

    def ask(self, state: JobsState, now: float) -> tuple[Question, ...]:
        """Return the list when it is due, what moved jobs leave open, and a little of the slow rest."""
        walk = state.walk
        asked: list[Question] = []
        if walk.held > now:
            return ()
        if walk.scan is not None:
            asked.append(JobsPage(walk.limit(PAGE_MAX), walk.scan.offset))
        elif walk.due <= now:
            wanted = PAGE_MAX if not walk.trusted or not walk.begun else self._limit(state)
            asked.append(JobsPage(walk.limit(wanted)))
        if not walk.begun or not walk.trusted or walk.failures:
            return tuple(asked)
        asked += [JobDetail(id_) for id_ in due_gaps(walk, now)]
        for track in state.tracks.values():
            if track.open:
                asked += questions_of(track, state.tasks, walk, now)
        asked += state.slow
        return tuple(asked)

    @staticmethod
    def _limit(state: JobsState) -> int:
        newest = state.walk.newest
        near = [id_ for id_, track in state.tracks.items() if not track.memo.ended and newest - id_ < PAGE_MAX - 10]
        return page_limit(newest, min(near, default=None))

    def fold(self, state: JobsState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; those that find the batch full are left for the next fold."""
        work = Work(self.settings, state, now)
        for at, reply in enumerate(replies):
            if work.full:
                work.left.extend(replies[at:])
                break
            if isinstance(reply.question, JobsPage):
                fold_list(work, reply, reply.question)
            else:
                fold_answer(work, reply)
        if work.walk.begun and work.walk.trusted and work.walk.todo:
            work.take_up_jobs()
        finish(work)
        return work.batch()

    def due(self, state: JobsState, now: float) -> float:
        """Return seconds until the next tick; everything that waits is looked at once a tick."""
        return state.walk.wait_s(now)

    def view(self, state: JobsState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        walk, tracks = state.walk, state.tracks
        running = [track for track in tracks.values() if track.job is not None and not track.memo.ended]
        created = [track.job.created for track in running if track.job is not None and track.job.created]
        recent = nlargest(RECENT_MAX, tracks.values(), key=_by_id)
        oldest = nsmallest(RUNNING_MAX, running, key=_by_id)
        return StreamView(
            cursor=f"job {walk.head.high}" + (f", {len(walk.todo)} to do" if walk.todo else ""),
            position=walk.head.high,
            source_position=max(walk.newest, walk.head.high),
            tracked=len(tracks),
            behind=sum(track.open and track.moved for track in tracks.values()) + len(walk.todo),
            gaps=len(walk.gaps),
            epoch=walk.head.epoch_name,
            jobs_by_state=dict(Counter(track.job.state for track in running if track.job is not None)),
            oldest_running=min(created, default=None),
            recent=tuple(recent_job(track, self.settings) for track in recent),
            running=tuple(recent_job(track, self.settings) for track in oldest),
        )


def _by_id(track: Track) -> int:
    return track.id


def recent_job(track: Track, settings: StreamSettings) -> RecentJob:
    """Return a tracked job in a line."""
    job, url = track.job, settings.origin.job_url
    return RecentJob(
        id=track.id,
        name=label(job),
        state=job.state if job is not None else "",
        environment=job.environment if job is not None else None,
        created=job.created if job is not None else None,
        finished=job.finished if job is not None else None,
        nodes=job.node_states or {} if job is not None else {},
        complete=track.memo.complete if track.memo.certified else None,
        url=url.replace("{job}", str(track.id)) if url else None,
        type=job.type if job is not None else None,
        task=job.task if job is not None else None,
        description=described(track.context.about) if track.context is not None else None,
        targets=job.node_count if job is not None else None,
    )
