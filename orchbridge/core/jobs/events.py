"""Folding a job's events: each delivered once, in order of first visibility."""

from __future__ import annotations

from itertools import pairwise

from orchbridge.core import times
from orchbridge.core.batch import BATCH_RECORDS_MAX
from orchbridge.core.draft import BATCH_BYTES_MAX
from orchbridge.core.facts import JobEvent, Odd
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.settle import with_context
from orchbridge.core.jobs.track import BLIND_PATIENCE, Track, explains, next_sweep, replace
from orchbridge.core.jobs.work import Work
from orchbridge.core.normalize.certificate import FINAL_EVENTS
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.jobs import ENDED, NODE_EVENTS, event_record
from orchbridge.core.normalize.quarantine import aside_record, unsaid, within
from orchbridge.core.pace import backoff
from orchbridge.core.questions import Item, JobEvents, Page, Reply
from orchbridge.core.reading import PATIENCE, after
from orchbridge.core.trouble import Count

DOUBTS_MAX = 4  # answers in a row without events that were there before
FIELD_MAX = 1_000  # of what becomes part of ids and headers; a certname has at most 255 characters


def fold_events(work: Work, track: Track, reply: Reply, page: Page) -> None:
    """Fold one answer of events; what does not fit into the batch is left for the next."""
    track = with_context(work, track)
    context = track.context
    if context is None:
        return  # asked again once the job and its task are known
    events, odds = _sorted_out(page.items)
    delivered = track.memo.events
    fresh = delivered.fresh([event.id for event in events])
    if fresh and not odds and _of_another(work, track, reply, page, events, set(fresh)):
        return
    room = _room(work, events, set(fresh))
    partial = len(fresh) > room
    if partial:
        last = fresh[room - 1]
        rest = tuple(event for event in events if event.id > last)
        events = [event for event in events if event.id <= last]
        fresh = fresh[:room]
        asked = replace(reply.question, start=last + 1)  # what comes before it was heard
        work.left.append(replace(reply, question=asked, answer=replace(page, items=(*rest, *odds))))
    track = _deliver(work, track, context, events, set(fresh))
    if not partial:
        track = _odd_ones(work, track, context, odds)
        reading = after(
            track.reading,
            asked_at=reply.asked_at,
            now=work.now,
            newest=track.memo.events.max if len(track.memo.events) else 0,
            fresh=len(fresh),
            cut_at=_cut_at(reply, page, events),
            poll_s=work.settings.poll_s,
            patience=BLIND_PATIENCE if track.blind else PATIENCE,
        )
        track = replace(track, reading=reading, missing=False if reading.resume is None else track.missing)
    track = replace(
        track, misses=0, count=Count(), doubts=0, due=0.0, blocked="", explained=explains(track.job, track.nodes)
    )
    expired = work.now >= track.memo.certified + work.settings.late_window_s and track.id <= work.walk.head.high
    if track.open or partial or track.reading.resume is not None:
        work.put(track)
    elif expired and not track.unsaid:  # else its page is being asked for, which decides
        work.drop(track.id)
    else:
        work.put(next_sweep(track, work.now, work.settings.late_window_s))


def _of_another(work: Work, track: Track, reply: Reply, page: Page, events: list[JobEvent], fresh: set[int]) -> bool:
    """Whether to wait for the list before believing news without the events that came before.

    Events do not vanish, so this may be another job that was given the id by a restored server, asked
    about before the next list could tell. One of whose predecessor no event was delivered yet cannot
    be told apart: until that list its events count as the predecessor's, and then come again as its own
    in the new epoch. Where the list keeps to its word, the answer is believed in the end.
    """
    start = reply.question.start or 0 if isinstance(reply.question, JobEvents) else 0
    known = sum(event.id >= start and event.id not in fresh for event in events)
    if known >= track.memo.events.between(start, events[-1].id if page.cut else None):
        return False
    if track.doubts + 1 >= DOUBTS_MAX:
        return False
    pause = backoff(f"{work.settings.name}/{track.id}", track.doubts + 1)
    work.walk = replace(work.walk, due=min(work.walk.due, work.now + pause / 2))
    work.put(replace(track, doubts=track.doubts + 1, due=work.now + pause))
    return True


