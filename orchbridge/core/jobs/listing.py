"""Folding the list of jobs: which are new, which moved."""

from __future__ import annotations

from orchbridge.core import times
from orchbridge.core.facts import Job
from orchbridge.core.jobs.details import anchor_of
from orchbridge.core.jobs.settle import unreadable
from orchbridge.core.jobs.track import let_go, slow_questions, with_facts
from orchbridge.core.jobs.work import Work
from orchbridge.core.normalize.jobs import terminal
from orchbridge.core.questions import JobEvents, JobsPage, Page, Reply
from orchbridge.core.walk import Seen

PAGE_MIN, PAGE_MAX = 50, 200


def fold_list(work: Work, reply: Reply, question: JobsPage) -> None:
    """Fold one page of the list, or the failure to get it."""
    answer = reply.answer
    if not isinstance(answer, Page):
        work.not_listed(answer, question.limit)
        return
    jobs = {item.id: item for item in answer.items if isinstance(item, Job) and item.id > 0}
    seen = seen_of(answer)
    whole = work.listed(reply, question.offset, question.limit, seen, answer, work.settings.start)
    if not work.walk.trusted:
        return
    if whole:
        work.take_up_jobs()
    for job in jobs.values():
        track = work.tracks.get(job.id)
        if track is not None and track.open:
            track = with_facts(track, job, work.now)
            work.put(track)
            unreadable(work, track)
    if whole:
        for track in tuple(work.tracks.values()):
            if track.id <= work.walk.head.high and let_go(track, work.now, work.settings.late_window_s):
                work.drop(track.id)
        slow = slow_questions(work.tracks.values(), work.tasks, work.walk.listed_at, work.now)
        crowded = question.offset > 0  # so much is new that the list took another page: late looks wait for a tick
        work.slow = tuple(one for one in slow if not (crowded and isinstance(one, JobEvents)))


def seen_of(page: Page) -> list[Seen]:
    """Return what a page tells of each id; what cannot be read is left out."""
    jobs = {item.id: item for item in page.items if isinstance(item, Job) and item.id > 0}
    return [Seen(anchor_of(job), not terminal(job), times.seconds(job.created)) for job in jobs.values()]


def page_limit(high: int, oldest_open: int | None) -> int:
    """Return how many jobs to list so that the unfinished ones are among them, within reason."""
    span = 0 if oldest_open is None else high - oldest_open + 10
    return max(PAGE_MIN, span) if span <= PAGE_MAX else PAGE_MIN
