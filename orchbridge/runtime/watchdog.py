"""Watchdogs: what hangs in this process is told; what others keep us waiting for never is.

Every await of a tail has a bound of its own. What has not returned long after its bound is ours: nobody's
absence can explain it. A broker or an orchestrator that is away ends within the bound, as a value or SinkLost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from orchbridge.core.alarms import Alarm, Alarms
from orchbridge.core.ports import StreamId
from orchbridge.runtime.stillness import BLOCKED_S, TICK_S, guarding
from orchbridge.runtime.trail import Out, Step, Trail, stack

PATIENCE_S = 60.0  # beyond the bound; at least as much again as the bound itself
WAIT_S = 1.0
QUESTION_S = 3_600.0  # an answer that is a trickle of many megabytes takes minutes, and others stand in line behind it
OVERTAKEN = 100  # answers that a question of the same stream can wait for; the line is served in order


class Bounds(NamedTuple):
    """How long a sink's own limits let each step take, in seconds; None where it may wait for ever."""

    claim_s: float | None = None
    recall_s: float | None = None  # from one document to the next
    commit_s: float | None = None

    def of(self, step: Step) -> float | None:
        """Return how long a step may take by itself."""
        match step.doing:
            case "claim":
                return self.claim_s
            case "recall":
                return self.recall_s
            case "commit":
                return self.commit_s
            case _:
                return None if step.own_s is None else step.own_s + WAIT_S


def judge(trail: Trail, bounds: Bounds) -> Iterator[tuple[Alarm, Step]]:
    """Yield what hangs now, each with where: at most one step and one question of each stream."""
    now = trail.now
    for stream, step in trail.steps.items():
        own_s = bounds.of(step)
        if own_s is not None and now - step.since > own_s + max(PATIENCE_S, own_s):
            reason = f"{stream.name}: its {step.doing} does not return, though nothing can keep it for {own_s:.0f} s"
            yield Alarm("commit" if step.doing == "commit" else "task", stream.name, reason), step
    oldest: dict[StreamId, Out] = {}
    for (stream, _), out in trail.questions.items():
        oldest.setdefault(stream, out)  # they stand in the order asked
    for stream, out in oldest.items():
        if now - out.step.since > QUESTION_S and (_overtaken(trail, stream, out) or _silent(trail, stream)):
            reason = f"{stream.name}: a question was asked more than {QUESTION_S:.0f} s ago and did not even fail"
            yield Alarm("question", stream.name, reason), out.step


def _overtaken(trail: Trail, stream: StreamId, out: Out) -> bool:
    return trail.answers[stream] - out.answers > OVERTAKEN


def _silent(trail: Trail, stream: StreamId) -> bool:
    """Whether nothing the source was asked came back, not even as a failure."""
    return trail.now - trail.answered_at.get(stream.source, 0.0) > QUESTION_S


class Watchdog:
    """Says once what hangs, and once that it moves again."""

    def __init__(self, trail: Trail, bounds: Bounds, alarms: Alarms) -> None:
        self._trail, self._bounds, self._alarms = trail, bounds, alarms
        self._barked: dict[tuple[str, str], Alarm] = {}

    def look(self) -> None:
        """Judge this moment."""
        found = {(alarm.kind, alarm.subject): (alarm, step) for alarm, step in judge(self._trail, self._bounds)}
        for key in self._barked.keys() - found.keys():
            self._alarms.cleared(self._barked.pop(key))
        for key in found.keys() - self._barked.keys():
            alarm, step = found[key]
            self._barked[key] = alarm
            self._alarms.told(alarm, () if step.task is None else stack(step.task))
            self._alarms.raised(alarm)


async def turn(trail: Trail, dog: Watchdog, tick_s: float = TICK_S) -> None:
    """Move the trail's time on for as long as the loop turns, and look at every turn."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    while True:
        await asyncio.sleep(tick_s)
        now = loop.time()
        trail.now += min(now - before, 2 * tick_s)  # more only where nothing of ours could have moved either
        trail.turns += 1
        before = now
        dog.look()


@contextlib.asynccontextmanager
async def watching(
    trail: Trail, bounds: Bounds, alarms: Alarms, *, blocked_s: float = BLOCKED_S
) -> AsyncIterator[None]:
    """Watch the tails and the loop itself while the block runs."""
    group = await asyncio.TaskGroup().__aenter__()
    turning = group.create_task(
        turn(trail, Watchdog(trail, bounds, alarms), min(TICK_S, blocked_s / 4)), name="watchdog"
    )
    try:
        with guarding(trail, alarms, blocked_s):
            yield
    finally:
        # By hand, so that what the block raises stays what it is.
        turning.cancel()
        await group.__aexit__(None, None, None)