def _room(work: Work, events: list[JobEvent], fresh: set[int]) -> int:
    """Return how many fresh events fit into the batch by number and by size; one always does."""
    room, left, count = BATCH_RECORDS_MAX - len(work.records), BATCH_BYTES_MAX - work.weight, 0
    for event in events:
        if event.id in fresh:
            left -= len(event.raw)
            if count and (count >= room or left < 0):
                break
            count += 1
    return count


def _cut_at(reply: Reply, page: Page, events: list[JobEvent]) -> int | None:
    """Return the last id of a page that was cut; None where it is whole, or where its server does not go on."""
    if not page.cut or not events or not isinstance(reply.question, JobEvents):
        return None
    last = events[-1].id
    return last if reply.question.start is None or last >= reply.question.start else None


def _sorted_out(items: tuple[Item, ...]) -> tuple[list[JobEvent], list[Odd]]:
    """Return the events by id, each id once, and what has no place among them."""
    events, odds = list[JobEvent](), list[Odd]()
    for item in items:
        if isinstance(item, Odd):
            odds.append(item)
        elif isinstance(item, JobEvent):
            reason = _unfit(item)
            if reason:
                odds.append(Odd(item.raw, reason))
            else:
                events.append(item)
    if any(a.id >= b.id for a, b in pairwise(events)):
        events, twice = _each_once(events)
        odds += twice
    return events, odds


def _each_once(events: list[JobEvent]) -> tuple[list[JobEvent], list[Odd]]:
    """Return the first event of each id, and what else claims to be it."""
    first: dict[int, JobEvent] = {}
    twice: list[Odd] = []
    for event in events:
        other = first.setdefault(event.id, event)
        if other.raw != event.raw:
            twice.append(Odd(event.raw, f"another event says that it has the id {event.id}"))
    return [first[id_] for id_ in sorted(first)], twice


def _unfit(event: JobEvent) -> str:
    """Return why the event cannot be carried, "" where it can."""
    if event.id <= 0:
        return "an event without a usable id"
    if len(event.raw) > FIELD_MAX:
        for what, text in (("certname", event.node), ("type", event.type), ("timestamp", event.stamp)):
            if text is not None and len(text) > FIELD_MAX:
                return f"event {event.id} has a {what} of {len(text)} characters"
    return ""


def _deliver(work: Work, track: Track, context: Context, events: list[JobEvent], fresh: set[int]) -> Track:
    """Add the records of the fresh events and learn from all of them where each node stands."""
    memo = track.memo
    newest = memo.events.max if len(memo.events) else 0
    nodes, began = dict(track.nodes), dict(track.began)
    closed = memo.closed
    innocent = context.innocent([event.raw for event in events if event.id in fresh])
    for event in events:
        known = NODE_EVENTS.get(event.type)
        started = None
        if known is not None and event.node is not None:
            result = known[1]
            if result in ENDED:
                nodes[event.node] = result
                started = began.get(event.node)
            else:
                nodes.setdefault(event.node, result)
                at = times.seconds(event.stamp)
                if at is not None:
                    began[event.node] = at
        elif event.type in FINAL_EVENTS:
            closed = True
        if event.id in fresh:
            late = event.id < newest
            work.weight += len(event.raw)
            work.records.append(
                event_record(context, event, work.observed, late=late, began=started, innocent=innocent)
            )
    if fresh:
        work.spoken.add(track.id)
    if fresh or closed != memo.closed:
        memo = replace(memo, events=memo.events.plus(fresh), closed=closed)
    return replace(track, memo=memo, nodes=nodes, began=began)


def _odd_ones(work: Work, track: Track, context: Context, odds: list[Odd]) -> Track:
    """Quarantine what could not be understood, once."""
    if not odds:
        return track
    memo: Memo = track.memo
    place = within(context, "event")
    for aside in unsaid(place, odds, memo.odd):
        work.records.append(aside_record(place, aside, work.observed))
        memo = replace(memo, odd=(*memo.odd, aside.name))
    return replace(track, memo=memo)
