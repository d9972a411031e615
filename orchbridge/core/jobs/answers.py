"""What is asked about tracked jobs, and each answer folded where it belongs; live streams and windows share it."""

from __future__ import annotations

from collections.abc import Iterator

from orchbridge.core.facts import Job, TaskMeta
from orchbridge.core.jobs.details import fold_detail, fold_nodes, fold_task, page_of
from orchbridge.core.jobs.events import fold_events
from orchbridge.core.jobs.settle import settle
from orchbridge.core.jobs.tasks import Tasks
from orchbridge.core.jobs.track import NODES_PAGE, Track, questions
from orchbridge.core.jobs.work import Work
from orchbridge.core.questions import JobDetail, JobEvents, JobNodes, Question, Reply, TaskMetadata, Trouble, subject
from orchbridge.core.walk import Walk


def questions_of(track: Track, tasks: Tasks, walk: Walk, now: float) -> Iterator[Question]:
    """Yield what a job leaves to be asked, its task's metadata first: nothing is said before that is known."""
    if track.job is not None and track.due <= now:
        metadata = tasks.question(track.job, now)
        if metadata is not None:
            yield metadata
        if tasks.of(track.job) is None:
            return
    yield from questions(track, now, min(NODES_PAGE, walk.most or NODES_PAGE))


def fold_answer(work: Work, reply: Reply) -> None:
    """Fold an answer about one job or task; one about an earlier history of the server is passed over."""
    question, answer = reply.question, reply.answer
    work.slow = tuple(slow for slow in work.slow if subject(slow) != subject(question))
    if not work.valid(reply):
        return  # the answer may be about another job of the same id
    if isinstance(question, TaskMetadata) and isinstance(answer, TaskMeta | Trouble):
        for id_ in fold_task(work, question, answer):
            settle(work, id_)
    elif isinstance(question, JobDetail):
        fold_detail(work, question, answer if isinstance(answer, Job | Trouble) else Trouble("malformed", "not a job"))
        settle(work, question.job)
    elif isinstance(question, JobEvents | JobNodes):
        track = work.tracks.get(question.job)
        page = None if track is None else page_of(work, track, reply)
        if track is None or page is None:
            return
        if isinstance(question, JobEvents):
            fold_events(work, track, reply, page)
        else:
            fold_nodes(work, track, question, page)
        settle(work, question.job)
