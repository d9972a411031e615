"""Folding what is asked about a single job: its page, its nodes, its task's metadata, and failures to get them."""

from __future__ import annotations

from orchbridge.core.facts import Job, NodeRow, Odd, TaskMeta
from orchbridge.core.gaps import found, not_found
from orchbridge.core.head import Anchor
from orchbridge.core.jobs.settle import pruned, unreadable
from orchbridge.core.jobs.track import Track, replace, with_facts
from orchbridge.core.jobs.work import Work
from orchbridge.core.normalize.quarantine import aside_record, unsaid, within
from orchbridge.core.pace import backoff
from orchbridge.core.questions import JobDetail, JobEvents, JobNodes, Page, Reply, TaskMetadata, Trouble
from orchbridge.core.trouble import ABSENT_MAX, BLOCKED_RETRY_S, FAILURES_MAX, LARGE_RETRY_S, Count, Standing, decide


def fold_detail(work: Work, question: JobDetail, answer: Job | Trouble) -> None:
    """Fold a job's own page: news of a tracked job, or what a gap turned out to be."""
    track = work.tracks.get(question.job)
    if track is not None:
        track = replace(track, looked_at=work.now)
        if isinstance(answer, Job) and track.job is not None and anchor_of(track.job).contradicts(anchor_of(answer)):
            _another(work, track, answer)
        elif isinstance(answer, Job):
            due = track.due if track.blocked else 0.0  # its page may be readable where its events are not
            track = with_facts(replace(track, misses=0, count=Count(), strangers=0, due=due), answer, work.now)
            work.put(replace(track, detail=answer, read=(answer.state, answer.stamp), misread=0))
        elif answer.kind in {"malformed", "invalid"} and track.job is not None and track.misread + 1 >= FAILURES_MAX:
            _without_page(work, track, track.job, answer)
        else:
            track = replace(track, misread=track.misread + (answer.kind in {"malformed", "invalid"}))
            fold_trouble(work, track, f"job {track.id}", answer)
        return
    if question.job not in work.walk.gaps:
        return
    if isinstance(answer, Job):
        work.walk = found(work.walk, question.job)
        work.take_up_jobs()
        fold_detail(work, question, answer)
    elif answer.kind in {"missing", "absent"}:
        looks = 2 if answer.kind == "missing" else ABSENT_MAX
        work.walk, happenings = not_found(work.walk, question.job, work.now, looks=looks)
        work.happened(happenings)
    else:
        work.troubles.append((f"job {question.job}", answer))
        work.gap_unreadable(question.job, answer, "job", FAILURES_MAX)


def _without_page(work: Work, track: Track, job: Job, trouble: Trouble) -> None:
    """The job's own page cannot be understood, time after time: what the list tells of it has to do."""
    memo = track.memo
    work.troubles.append((f"job {track.id}", trouble))
    if not memo.told:
        told = (
            f"the page of job {track.id} cannot be understood: {trouble.explanation}; its states are those of the list"
        )
        work.tell("parked", f"job-{track.id}", explanation=told, action="look at the job in the console")
        memo = replace(memo, told=True)
    work.put(replace(track, memo=memo, detail=job, read=(job.state, job.stamp), misread=0))


def _another(work: Work, track: Track, job: Job) -> None:
    """The job's page tells of another job than the list: the list decides, unless both keep to their word."""
    if track.strangers + 1 < ABSENT_MAX:
        pause = backoff(f"{work.settings.name}/{track.id}", track.strangers + 1)
        work.walk = replace(work.walk, due=min(work.walk.due, work.now + pause / 2))
        work.put(replace(track, strangers=track.strangers + 1, due=work.now + pause))
        return
    track = with_facts(replace(track, strangers=0, due=0.0), job, work.now)
    work.put(replace(track, detail=job, read=(job.state, job.stamp)))


def anchor_of(job: Job) -> Anchor:
    """Return what must stay true of the job for as long as the server's history is the same."""
    return Anchor(job.id, job.created, job.owner.id)


def fold_nodes(work: Work, track: Track, question: JobNodes, page: Page) -> None:
    """Fold one page of a job's nodes; the list is whole when the job's own count is reached or nothing new comes."""
    if question.offset != len(track.rows):
        return
    track = _odd_nodes(work, track, [item for item in page.items if isinstance(item, Odd)])
    known = {row.name for row in track.rows}
    new = tuple(item for item in page.items if isinstance(item, NodeRow) and item.name not in known)
    rows = track.rows + new
    count = track.job.node_count if track.job is not None else None
    done = not new or (count is not None and len(rows) >= count)
    work.put(replace(track, rows=rows, rows_done=done, count=Count(), misread=0, due=0.0))


