"""A world that outlives its process: what it began as, and every request that changed it.

A world follows from its scenario, seed, knobs and what it was asked and when; so that is all
a state file holds, and to go on means to play it again. One JSON object a line: the head,
then a line for each lasting request, written and synced before its answer is sent. A line
without its end never was: its answer was never sent. Each line says which ids were the last
after it; where playing leads to others, the file is of another program and is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from orchbridge.core.errors import ConfigError
from orchbridge.sim.answers import Ask, Route
from orchbridge.sim.door import House
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.world import World

FORMAT = 1
FRESH = "choose another file, or move this one away"


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a world began as; `start` in Unix seconds."""

    orchbridge_simulator: int
    scenario: str
    seed: int
    start: float
    knobs: dict[str, str]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One lasting request (`route` is method, prefix, template), or without it a time that was reached."""

    at: float
    then: tuple[int, ...]
    route: tuple[str, str, str] | None = None
    path: dict[str, str] = {}
    query: dict[str, str] = {}
    body: Any = None
    user: str = ""
    token: bool = False
    ip: str = ""


def last_ids(world: World) -> tuple[int, ...]:
    """Return what says in a few numbers whether two worlds have had the same story."""
    jobs, plans = (world.job_ids, world.event_ids), (world.plan_ids, world.plan_event_ids)
    others = (world.schedule_ids, world.target_ids)
    counts = (len(world.people.users), len(world.people.tokens), world.activity.written)
    return (*(ids.last for ids in (*jobs, *plans, *others)), *counts)


class State:
    """The state file of one simulator, locked while it is open. Holds what was sent, secrets too: only its
    owner can read it. Raises ConfigError where the file cannot be used."""

    def __init__(self, path: Path, head: Head) -> None:
        self.path = path
        try:
            if not path.exists():
                _create(path, head)
            self._file = path.open("r+b", buffering=0)  # what could not be written must not be tried again
        except OSError as error:
            raise self._broken(error.strerror or str(error), FRESH) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise self._broken("another simulator uses it", "stop that one first, or choose another file") from None
        try:
            self.head, self._entries = self._read()
        except ConfigError:
            self._file.close()
            raise
        self._house: House | None = None
        self._lost: ConfigError | None = None  # why the file does not hold everything

    def world(self) -> World:
        """Return the world as it began."""
        return World(
            self.head.scenario, seed=self.head.seed, knobs=Knobs().turned(self.head.knobs), start=self.head.start
        )

    def resume(self, house: House) -> float:
        """Play everything again, and write down what is asked from now on; return the world seconds it is now."""
        routes = house.routes
        for number, entry in enumerate(self._entries, 2):
            house.world.advance(entry.at)
            if entry.route is not None:
                if entry.route not in routes or entry.user not in house.world.people.users:
                    raise self._broken(f"line {number} asks for what does not exist", FRESH)
                _ask_again(house, routes[entry.route], entry)
            if last_ids(house.world) != entry.then:
                hint = "it is of another release of this program; move it away and begin anew"
                raise self._broken(f"line {number} cannot be played again", hint)
        self._entries = []
        now = house.world.advance(time.time() - house.world.start)  # never back
        for token in house.world.people.tokens.values():
            token.active = now  # nobody could use it meanwhile
        self._house, house.journal = house, self.note
        self._append(Entry(now, last_ids(house.world)))
        return now

    def turn(self, knobs: Mapping[str, str]) -> None:
        """Turn these knobs of the world that goes on, as far as they are not so already."""
        assert self._house is not None
        house = self._house
        changes = {name: value for name, value in knobs.items() if value != getattr(house.world.knobs, name)}
        if changes:
            ask = Ask(house.world, house.world.course.now, {}, {}, "", house.bridge, changes)
            house.ask("/sim", house.routes["POST", "/sim", "knobs"], ask)

    def note(self, prefix: str, route: Route, ask: Ask) -> None:
        """Write down a request that changed the world; it is on the disk when this returns. Raises ConfigError where
        that fails, then and for ever: the file ends before it, and what came after could not be played again."""
        self._append(
            Entry(
                ask.now,
                last_ids(ask.world),
                (route.method, prefix, route.template),
                dict(ask.path),
                dict(ask.query),
                ask.body,
                ask.user.login,
                bool(ask.token),
                ask.ip,
            )
        )

    def close(self) -> None:
        """Write down the time it is, so that it never goes back, and let go of the file. Raises ConfigError where it
        does not hold everything."""
        with self._file:
            if self._house is not None:
                world = self._house.world
                self._house.journal = None
                self._append(Entry(world.course.now, last_ids(world)))

    def _append(self, entry: Entry) -> None:
        if self._lost is not None:
            raise self._lost
        end, left = self._file.seek(0, os.SEEK_END), msgspec.json.encode(entry) + b"\n"
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line would be in the way of nobody, but never was
                os.truncate(self.path, end)
            self._lost = self._broken(f"it cannot be written: {error.strerror}", "make room and start again")
            raise self._lost from error

    def _read(self) -> tuple[Head, list[Entry]]:
        whole = self._file.read()
        text, newline, torn = whole.rpartition(b"\n")
        if torn and newline:
            self._file.truncate(len(whole) - len(torn))
        first, *lines = text.split(b"\n")
        try:
            head = msgspec.json.decode(first, type=Head)
        except msgspec.MsgspecError:
            raise self._broken("it is not a state file of a simulator", FRESH) from None
        if head.orchbridge_simulator != FORMAT:
            raise self._broken(f"its format is {head.orchbridge_simulator}, not {FORMAT}", FRESH)
        return head, list(self._decoded(lines))

    def _decoded(self, lines: list[bytes]) -> Iterator[Entry]:
        decoder = msgspec.json.Decoder(Entry)
        before = 0.0
        for number, line in enumerate(lines, 2):
            try:
                entry = decoder.decode(line)
            except msgspec.MsgspecError:
                raise self._broken(f"line {number} cannot be read", FRESH) from None
            if entry.at < before:
                raise self._broken(f"line {number} is older than the one before it", FRESH)
            before = entry.at
            yield entry

    def _broken(self, what: str, hint: str) -> ConfigError:
        return ConfigError(f"state file {self.path}: {what}", hint=hint)


def begun(path: Path, *, scenario: str | None, seed: int | None, knobs: Mapping[str, str], start: float) -> State:
    """Return the state in this file; where there is none, a new one that begins with these values.

    A scenario or seed that the file contradicts is a ConfigError.
    """
    state = State(path, Head(FORMAT, scenario or "demo", 1 if seed is None else seed, start, dict(knobs)))
    head = state.head
    if scenario not in {None, head.scenario} or seed not in {None, head.seed}:
        state.close()
        raise ConfigError(
            f"state file {path}: it holds {head.scenario} with seed {head.seed}",
            hint="leave --scenario and --seed away, or choose another file",
        )
    return state


def _ask_again(house: House, route: Route, entry: Entry) -> None:
    world = house.world
    user = world.people.users[entry.user]
    token = "kept" if entry.token else ""
    ask = Ask(world, world.course.now, entry.path, entry.query, "", user, entry.body, token=token, ip=entry.ip)
    house.ask(entry.route[1] if entry.route else "", route, ask)


def _create(path: Path, head: Head) -> None:
    draft = path.with_name(f"{path.name}.draft")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a mode
        file.write(msgspec.json.encode(head) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
