"""Folding what is asked about a single plan, and failures to get it."""

from __future__ import annotations

from orchbridge.core.facts import Plan
from orchbridge.core.gaps import found, not_found
from orchbridge.core.pace import backoff
from orchbridge.core.plans.track import Memo, Track, replace
from orchbridge.core.plans.work import Work, closed, deliver, next_sweep
from orchbridge.core.questions import Answer, PlanDetail, PlanEvents, PlanEventWhole, Question, Trouble
from orchbridge.core.trouble import ABSENT_MAX, BLOCKED_RETRY_S, FAILURES_MAX, HOPELESS, Count, Standing, decide


def take_up(work: Work) -> None:
    ended = [track for track in work.tracks.values() if track.open and (track.memo.ended or track.plan is None)]
    work.take_up(ended, lambda id_: Track(id_, Memo(work.walk.head.epoch), seen_at=work.now))


def gap(work: Work, id_: int, answer: Answer) -> None:
    if isinstance(answer, Plan):
        work.walk = found(work.walk, id_)
        take_up(work)
    elif isinstance(answer, Trouble) and answer.kind in {"missing", "absent"}:
        looks = 2 if answer.kind == "missing" else ABSENT_MAX
        work.walk, happenings = not_found(work.walk, id_, work.now, looks=looks)
        work.happened(happenings)
    else:
        trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a plan")
        work.gap_unreadable(id_, trouble, "plan", FAILURES_MAX)


def trouble(work: Work, track: Track, answer: Answer) -> None:
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not what was asked for")
    now, memo, past = work.now, track.memo, bool(work.settings.run)
    if trouble.kind == "missing" and now < track.due:
        return  # questions asked together miss together: that counts once
    if trouble.kind != "missing":
        work.troubles.append((f"plan {track.id}", trouble))
        work.slow_down(trouble)
    standing = Standing(
        misses=track.misses,
        failures=track.count.failures,
        hopeless=track.count.hopeless,
        absent=track.count.absent,
        shown=not past and work.walk.listed_at > 0 and track.seen_at >= work.walk.listed_at,  # by the newest list
        expired=not track.open and now >= memo.closed_at + work.settings.late_window_s,
        patience=ABSENT_MAX,
        listed=past and track.plan is None,
    )
    count = track.count.after(trouble)
    pause = trouble.retry_after_s or backoff(f"{work.settings.name}/{track.id}", count.failures)
    match decide(trouble, standing):
        case "miss":
            misses = track.misses + (not standing.shown)
            work.put(replace(track, misses=misses, due=now + work.settings.poll_s / 2))
        case "gone":
            _gone(work, track)
        case "drop":
            work.drop(track.id)
        case "block":
            track = _told(work, replace(track, count=count), trouble)
            if track.open and _waited(work, track):
                work.put(closed(track, work))
            else:
                work.put(replace(track, due=now + (pause if memo.ended else BLOCKED_RETRY_S)))
        case "again":
            if now >= track.due:  # those asked together fail together: that counts once
                work.put(replace(track, count=count, due=now + pause))


def _gone(work: Work, track: Track) -> None:
    """The server forgot the plan while we followed it."""
    if work.settings.run and track.plan is None and not track.memo.states:
        work.unread.add(track.id)  # history that was gone before we came: nobody was told of it
    elif track.open:
        work.tell(
            "pruned_unread",
            f"plan-{track.id}",
            explanation=f"plan {track.id} was pruned on the server before it was read to its end",
            action="keep the bridge running, or raise the server's job_prune_threshold",
        )
    work.drop(track.id)


def _waited(work: Work, track: Track) -> bool:
    """Whether what cannot be read was waited for long enough; history was over before we came."""
    ended = track.memo.ended
    return bool(work.settings.run or (ended and work.now >= ended + work.settings.grace_s))


def _told(work: Work, track: Track, trouble: Trouble) -> Track:
    """Say once that a plan cannot be read."""
    if track.memo.told:
        return track
    work.tell(
        "oversize" if trouble.kind == "oversize" else "parked",
        f"plan-{track.id}",
        explanation=f"plan {track.id}: {trouble.explanation}",
        action="see whether this server shows the plan's events, and whether the token's user may view it",
    )
    return replace(track, memo=replace(track.memo, told=True))


def text_trouble(work: Work, track: Track, event: int, answer: Answer) -> None:
    """A whole text that cannot be had (old server, pruned): the cut one must do; else it is tried again."""
    told = answer if isinstance(answer, Trouble) else Trouble("malformed", "not what was asked for")
    if told.kind == "malformed" and track.torn + 1 < ABSENT_MAX:
        if work.now >= track.due:
            work.troubles.append((f"plan {track.id}", told))
            pause = backoff(f"{work.settings.name}/{track.id}", track.torn + 1)
            work.put(replace(track, torn=track.torn + 1, due=work.now + pause))
    elif told.kind in {*HOPELESS, "missing"}:
        work.put(replace(track, texts={**track.texts, event: None}, count=Count(), torn=0))
        deliver(work, track.id)
    elif work.now >= track.due:  # several asked together fail together: that counts once
        trouble(work, track, answer)


def slow_questions(work: Work) -> tuple[Question, ...]:
    """Return this tick's look for late events of a plan that has ended, and one for a plan that left the list."""
    tracks, now = tuple(work.tracks.values()), work.now
    overdue = [t for t in tracks if not t.open and max(t.sweep_due, t.due) <= now]
    unseen = [t for t in tracks if t.open and t.plan is not None and t.seen_at < work.walk.listed_at and t.due <= now]
    asked: list[Question] = []
    if overdue:
        track = min(overdue, key=lambda t: t.sweep_due)
        if track.context is not None and track.unsaid:
            asked.append(PlanDetail(track.id))  # given up before its last state was told
        asked.append(_sweep(track))
    if unseen:
        asked.append(PlanDetail(min(unseen, key=lambda t: max(t.seen_at, t.looked_at)).id))
    return tuple(asked)


def _sweep(track: Track) -> Question:
    return PlanEvents(track.id, track.reading.resume) if track.context is not None else PlanDetail(track.id)


def swept(work: Work, question: Question) -> None:
    """After a look for late events: set the next, or let the plan go."""
    if not isinstance(question, PlanEvents | PlanEventWhole):
        return
    track = work.tracks.get(question.plan)
    if track is None or track.open or track.held or track.reading.resume is not None:
        return
    over = work.now >= track.memo.closed_at + work.settings.late_window_s
    if over and track.id <= work.walk.head.high and not track.unsaid:  # else its page is being asked for, which decides
        work.drop(track.id)
    else:
        work.put(next_sweep(track, work))