def _odd_nodes(work: Work, track: Track, odds: list[Odd]) -> Track:
    """Quarantine rows that are none, once; the certificate will say that a node could not be listed."""
    memo = track.memo
    for odd in odds:
        work.troubles.append((f"a node of job {track.id}", Trouble("malformed", odd.reason)))
    if odds and track.context is not None:
        place = within(track.context, "row")
        for aside in unsaid(place, odds, memo.odd, "row/"):
            work.records.append(aside_record(place, aside, work.observed))
            memo = replace(memo, odd=(*memo.odd, f"row/{aside.name}"))
    return replace(track, memo=memo)


def fold_task(work: Work, question: TaskMetadata, answer: TaskMeta | Trouble) -> tuple[int, ...]:
    """Fold a task's metadata; return the jobs that waited for it."""
    work.tasks = work.tasks.after(question, answer, work.now)
    if isinstance(answer, Trouble) and answer.kind not in {"missing", "absent"}:
        work.troubles.append((f"metadata of task {question.task}", answer))
    waiting = []
    for track in tuple(work.tracks.values()):
        if track.job is None or track.job.task != question.task:
            continue
        if track.context is None:
            waiting.append(track.id)
        elif track.context.unknown and isinstance(answer, TaskMeta):
            work.put(replace(track, read=None))  # its page has what its secrets are found in: look anew
    return tuple(waiting)


def fold_trouble(work: Work, track: Track, subject: str, trouble: Trouble) -> None:
    """One sick job: wait, or give it up for now; the others go on."""
    now = work.now
    if trouble.kind == "missing" and now < track.due:
        return  # questions asked together miss together: that counts once
    if trouble.kind != "missing":
        work.troubles.append((subject, trouble))
        work.slow_down(trouble)
    standing = Standing(
        misses=track.misses,
        failures=track.count.failures,
        hopeless=max(track.count.hopeless, track.misread - 1),  # the job's events may be readable all the while
        absent=track.count.absent,
        shown=_shown(work, track),
        expired=not track.open and now >= track.memo.certified + work.settings.late_window_s,
        patience=FAILURES_MAX,
        listed=True,
    )
    match decide(trouble, standing):
        case "miss":
            misses = track.misses + (not standing.shown)
            work.put(replace(track, misses=misses, due=now + work.settings.poll_s / 2))
        case "gone":
            pruned(work, track)
        case "drop":
            work.drop(track.id)
        case "block":
            _block(work, track, trouble)
        case "again":
            if now < track.due:
                work.put(track)  # questions asked together fail together: that counts once
                return
            count = track.count.after(trouble)
            pause = trouble.retry_after_s or backoff(f"{work.settings.name}/{track.id}", count.failures)
            work.put(replace(track, count=count, due=now + pause))


def _shown(work: Work, track: Track) -> bool:
    """Whether the newest list shows the job; of history there is no newer list."""
    return not work.settings.run and work.walk.listed_at > 0 and track.seen_at >= work.walk.listed_at


def _block(work: Work, track: Track, trouble: Trouble) -> None:
    memo = track.memo
    if not memo.told:
        kind, action = "parked", "give the token's user the permission to view this job"
        if trouble.kind == "oversize":
            kind, action = "oversize", "its events are larger than the bridge reads; look at it in the console"
        elif trouble.kind != "forbidden":
            kind, action = "gap", "look at it in the console; what is delivered of it is not whole"
        work.tell(kind, f"job-{track.id}", explanation=f"job {track.id}: {trouble.explanation}", action=action)
        memo = replace(memo, told=True)
    pause = LARGE_RETRY_S if trouble.kind == "oversize" else BLOCKED_RETRY_S
    track = replace(track, memo=memo, blocked=trouble.kind, due=work.now + pause)
    work.put(track)
    unreadable(work, track)


def page_of(work: Work, track: Track, reply: Reply) -> Page | None:
    """Return the page that an answer about one job holds; a failed or misplaced answer is folded, and None."""
    question, answer = reply.question, reply.answer
    if isinstance(answer, Page):
        return answer
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not what was asked for")
    if isinstance(question, JobNodes) and trouble.kind == "invalid":
        pages = question.offset == 0 or question.offset >= question.limit  # else what it showed was less than a page
        if pages and work.ask_for_less(question.limit):
            return None
    if trouble.kind in {"invalid", "absent"}:
        if isinstance(question, JobEvents) and question.start is not None and question.start == track.reading.resume:
            return Page(())  # behind the last event of a list that was cut, some servers refuse to look
        if isinstance(question, JobNodes) and question.offset:
            return Page(())  # an old server without paging: what it showed was all
    if isinstance(question, JobNodes) and trouble.kind in {"malformed", "invalid"}:
        track = replace(track, misread=track.misread + 1)
    fold_trouble(work, track, f"{type(question).__name__} of job {track.id}", trouble)
    return None
