"""Which worker carries which streams: a pure function of what the workers say they can carry and have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from orchbridge.sinks.kafka.packing import cursor_partition

HISTORY = "-backfill"


class Told(msgspec.Struct, frozen=True):
    """What a worker says of itself: the names of streams it is configured with, and of those it was given last.

    `round` is the group's generation when it was given that: what a worker held in an older one, as one
    that slept through the newer ones did, weighs less.
    """

    worker: str = ""
    streams: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()
    round: int = 0


class _Unit(NamedTuple):
    """Streams that go together, because their memory lies in one partition, and who is configured with all of them."""

    streams: tuple[str, ...]
    able: frozenset[str]


def spread(members: Mapping[str, Told]) -> dict[str, tuple[str, ...]]:
    """Return every member's streams: each configured stream exactly once, and only where it is configured.

    A worker keeps what it has as long as that leaves no other with two streams fewer. Streams of one
    partition stay together, unless no worker is configured with all of them. What goes on for ever is shared
    out evenly before the streams that read history and are done one day.
    """
    holders = _holders(members)
    given: dict[_Unit, str] = {}
    for units in _classes(_units(members)):
        _settle(units, members, holders, given)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for unit, member in given.items():
        found[member] += unit.streams
    return {member: tuple(sorted(found[member])) for member in members}


def _classes(units: list[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
    """Return what is to be even by itself, then what fills up: history is read for hours, and idle for years."""
    lasting = [unit for unit in units if not all(stream.endswith(HISTORY) for stream in unit.streams)]
    return lasting, [unit for unit in units if unit not in lasting]


def _settle(
    units: list[_Unit], members: Mapping[str, Told], holders: Mapping[str, str], given: dict[_Unit, str]
) -> None:
    """Add these units to what was given already: who held one keeps it, the others go where there is least."""
    loads: Counter[str] = Counter(dict.fromkeys(members, 0))
    for unit, member in given.items():
        loads[member] += len(unit.streams)
    mine: dict[_Unit, str] = {}
    homeless: list[_Unit] = []
    for unit in units:
        keepers = Counter(holder for stream in unit.streams if (holder := holders.get(stream)) in unit.able)
        if keepers:
            mine[unit] = min(keepers, key=lambda member: (-keepers[member], member))
            loads[mine[unit]] += len(unit.streams)
        else:
            homeless.append(unit)
    held = Counter(holders.values())
    for unit in sorted(homeless, key=_first):
        same = _alike(unit, mine)
        mine[unit] = min(unit.able, key=lambda m: (loads[m], held[m], same[m], members[m].worker, m))
        loads[mine[unit]] += len(unit.streams)
    _level(mine, loads)
    given.update(mine)


def _units(members: Mapping[str, Told]) -> list[_Unit]:
    able: defaultdict[str, set[str]] = defaultdict(set)
    for member, told in members.items():
        for stream in told.streams:
            able[stream].add(member)
    together: defaultdict[int, list[str]] = defaultdict(list)
    for stream in sorted(able):
        together[cursor_partition(stream)].append(stream)
    found = []
    for streams in together.values():
        everybody = frozenset.intersection(*(frozenset(able[stream]) for stream in streams))
        if everybody:
            found.append(_Unit(tuple(streams), everybody))
        else:
            found += [_Unit((stream,), frozenset(able[stream])) for stream in streams]
    return found


def _holders(members: Mapping[str, Told]) -> dict[str, str]:
    """Return who held each stream last, as those say that took part in the newest round."""
    found: dict[str, str] = {}
    for member in sorted(members, key=lambda member: (members[member].round, member)):
        found.update(dict.fromkeys(members[member].owned, member))
    return found


def _alike(unit: _Unit, given: Mapping[_Unit, str]) -> Counter[str]:
    """Return how many streams of the same kinds each member has: those of one kind cost about the same."""
    kinds = {_kind(stream) for stream in unit.streams}
    return Counter(member for other, member in given.items() for stream in other.streams if _kind(stream) in kinds)


def _first(unit: _Unit) -> tuple[object, ...]:
    """What is hardest to place comes first, and streams of one kind one after the other."""
    return -len(unit.streams), len(unit.able), *map(_kind, unit.streams), unit.streams


def _kind(stream: str) -> str:
    return stream.partition("/")[2]


def _level(given: dict[_Unit, str], loads: Counter[str]) -> None:
    """Move single units from who has more to who has less, as long as that makes them more alike."""
    while True:
        best = None
        for unit, giver in given.items():
            taker = min(unit.able, key=lambda member: (loads[member], member))
            gain = loads[giver] - loads[taker] - len(unit.streams)
            if gain <= 0:
                continue
            same = _alike(unit, given)
            rank = (gain, len(unit.streams), same[giver] - same[taker], unit.streams)
            if best is None or rank > best[0]:
                best = (rank, unit, taker)
        if best is None:
            return
        _, unit, taker = best
        loads[given[unit]] -= len(unit.streams)
        loads[taker] += len(unit.streams)
        given[unit] = taker
