"""The plans stream's state between two folds, and how one plan's answers become records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from orchbridge.core import times
from orchbridge.core.draft import Draft
from orchbridge.core.facts import Odd, PlanEvent
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.plans import context, event_record, state_record, terminal
from orchbridge.core.normalize.quarantine import MORE, NAMES_MAX, aside_record, digest_name, others, unsaid, within
from orchbridge.core.normalize.secrets import secret_values
from orchbridge.core.plans.track import Track, needs_whole, replace
from orchbridge.core.questions import Page, PlanEvents, Question, Reply
from orchbridge.core.reading import after
from orchbridge.core.trouble import Count
from orchbridge.core.walk import Start, Walk

PATIENCE = 43_200  # nothing hints at a running plan's events: ask every tick, for a day at the usual pace
LONG_AGO_S = 3_600.0
CLOCKS_S = 60.0  # how far the server's clock and ours may be apart
SWEEPS_S = (5.0, 30.0, 120.0)


class PlansState(msgspec.Struct, frozen=True):
    """A plans stream between two folds.

    `start` is None until it is known when "job:N" was; `slow` as in the jobs stream.
    """

    walk: Walk
    start: Start | None
    tracks: Mapping[int, Track] = {}
    slow: tuple[Question, ...] = ()


Work = Draft[Track]


def with_context(work: Work, track: Track) -> Track:
    """Work out what must be hidden."""
    plan = track.plan
    if plan is None or (track.context is not None and track.detail is None):
        return track
    names = frozenset(plan.sensitive)
    secrets = secret_values(plan.raw, work.settings.origin.rules, names) if plan.raw else ()
    return replace(track, context=context(plan, work.settings.origin, f"e{track.memo.epoch}", names, secrets))


def fold_events(work: Work, track: Track, reply: Reply, page: Page) -> None:
    """Hold the fresh events of an answer and deliver them as far as their texts are whole."""
    track = with_context(work, track)
    ctx = track.context
    if ctx is None:
        return  # asked again once the plan is known
    events = [item for item in page.items if isinstance(item, PlanEvent) and (item.id is None or item.id > 0)]
    numbered = sorted((event for event in events if event.id is not None), key=lambda event: event.id or 0)
    fresh = set(track.memo.events.fresh([event.id for event in numbered if event.id is not None]))
    held: dict[int | None, PlanEvent] = {}
    for event in numbered:
        if event.id in fresh:
            held.setdefault(event.id, event)  # what else claims the id is set aside
    newest = max((event.id or 0 for event in numbered), default=0)
    start = reply.question.start if isinstance(reply.question, PlanEvents) else None
    cut_at = newest if page.cut and newest and newest >= (start or 0) else None  # else its server does not go on
    track = _quarantine(work, track, ctx, page)
    track, odd_ones = _unnumbered(work, track, ctx, page)
    reading = after(
        track.reading, asked_at=reply.asked_at, now=work.now, newest=newest, fresh=len(held) + len(odd_ones),
        cut_at=cut_at, poll_s=work.settings.poll_s, patience=PATIENCE,
    )  # fmt: skip
    track = replace(track, held=(*held.values(), *odd_ones), reading=reading, misses=0, count=Count(), due=0.0)
    work.put(track)
    deliver(work, track.id)


def _unnumbered(work: Work, track: Track, ctx: Context, page: Page) -> tuple[Track, list[PlanEvent]]:
    """Return the events without an id that were not told yet; beyond what is remembered, one aside stands for them."""
    memo, known, alike = track.memo, set(track.memo.odd), Counter[str]()
    fresh = list[PlanEvent]()
    for event in {item.raw: item for item in page.items if isinstance(item, PlanEvent) and item.id is None}.values():
        name = event_name(ctx, event, ())
        alike[name] += 1
        if _copy(name, alike[name]) not in known:
            fresh.append(event)
    room = max(0, NAMES_MAX - len(known))
    if len(fresh) > room and MORE not in known:
        aside = others("are events without an id")
        work.records.append(aside_record(within(ctx, "event"), aside, work.observed))
        track = replace(track, memo=replace(memo, odd=(*memo.odd, aside.name)))
    return track, fresh[:room]


def _copy(name: str, copies: int) -> str:
    return name if copies == 1 else f"{name}-{copies}"


def event_name(ctx: Context, event: PlanEvent, said: tuple[str, ...]) -> str:
    """Return the event's id, or the digest of its redacted content where the server gave none.

    Those that look alike, but for their secrets, follow one another as `-2` and on; `said` are the names in use.
    """
    if event.id is not None:
        return str(event.id)
    name, copies = digest_name(ctx.redacted(event.raw, "", [])), 1
    while _copy(name, copies) in said:
        copies += 1
    return _copy(name, copies)


def deliver(work: Work, id_: int) -> None:
    """Deliver what is held, in order, up to the first event whose whole text is still to come."""
    track = work.tracks[id_]
    ctx, memo, held = track.context, track.memo, list(track.held)
    if ctx is None:
        return
    newest = memo.events.max if len(memo.events) else 0
    ids: list[int] = []
    odd = memo.odd
    while held and not work.full:
        event, cut = held[0], False
        if event.id is not None and needs_whole(event):
            if event.id not in track.texts:
                break
            cut = track.texts[event.id] is None
            event = track.texts[event.id] or event
        name = event_name(ctx, event, odd)
        late = event.id is not None and event.id < newest
        work.records.append(event_record(ctx, event, name, work.observed, late=late, cut=cut))
        work.weight += len(event.raw)
        if event.id is not None:
            ids.append(event.id)
        else:
            odd = (*odd, name)
        held.pop(0)
    if ids or odd is not memo.odd:
        memo = replace(memo, events=memo.events.plus(ids), odd=odd)
    texts = track.texts if held else {}
    work.put(replace(track, memo=memo, held=tuple(held), texts=texts))


def deliver_held(work: Work) -> None:
    """Deliver of all plans what is held and whole, as far as the batch has room."""
    for track in tuple(work.tracks.values()):
        if track.held and not work.full:
            deliver(work, track.id)


def _quarantine(work: Work, track: Track, ctx: Context, page: Page) -> Track:
    """Set aside what could not be understood, and what claims the id of another event, once."""
    odds, first = list[Odd](), dict[int, PlanEvent]()
    for item in page.items:
        if isinstance(item, Odd):
            odds.append(item)
        elif isinstance(item, PlanEvent) and item.id is not None:
            if item.id <= 0:
                odds.append(Odd(item.raw, "an event without a usable id"))
            elif first.setdefault(item.id, item).raw != item.raw:
                odds.append(Odd(item.raw, f"another event says that it has the id {item.id}"))
    memo, place = track.memo, within(ctx, "event")
    for aside in unsaid(place, odds, memo.odd) if odds else ():
        work.records.append(aside_record(place, aside, work.observed))
        memo = replace(memo, odd=(*memo.odd, aside.name))
    return replace(track, memo=memo)


def settle(work: Work, id_: int) -> None:
    """Say the plan's states, and close it once everything after its end was read."""
    track = work.tracks.get(id_)
    if track is None or track.plan is None:
        return
    track = with_context(work, track)
    if track.detail is not None and track.context is not None:
        track = _states(work, track)
    memo, done = track.memo, track.reading
    over = terminal(track.plan) if track.plan is not None else False
    if over and track.open and not track.held and done.whole and done.resume is None and done.done_at >= memo.ended:
        said = track.plan is not None and track.plan.state in memo.states
        old = long_ago(track, work)
        grace = work.now >= memo.ended + work.settings.grace_s - work.settings.poll_s
        if said and old and id_ <= work.walk.head.high:
            work.drop(id_)
            return
        if said and grace:
            track = closed(track, work)
    work.put(track)


