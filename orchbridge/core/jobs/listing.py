"""Folding the list of jobs: which are new, which moved."""

from __future__ import annotations

from orchbridge.core import times
from orchbridge.core.facts import Job, Odd
from orchbridge.core.head import Anchor
from orchbridge.core.jobs.settle import unreadable
from orchbridge.core.jobs.track import replace, slow_questions, with_facts
from orchbridge.core.jobs.work import Work
from orchbridge.core.normalize.jobs import terminal
from orchbridge.core.pace import backoff
from orchbridge.core.questions import JobsPage, Page, Reply, Trouble
from orchbridge.core.walk import Listed, Seen, fold_page

PAGE_MIN, PAGE_MAX = 50, 200


def fold_list(work: Work, reply: Reply, question: JobsPage) -> None:
    """Fold one page of the list, or the failure to get it."""
    answer = reply.answer
    if not isinstance(answer, Page):
        failed(work, "the list of jobs", answer)
        return
    jobs = {item.id: item for item in answer.items if isinstance(item, Job)}
    for odd in answer.items:
        if isinstance(odd, Odd):  # its id stays a gap, is looked up and ends in a notice
            work.troubles.append(("an item of the list of jobs", Trouble("malformed", odd.reason)))
    seen = [
        Seen(Anchor(job.id, job.created, job.owner.id), not terminal(job), times.seconds(job.created))
        for job in jobs.values()
    ]
    page = Listed(question.offset, seen, answer.total, answer.paged)
    settings = work.settings
    work.walk, happenings = fold_page(
        work.walk, page, settings.start, now=work.now, next_due=max(reply.asked_at + settings.poll_s, work.now)
    )
    work.happened(happenings)
    if not work.walk.trusted:
        return
    if work.walk.scan is None:
        work.take_up()
    for job in jobs.values():
        track = work.tracks.get(job.id)
        if track is not None and track.open:
            track = with_facts(track, job, work.now)
            work.put(track)
            unreadable(work, track)
    if work.walk.scan is None:
        work.slow = slow_questions(work.tracks.values(), work.tasks, work.walk.listed_at, work.now)


def failed(work: Work, subject: str, answer: object) -> None:
    """Wait before the list is asked again; nothing else is asked meanwhile."""
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a list")
    failures = work.walk.failures + 1
    pause = trouble.retry_after_s or backoff(work.settings.name, failures)
    work.walk = replace(work.walk, scan=None, failures=failures, due=work.now + pause)
    work.troubles.append((subject, trouble))


def page_limit(high: int, oldest_open: int | None) -> int:
    """Return how many jobs to list so that the unfinished ones are among them, within reason."""
    span = 0 if oldest_open is None else high - oldest_open + 10
    return max(PAGE_MIN, span) if span <= PAGE_MAX else PAGE_MIN
