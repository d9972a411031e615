"""After an answer: everything about a job that can now be said is said, states first, the certificate last."""

from __future__ import annotations

from orchbridge.core import times
from orchbridge.core.facts import Job, StatusItem
from orchbridge.core.jobs.track import Track, after_certificate, let_go, replace
from orchbridge.core.jobs.work import Work
from orchbridge.core.normalize.certificate import (
    Summary,
    Verdict,
    document_record,
    document_removed,
    judge,
    summary_data,
    summary_record,
)
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.jobs import context, job_name, state_names, state_record, terminal
from orchbridge.core.normalize.secrets import secret_values

CLOCKS_S = 60.0  # how far the server's clock and ours may be apart


def settle(work: Work, id_: int) -> None:
    """Say what is now known of one job: its states, and its certificate once it is due."""
    track = work.tracks.get(id_)
    if track is None or track.job is None:
        return
    track = with_context(work, track)
    if track.context is not None:
        ctx = track.context
        track = _certify(work, _states(work, track, ctx), ctx)
    work.put(track)


def finish(work: Work) -> None:
    """Close the fold: one new document for every job spoken of, and small tracks for certified ones."""
    for id_ in sorted(work.spoken):
        track = work.tracks.get(id_)
        if track is None or track.job is None or track.context is None:
            continue
        memo = replace(track.memo, document=track.memo.document + 1)
        work.records.append(
            document_record(track.context, track.job, track.nodes, track.summary, memo.document, work.observed)
        )
        track = replace(track, memo=memo)
        if track.id <= work.walk.head.high and let_go(track, work.now, work.settings.late_window_s):
            work.drop(track.id)
            continue
        if not track.open and track.summary is not None:
            track = after_certificate(track, work.now, work.settings.late_window_s)
        work.put(track)


def with_context(work: Work, track: Track) -> Track:
    """Work out what must be hidden; nothing of a job is said before that is known."""
    job = track.detail or track.job
    if job is None or (track.context is not None and track.detail is None):
        return track
    known = work.tasks.of(job)
    if known is None:
        return track
    rules = work.settings.origin.rules
    names = frozenset(job.sensitive) | (known.names or frozenset())
    unknown = known.names is None and rules.unknown_task == "redact"
    secrets = secret_values(job.raw, rules, names) if job.raw else ()
    made = context(job, work.settings.origin, f"e{track.memo.epoch}", names, secrets, unknown)
    return replace(track, context=made)


def _states(work: Work, track: Track, ctx: Context) -> Track:
    """Say every state the job went through that was not said yet, in order."""
    job = track.detail
    if job is None:
        return track
    status = job.status or _observed(job, track)
    names = state_names(status)
    if job.state not in {item.state for item in status}:  # a status list behind its own job
        status, names = (*status, StatusItem(job.state, job.stamp)), (*names, job.state)
    said = track.memo.states
    previous: str | None = None
    for item, name in zip(status, names, strict=True):
        if name not in said:
            work.records.append(state_record(ctx, job, item, name, previous, work.observed))
            work.spoken.add(track.id)
            said = (*said, name)
        previous = item.state
    memo = track.memo if said is track.memo.states else replace(track.memo, states=said)
    return replace(track, memo=memo, detail=None)


def _observed(job: Job, track: Track) -> tuple[StatusItem, ...]:
    """Servers without a status list: the states we saw ourselves, without the time of their entry."""
    earlier = tuple(StatusItem(name.split("/")[0]) for name in track.memo.states)
    if earlier and earlier[-1].state == job.state:
        return earlier
    return (*earlier, StatusItem(job.state))


def _certify(work: Work, track: Track, ctx: Context) -> Track:
    """Issue the certificate once everything is there, or once it has been waited for long enough."""
    job, memo = track.job, track.memo
    if job is None or not terminal(job) or not track.open or not memo.ended:
        return track
    if not track.rows_done or not track.reading.whole or track.reading.resume is not None:
        return track
    if track.reading.done_at < memo.ended or track.unsaid:
        return track
    unlisted = max(0, (job.node_count or 0) - len(track.rows))
    verdict = judge(track.rows, track.nodes, closed=memo.closed, unlisted=unlisted)
    patient = work.now < memo.ended + work.settings.grace_s - 2 * work.settings.poll_s
    lacking = not verdict.complete
    if work.settings.run and _long_over(job, work):
        lacking = lacking or not _all_began(track)
        patient = patient and not track.missing  # a second look is enough where nothing can be on its way any more
    elif work.settings.run:  # history is let go once certified: what it lacks comes now or never
        lacking = lacking or not memo.closed or not _all_began(track)
    if lacking and patient and not memo.certified:
        again = replace(track.reading, due=work.now + work.settings.poll_s / 2)
        if unlisted:
            track = replace(track, rows=(), rows_done=False, due=again.due)
        return replace(track, missing=True, reading=again)
    return _issue(work, track, ctx, verdict)


def _long_over(job: Job, work: Work) -> bool:
    ended = times.seconds(job.finished or job.stamp)
    return ended is not None and work.now - ended > work.settings.grace_s + CLOCKS_S


def _issue(work: Work, track: Track, ctx: Context, verdict: Verdict, *, truncated: bool = False) -> Track:
    memo, readable = track.memo, track.rows_done
    revision = memo.revision + 1
    parts = Summary(verdict, revision, memo.events, track.rows if readable else None, truncated)
    fields = summary_data(track.job, parts)
    work.records.append(summary_record(ctx, track.job, fields, work.observed))
    work.spoken.add(track.id)
    whole = readable and verdict.complete and memo.closed and _all_began(track)
    memo = replace(
        memo, revision=revision, complete=verdict.complete, certified=work.now, counted=len(memo.events), whole=whole
    )
    return replace(track, memo=memo, missing=False, summary=fields)


def _all_began(track: Track) -> bool:
    return all(row.name in track.began for row in track.rows if row.state in {"running", "finished", "failed"})


def pruned(work: Work, track: Track) -> None:
    """The server forgot the job while we followed it: certify what there is, as truncated, and let go."""
    if work.settings.run and track.job is None and not track.memo.states:
        work.unread.add(track.id)  # history that was gone before we came: nobody was told of it
        work.drop(track.id)
        return
    ctx = track.context or _bare(work, track)
    if track.open:
        verdict = Verdict(False, (), ("the job was pruned on the server before it was read to its end",))
        track = _issue(work, replace(track, rows_done=False), ctx, verdict, truncated=True)
    work.records.append(document_removed(ctx, track.memo.document + 1, work.observed))
    work.drop(track.id)


def unreadable(work: Work, track: Track) -> None:
    """The job cannot be read (forbidden, too large): certify it as incomplete once it is over."""
    if not track.blocked or track.memo.certified:
        return
    over = track.memo.ended if track.job is not None else work.settings.run  # history was over before we came
    if not over:
        return
    ctx = track.context or _bare(work, track)
    verdict = Verdict(False, (), (f"it could not be read: {track.blocked}",))
    track = _issue(work, replace(track, rows_done=False), ctx, verdict)
    work.put(replace(track, context=ctx))


def _bare(work: Work, track: Track) -> Context:
    job = track.job or Job(track.id, "unknown", b"{}")
    return context(job, work.settings.origin, f"e{track.memo.epoch}", frozenset(), (), True)


def label(job: Job | None) -> str:
    """Return a short name for lists of jobs."""
    return job_name(job) if job is not None else ""
