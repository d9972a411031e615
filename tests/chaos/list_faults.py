"""What befalls the lists without events: people at work, entries purged, schedules made, changed, refused, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from tests.chaos.faults import Fault
from tests.chaos.house import House
from tests.chaos.source_faults import turned
from tests.chaos.stage import Stage

REFUSED_S = 3.0  # until an environment that went is there again: a run that was planned in between has failed
DAY_S = 86_400.0

# name -> (what the table says, knobs)
TURNED_LISTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "activity-totals": ("counts of activity told as text", {"activity_totals": "string"}),
    "activity-at-start": ("jobs noted as activity when they begin, not when they end", {"activity": "at-start"}),
}


async def edit(stage: Stage, house: House, chance: Random) -> None:
    """People do what only the activity log tells of, some of it twice within a second."""
    people = await stage.people()
    for _ in range(chance.randint(1, 3)):
        await asyncio.to_thread(people.edit)


async def purge(stage: Stage, house: House, chance: Random) -> None:
    """The oldest entries go, whether anybody read them or not, and people go on."""
    people, oldest = await stage.people(), chance.choice((1, 3, 20, 100))
    await asyncio.to_thread(people.edit)
    await stage.turn("purge", {"oldest": oldest})
    await asyncio.to_thread(people.edit)


async def rewind(stage: Stage, house: House, chance: Random) -> None:
    """The log of a while ago: its newest entries never were, and people go on."""
    people, newest = await stage.people(), chance.randint(1, 6)
    await stage.turn("rewind", {"newest": newest})
    await asyncio.to_thread(people.edit)
    await asyncio.sleep(3.0)


async def plan(stage: Stage, house: House, chance: Random) -> None:
    """One schedule that runs soon, one for another day."""
    people, soon = await stage.people(), chance.uniform(0.5, 4.0)
    await asyncio.to_thread(people.schedule, soon)
    stage.planned.append(await asyncio.to_thread(people.schedule, DAY_S))


async def change(stage: Stage, house: House, chance: Random) -> bool:
    """A schedule is renamed, or switched off for good."""
    if not stage.planned:
        return False
    place, off, name = chance.randrange(len(stage.planned)), chance.random() < 0.4, f"named {chance.random():.6f}"
    changes = {"enabled": False} if off else {"description": name}
    schedule = stage.planned.pop(place) if off else stage.planned[place]
    await asyncio.to_thread(lambda people: people.change(schedule, **changes), await stage.people())
    return True


async def refuse(stage: Stage, house: House, chance: Random) -> None:
    """The environment of a schedule goes before it runs, and comes back later."""
    people = await stage.people()
    await asyncio.to_thread(people.schedule, 1.0, "staging")
    await stage.turn("environments", {"name": "staging", "present": False})
    await asyncio.sleep(REFUSED_S)
    await stage.turn("environments", {"name": "staging", "present": True})


async def skip(stage: Stage, house: House, chance: Random) -> None:
    """The time of a schedule passes, and nothing runs."""
    await stage.turn("knobs", {"scheduler": "skips"})
    await asyncio.to_thread((await stage.people()).schedule, 0.5)
    await asyncio.sleep(1.5)
    await stage.turn("knobs", {"scheduler": "runs"})


LISTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("pe-edit", "PE: people at work, some of it alike within a second", edit),
        Fault("pe-purge", "PE: oldest entries of the activity log purged", purge),
        Fault("pe-rewind", "PE: activity log restored to an earlier state", rewind),
        Fault("pe-plan", "PE: schedules made, of which one runs soon", plan),
        Fault("pe-change", "PE: a schedule changed, or switched off", change),
        Fault("pe-refuse", "PE: a scheduled run that cannot be submitted", refuse),
        Fault("pe-skip", "PE: a scheduled run that does not happen", skip),
        *(Fault(f"pe-{name}", f"PE: {told}", turned(knobs)) for name, (told, knobs) in TURNED_LISTS.items()),
    )
}
