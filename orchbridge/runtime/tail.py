"""The tail loop: one stream, from its last committed cursor to the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from orchbridge.core.errors import OrchbridgeError, Refused, SinkLost
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Api, Lane, Sink, Stream, Watch
from orchbridge.core.questions import Reply
from orchbridge.runtime.asking import Asking
from orchbridge.runtime.stop import Stop

Failure = TypeVar("Failure", bound=OrchbridgeError)

LOSS_FIRST_S, LOSS_LONGEST_S = 0.5, 15.0
CONTESTS_MAX, CONTEST_S = 3, 60.0  # new claims for the same doubt, before it is left to a person
LOOK_S = 0.5  # how often to see what else there is to ask while an answer that is due is on its way
CLOCK_BACK_S = 2.0  # a smaller step only makes one pause that much longer


class Worker(NamedTuple):
    """What all tails of one process share: who we are, where to, when to stop, who watches, what time it is."""

    name: str
    sink: Sink
    stop: Stop
    watch: Watch
    clock: Callable[[], float]


async def tail(stream: Stream, api: Api, worker: Worker) -> None:
    """Carry one stream into the sink until asked to stop.

    The sink is the only memory. Whatever goes wrong while committing, the state held here is dropped,
    the stream is claimed again and the sink is asked where to resume; so no error path can skip a
    record or deliver it twice.
    """
    losses = 0
    contests: list[float] = []
    stop, watch = worker.stop, worker.watch
    while not stop.asked:
        commits = [0]
        try:
            async with stop.cutting() as begun, worker.sink.claim(stream.id) as lane:  # fence older owners first,
                recall = stream.recall(worker.name)  # then read what they left
                async for document in lane.recall(stream.channels):
                    recall.learn(document)
                state = recall.state()
                begun()
                watch.claimed(stream.id, state)
                await _laps(stream, state, lane, api, worker, commits)
        except* SinkLost as lost:
            losses = 1 if commits[0] else losses + 1
            loss = first(lost)
            contests = _contested(stream, loss, contests, worker.clock())
            pause = backoff(stream.id.name, losses, first_s=LOSS_FIRST_S, longest_s=LOSS_LONGEST_S)
            watch.stumbled(stream.id, loss, pause)
            await stop.rest(pause)


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


async def _laps(stream: Stream, state: object, lane: Lane, api: Api, worker: Worker, commits: list[int]) -> None:
    """Ask, fold, commit, until asked to stop; questions of the next lap travel while this one is committed."""
    stop, watch, clock = worker.stop, worker.watch, worker.clock
    replies: tuple[Reply, ...] = ()
    now = clock()
    async with asyncio.TaskGroup() as group:
        asking = Asking(api, group, clock)
        while not stop.asked:
            now = _onward(now, clock())
            asking.ask(stream.ask(state, now), replies)
            if not replies:
                replies = await asking.some(stream.due(state, now) or LOOK_S, stop)
            if stop.asked or not replies:
                continue
            now = _onward(now, clock())
            batch = stream.fold(state, replies, now)
            for subject, trouble in batch.troubles:
                watch.troubled(stream.id, subject, trouble)
            if not batch.empty:
                asking.ask(stream.ask(batch.state, now), batch.left)
                await lane.commit(batch)  # records and memory, or neither
                commits[0] += 1
                watch.committed(stream.id, batch, clock() - now)
            state, replies = batch.state, batch.left  # moves only once it is true
            watch.lapped(stream.id, batch, now)
        asking.cancel()


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
