"""A replay from its first look to its summary."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence

import click

from orchbridge.cli import wiring
from orchbridge.cli.exits import CHECK_FAILED, CUT, DONE, say
from orchbridge.cli.replay import telling
from orchbridge.cli.replay.carrying import carry, forget, opened
from orchbridge.cli.replay.memory import Memory, memory_of
from orchbridge.cli.replay.patience import Heard, Interrupted, Patience
from orchbridge.cli.replay.survey import Survey, survey
from orchbridge.cli.replay.task import Options, Replay, replay_of
from orchbridge.cli.replay.telling import Leg
from orchbridge.config import Settings
from orchbridge.core.errors import ConfigError, Refused
from orchbridge.core.ports import Api, Sink
from orchbridge.orchestrator.client import Client
from orchbridge.runtime.stop import Stop, obeying_signals


async def replay_history(options: Options, settings: Settings) -> int:
    """Do the replay, or go on with it; return the exit code."""
    replay = replay_of(options, settings)
    if not options.dry_run and not _agreed(replay):
        print("nothing was done")
        return CHECK_FAILED
    stop, onward = Stop(), _Onward(replay)
    patience = Patience(options.patience_s, stop, lambda: f"nothing is lost; go on with: {onward.command()}")
    code = CUT
    with contextlib.suppress(TimeoutError):
        async with obeying_signals(stop), asyncio.TaskGroup() as group:
            watching = group.create_task(patience.watch())
            try:
                async with _ends(replay, patience) as (api, sink):
                    code = await _Play(replay, api, sink, stop, patience, onward).out()
            except Interrupted:
                pass
            finally:
                watching.cancel()
    if code == CUT:
        say(f"replay {replay.id}: interrupted; what was committed stays, go on with: {onward.command()}")
    return code


class _Onward:
    """How to go on: with `--again` until what was remembered of every lane is forgotten, without it from then on."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self.forgotten = not replay.options.again

    def command(self) -> str:
        return self._replay.command(*([] if self.forgotten else ["--again"]))


def _agreed(replay: Replay) -> bool:
    """Whether live consumers may see the records again; raise ConfigError where nobody can be asked."""
    if not replay.into_live or replay.options.yes:
        return True
    told = f"{replay.prefix}.* is where the live records go: consumers will see these again, same ids, marked replay"
    if not sys.stdin.isatty():
        raise ConfigError(told, hint="add --yes if that is wanted, or name another prefix with --to")
    say(told)
    return click.confirm("Do it?", default=False)


@contextlib.asynccontextmanager
async def _ends(replay: Replay, patience: Patience) -> AsyncIterator[tuple[Api, Sink]]:
    """Yield the orchestrator, heard by the patience and asked within its share, and the sink, not opened."""
    async with contextlib.AsyncExitStack() as stack:
        sink = wiring.sink_of(replay.target.sink)
        stack.push_async_callback(sink.close)
        client = await stack.enter_async_context(Client(wiring.access_of(replay.source)))
        yield Heard(client.share(replay.options.share), patience), sink


class _Play:
    """The steps of one replay, each only after the one before it went well."""

    def __init__(self, replay: Replay, api: Api, sink: Sink, stop: Stop, patience: Patience, onward: _Onward) -> None:
        self._replay, self._api, self._sink = replay, api, sink
        self._stop, self._patience, self._onward = stop, patience, onward

    async def out(self) -> int:
        """Look, tell, and unless that is all that is wanted, do it."""
        replay, begun = self._replay, time.monotonic()
        memory = await self._patience.through(self._remembered)
        again = replay.options.again
        kinds = [kind for kind in replay.kinds if again or not memory.over(kind)]
        if not kinds:
            for line in telling.over_already(replay, memory.own):
                print(line)
            return DONE
        legs = [await self._leg(kind, memory) for kind in kinds]
        if not _anything(replay, legs):
            return DONE
        for line in telling.before(replay, legs, self._about_s(legs)):
            print(line, flush=True)
        if replay.options.dry_run:
            return DONE
        await self._patience.through(lambda: opened(replay, self._sink))
        if again:  # all of them before the first is read: an interruption leaves none half wanted
            for leg in legs:
                await self._patience.through(lambda kind=leg.kind: forget(self._sink, replay.stream(kind)))  # type: ignore[misc]
            self._onward.forgotten = True
        tallies = {}
        for leg in legs:
            about_s = self._about_s([leg])
            tallies[leg.kind] = await carry(
                replay, leg, memory, self._api, self._sink, self._stop, self._patience, about_s
            )
        for line in telling.after(replay, legs, tallies, time.monotonic() - begun):
            print(line)
        return DONE

    async def _remembered(self) -> Memory:
        own = await self._sink.kept()
        if not self._replay.elsewhere:
            return memory_of(self._replay, own, own)
        live = wiring.sink_of(self._replay.live.sink)
        try:
            return memory_of(self._replay, await live.kept(), own)
        finally:
            await live.close()

    async def _leg(self, kind: str, memory: Memory) -> Leg:
        replay = self._replay
        live = memory.live.get(kind)
        found = await self._patience.through(lambda: survey(self._api, replay.wanted, kind, live, self._patience))
        head = None if replay.options.again else memory.own.get(kind)
        if head is None:
            return Leg(found, None, len(found.over))
        ahead = sum(1 for id_ in found.over if id_ > head.high) + len(memory.tracked[kind])
        return Leg(found, head, ahead)

    def _about_s(self, legs: Sequence[Leg]) -> float:
        source, share = self._replay.source, self._replay.options.share
        at_once = max(1, int(share * source.concurrency))
        return sum(leg.survey.about_s(leg.ahead, share * source.requests_per_s, at_once) for leg in legs)


def _anything(replay: Replay, legs: Sequence[Leg]) -> bool:
    """Whether there is something to read; raise what is to be said where ids were named that there are not."""
    if any(leg.survey.over or leg.head is not None for leg in legs):
        return True
    if replay.wanted.since is not None:
        print(f"{replay.source.name}: nothing that is over was created in that time; nothing was done")
        return False
    told = "; ".join(_nothing(replay, leg.survey) for leg in legs)
    if all(not leg.survey.reach for leg in legs):
        raise ConfigError(told, hint="name ids that there are")
    raise Refused(f"{told}; nothing was done", hint="name ids that are visible and over")


def _nothing(replay: Replay, found: Survey) -> str:
    what = replay.wanted.words(found.kind)
    if not found.reach:
        return f"there is none of {what} yet: the newest is {found.newest}"
    if found.running:
        return f"of {what} nothing is over yet: {telling.ids(found.running)} still running"
    return f"none of {what} is visible any more: the oldest is {found.lowest}"
