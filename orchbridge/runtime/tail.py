"""The tail loop: one stream, from its last committed cursor to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from orchbridge.core.batch import Batch
from orchbridge.core.errors import OrchbridgeError, Refused, SinkLost
from orchbridge.core.normalize.heartbeats import Claim
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Api, Finite, Lane, Sink, Stream, Watch
from orchbridge.core.questions import Reply, items
from orchbridge.runtime.asking import Asking
from orchbridge.runtime.heart import SILENT, Heart, Hearts
from orchbridge.runtime.stop import Stop, unless_asked
from orchbridge.runtime.trail import UNJUDGED, Trail

Failure = TypeVar("Failure", bound=OrchbridgeError)

LOSS_FIRST_S, LOSS_LONGEST_S = 0.5, 15.0
CONTESTS_MAX, CONTEST_S = 3, 60.0  # new claims for the same doubt, before it is left to a person
WAIT_LONGEST_S = 15.0  # between looks into a memory that another stream has to write to
LOOK_S = 0.5  # how often to see what else there is to ask while an answer that is due is on its way
CLOCK_BACK_S = 2.0  # a smaller step only makes one pause that much longer


class Worker(NamedTuple):
    """What all tails of one process share: who we are, where to, when to stop, who watches, what time it is.

    `trail` is told what each tail is in the middle of, `hearts` say how often it sends heartbeats.
    """

    name: str
    sink: Sink
    stop: Stop
    watch: Watch
    clock: Callable[[], float]
    trail: Trail = UNJUDGED
    hearts: Hearts = SILENT


async def tail(stream: Stream, api: Api, worker: Worker) -> None:
    """Carry one stream into the sink until asked to stop, or until it is done where it is one that ends.

    The sink is the only memory. Whatever goes wrong while committing, the state held here is dropped,
    the stream is claimed again and the sink is asked where to resume; so no error path can skip a
    record or deliver it twice.
    """
    losses = waits = 0
    contests: list[float] = []
    stop, watch, trail = worker.stop, worker.watch, worker.trail
    while not stop.asked:
        commits = [0]
        state: object = None
        number = trail.claim(stream.id)
        try:
            # Fence older owners first, then read what they left.
            async with unless_asked(), stop.cutting() as begun, worker.sink.claim(stream.id) as lane:
                trail.begin(stream.id, "recall")
                recall = stream.recall(worker.name)
                async for document in lane.recall(stream.channels):
                    recall.learn(document)
                    trail.begin(stream.id, "recall")
                state = recall.state()
                begun()
                if not _idle(stream, state):
                    watch.claimed(stream.id, state)
                    heart = Heart(Claim(worker.name, number, stream.id, worker.clock()), worker.hearts)
                    state = await _laps(stream, state, lane, api, worker, heart, commits)
        except* SinkLost as lost:
            losses = 1 if commits[0] else losses + 1
            loss = first(lost)
            contests = _contested(stream, loss, contests, worker.clock())
            pause = backoff(stream.id.name, losses, first_s=LOSS_FIRST_S, longest_s=LOSS_LONGEST_S)
            watch.stumbled(stream.id, loss, pause)
            trail.begin(stream.id, "rest", pause)
            await stop.rest(pause)
        finally:
            trail.end(stream.id)
        if state is None or not isinstance(stream, Finite):
            continue
        if stream.done(state):
            watch.finished(stream.id, state)
            return
        waits = waits + 1 if stream.waits(state) else 0
        if waits:
            watch.waiting(stream.id, state)
            await stop.rest(backoff(stream.id.name, waits, longest_s=WAIT_LONGEST_S))


def _idle(stream: Stream, state: object) -> bool:
    """Whether the stream has come to its end, or cannot begin before another one has written to its memory."""
    return isinstance(stream, Finite) and (stream.done(state) or stream.waits(state))


def _contested(stream: Stream, loss: SinkLost, contests: list[float], now: float) -> list[float]:
    """Return the recent contests; raise Refused where claiming again would only be a fight with another worker."""
    recent = [at for at in contests if now - CONTEST_S < at <= now]
    if not loss.contested:
        return recent
    if len(recent) >= CONTESTS_MAX:
        raise Refused(
            f"{stream.id.name} is contested: it was taken from us {len(recent) + 1} times within a minute",
            hint="does another orchbridge run with the same group and source? stop one of them",
        )
    return [*recent, now]


async def _laps(
    stream: Stream, state: object, lane: Lane, api: Api, worker: Worker, heart: Heart, commits: list[int]
) -> object:
    """Ask, fold, commit, until asked to stop or idle; questions of the next lap travel while this one is committed.

    Return the state it ended with.
    """
    stop, watch, clock, trail = worker.stop, worker.watch, worker.clock, worker.trail
    replies: tuple[Reply, ...] = ()
    now = clock()
    async with asyncio.TaskGroup() as group:
        asking = Asking(api, group, clock, stream.id, trail)
        while not stop.asked and not _idle(stream, state):
            now = _onward(now, clock())
            asking.ask(stream.ask(state, now), replies)
            if not replies:
                wait_s = min(stream.due(state, now) or LOOK_S, heart.alone_s(now))
                trail.begin(stream.id, "wait", wait_s)
                replies = await asking.some(wait_s, stop)
                watch.read(stream.id, sum(map(items, replies)))
            if stop.asked:
                continue
            now = _onward(now, clock())
            folded = stream.fold(state, replies, now) if replies else Batch((), {}, state)
            batch = heart.within(folded, now)
            lapped, replies = bool(replies), batch.left  # what is folded need not stay while it is committed
            for subject, trouble in batch.troubles:
                watch.troubled(stream.id, subject, trouble)
            if not batch.empty:
                asking.ask(stream.ask(batch.state, now), replies)
                trail.begin(stream.id, "commit")
                await lane.commit(batch)  # records and memory, or neither
                commits[0] += not folded.empty  # a heartbeat that arrives says nothing about what did not
                heart.committed(batch, now)
                watch.committed(stream.id, batch, clock() - now)
            if lapped:
                watch.lapped(stream.id, folded, now)
            state = batch.state  # moves only once it is true
        asking.cancel()
    return state


def _onward(before: float, now: float) -> float:
    """Return the time; raise SinkLost where the clock went back, so that nothing waits for a time long past.

    Whatever the state holds was planned by a clock that was ahead; the memory is read back without it.
    """
    if now < before - CLOCK_BACK_S:
        raise SinkLost(f"the clock went back by {before - now:.0f} s", hint="nothing to do; keep the clock in step")
    return now


def first(group: BaseExceptionGroup[Failure]) -> Failure:
    """Return the first failure of a group that may hold groups."""
    found = group.exceptions[0]
    return first(found) if isinstance(found, BaseExceptionGroup) else found