def closed(track: Track, work: Work) -> Track:
    """Return the track as it waits for late events: small, with its next sweep set."""
    plan, memo = track.plan, replace(track.memo, closed_at=work.now)
    slim = None if plan is None else replace(plan, raw=b"", result=None)
    return next_sweep(Track(track.id, memo, slim, read=track.read, context=track.context), work)


def long_ago(track: Track, work: Work) -> bool:
    """Whether the plan ended so long ago that no late events are to be waited for."""
    plan = track.plan
    ended = None if plan is None else times.seconds(plan.finished or plan.stamp)
    settings = work.settings
    patience = settings.grace_s + CLOCKS_S if settings.run else settings.late_window_s + LONG_AGO_S
    return ended is not None and work.now - ended > patience


def _states(work: Work, track: Track) -> Track:
    """Say running before any end, as every plan ran; pending only where it was seen."""
    plan, ctx, memo = track.detail, track.context, track.memo
    if plan is None or ctx is None:
        return track
    steps = [(plan.state, plan.created if plan.state == "pending" else plan.stamp)]
    if plan.state == "running":
        steps = [("running", plan.stamp if "pending" in memo.states else plan.created)]
    elif plan.state != "pending":
        steps = [("running", plan.created), (plan.state, plan.finished or plan.stamp)]
    said = memo.states
    for state, entered in steps:
        if state not in said:
            previous = said[-1] if said else None
            work.records.append(state_record(ctx, plan, state, previous, entered, work.observed))
            said = (*said, state)
    return replace(track, memo=memo if said is memo.states else replace(memo, states=said), detail=None)


def next_sweep(track: Track, work: Work) -> Track:
    """Set when late events are looked for next; the last look is when the window ends."""
    memo, window = track.memo, work.settings.late_window_s
    if memo.closed_at > work.now:  # by a clock that was ahead
        memo = replace(memo, closed_at=work.now)
    later = [mark for mark in SWEEPS_S if work.now - memo.closed_at < mark < window]
    return replace(track, memo=memo, sweep_due=memo.closed_at + (later[0] if later else window))
