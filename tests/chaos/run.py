"""One run: a course with a seed, from the first process to the verdict."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.courses import Course, Hand
from tests.chaos.house import House
from tests.chaos.reading import Follower, everything
from tests.chaos.stage import Stage, staged
from tests.chaos.verdict import Delays, Finding, delays, found

BEGIN_S = 90.0
SETTLE_S = 420.0  # after a claim, what came late to jobs that are over is looked for one job a tick
MARGIN_S = 1.0
OVER_S = 600.0  # a run that takes so much longer than its faults hangs: its folder tells why


@dataclass
class Outcome:
    """What one run came to. `faults` counts them, `longest` is the longest delay of an event during one, in seconds."""

    finding: Finding
    faults: dict[str, int]
    longest: dict[str, float]
    times: dict[str, list[float]]
    delay: dict[str, float]
    seconds: float
    settled_s: float
    complaints: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return self.finding.well and not self.complaints


async def run(course: Course, seed: int, seconds: float, folder: Path) -> Outcome:
    """Run a course; faults begin for so many seconds, then everything is put right and judged."""
    begun = time.monotonic()
    name = f"{course.name}-{seed}-"
    async with asyncio.timeout(seconds + OVER_S), staged(course.setting, folder, seed, name) as stage:
        for house in stage.houses:
            if await house.claimed(house.streams, 0.0, BEGIN_S) is None:
                raise RuntimeError(f"{house.name} never began: see {house.workers[0].out}")
        began = time.time()  # what happened earlier waited for our start
        await _strike(stage, course, seed, time.monotonic() + seconds)
        await stage.calm()
        calm = time.monotonic()
        until = stage.truth()[-1]["at"] - MARGIN_S
        for house, follower in zip(stage.houses, stage.followers, strict=True):
            await settled(stage, house, follower, until, calm + SETTLE_S)
        settled_s = time.monotonic() - calm
        await ended(stage)
        total, longest, waits = Finding(), dict[str, float](), Delays()
        for house, follower in zip(stage.houses, stage.followers, strict=True):
            seen = await everything(stage.direct, house.prefix)
            truth = stage.truth()
            total += found(truth, seen, until=until, unreadable=stage.unreadable, services=house.services)
            waited = delays(truth, follower.arrivals, stage.noted, house.name, began)
            waits.all += waited.all
            for fault, wait in waited.during.items():
                longest[fault] = round(max(wait, longest.get(fault, 0.0)), 2)
        counts: dict[str, int] = {}
        for note in stage.noted:
            counts[note.name] = counts.get(note.name, 0) + 1
        return Outcome(
            total, counts, longest, dict(stage.times), waits.summary(), round(time.monotonic() - begun, 1),
            round(settled_s, 1), stage.complaints,
        )  # fmt: skip


async def _strike(stage: Stage, course: Course, seed: int, until: float) -> None:
    """Let every hand do its work; what one of them draws does not depend on how fast the others are."""
    async with asyncio.TaskGroup() as group:
        for number, hand in enumerate(course.hands):
            for house in stage.houses if hand.each else stage.houses[:1]:
                chance = random.Random(f"{seed}/{number}/{house.workers[0].out.name if hand.each else ''}")
                group.create_task(_work(stage, house, hand, chance, until))


async def _work(stage: Stage, house: House, hand: Hand, chance: random.Random, until: float) -> None:
    deck = itertools.chain.from_iterable(chance.sample(hand.faults, len(hand.faults)) for _ in itertools.count())
    while True:
        pause, fault = chance.uniform(*hand.pause_s), next(deck)
        if time.monotonic() + pause > until:
            return
        await asyncio.sleep(pause)
        if hand.each:
            _see_to(stage, house)
        with stage.noting(fault.name, house if hand.each else None) as note:
            note.done = await fault.act(stage, house, random.Random(chance.random())) is not False


def _see_to(stage: Stage, house: House) -> None:
    """Start what ended by itself, which nothing should."""
    for worker in house.workers:
        if worker.died_by_itself:
            stage.complaints.append(f"{worker.out.name}: a worker ended by itself")
            worker.kill()
            worker.start()


async def settled(stage: Stage, house: House, follower: Follower, until: float, ends: float) -> None:
    """Wait until all is there as far as the one who reads along can tell, or the time is over."""
    while time.monotonic() < ends:
        begun = time.monotonic()
        seen = list(follower.seen)  # before the truth: the world goes on meanwhile
        given = {"until": until, "unreadable": set(stage.unreadable), "services": house.services}
        verdict = await asyncio.to_thread(found, stage.truth(), seen, **given)
        if verdict.well:
            return
        await asyncio.sleep(max(0.5, 2 * (time.monotonic() - begun)))


async def ended(stage: Stage) -> None:
    """Ask every worker to end; each has to obey."""
    workers = [worker for house in stage.houses for worker in house.workers]
    for worker in workers:
        if worker.died_by_itself:
            stage.complaints.append(f"{worker.out.name}: a worker ended by itself")
    alive = [worker for worker in workers if worker.alive]
    for complaint in await asyncio.gather(*(worker.end() for worker in alive)):
        stage.complain(complaint)
