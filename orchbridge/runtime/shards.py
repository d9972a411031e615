"""Which streams this worker carries at a time: what is given to us starts, what is given to others stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from orchbridge.core.errors import Fenced
from orchbridge.core.ports import Group, Share, StreamId, Watch
from orchbridge.runtime.stop import Stop

LOOK_AGAIN_S = 300.0  # a stream that is done is given more to do where a person resets the one before it
AGAIN_S = 5.0  # a stream that the group goes on calling ours is claimed again, though a newer owner was met

Carrying: TypeAlias = Callable[[StreamId, Stop], Awaitable[Fenced | None]]


class _Shard:
    """One stream as the group decided last; `decided` counts its decisions, `term` ends what runs under them."""

    def __init__(self) -> None:
        self.owned = False
        self.done = False
        self.reason = ""
        self.decided = 0
        self.again_s: float | None = None
        self.term: Stop | None = None
        self._news = asyncio.Event()

    def decide(self, id_: StreamId, share: Share) -> None:
        """Take in a decision; one that takes the stream away asks what runs to stop."""
        self.owned = id_ in share.owned
        self.again_s = AGAIN_S if share.group else None
        self.decided += 1
        if not self.owned:
            owner = share.owners.get(id_.name)
            self.reason = f"{owner} carries it now" if owner else "no worker carries it now"
            if self.term is not None:
                self.term.ask()
        self.wake()

    def wake(self) -> None:
        self._news.set()

    async def until(self, met: Callable[[], bool], stop: Stop, limit_s: float | None = None) -> None:
        """Return once the condition is met, we are asked to stop, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not met() and not stop.asked:
                    self._news.clear()
                    await self._news.wait()

    async def decided_anew(self, stop: Stop) -> None:
        """Return once the group has decided again, or it is time to ask it whether the stream is still ours."""
        decided = self.decided
        await self.until(lambda: self.decided > decided, stop, self.again_s)


async def carry_shares(streams: Sequence[StreamId], group: Group, stop: Stop, watch: Watch, carrying: Carrying) -> None:
    """Carry each stream while it is ours, until asked to stop or all are done.

    `carrying` carries one stream until its own stop is asked; it returns Fenced where it met a newer owner.
    Streams that are given to us together are claimed at the same time: the memory of one could be held up
    by what a dead owner left open in another.
    """
    shards = {stream: _Shard() for stream in streams}

    def wake() -> None:
        for shard in shards.values():
            shard.wake()

    with stop.telling(wake):
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(_listen(group, shards, watch), name="shares")
            keeping = [tasks.create_task(_keep(id_, shards, stop, watch, carrying), name=id_.name) for id_ in shards]
            if keeping:
                await asyncio.wait(keeping)
            listening.cancel()


async def _listen(group: Group, shards: dict[StreamId, _Shard], watch: Watch) -> None:
    while True:
        share = await group.share()
        watch.shared(share)
        if share.apart is None:
            for id_, shard in shards.items():
                shard.decide(id_, share)


async def _keep(id_: StreamId, shards: Mapping[StreamId, _Shard], stop: Stop, watch: Watch, carrying: Carrying) -> None:
    """Carry one stream whenever it is ours; return when all are done or we are asked to stop."""
    shard = shards[id_]
    while True:
        await shard.until(lambda: shard.owned, stop)
        if stop.asked:
            return
        if not shard.done:
            watch.assigned(id_)
        shard.done = False
        shard.term = term = Stop()
        with stop.telling(term.ask):
            fenced = await carrying(id_, term)
        shard.term = None
        if stop.asked:
            return
        if fenced is not None and shard.owned:
            await shard.decided_anew(stop)
        if not shard.owned:
            watch.revoked(id_, shard.reason)
        elif fenced is None and not term.asked and await _all_done(shard, shards, stop):
            return


async def _all_done(shard: _Shard, shards: Mapping[StreamId, _Shard], stop: Stop) -> bool:
    """Take note that one is done; return True once all are, False when it is time to look at this one again."""

    def all_done() -> bool:
        return all(each.done for each in shards.values())

    shard.done = True
    if all_done():
        for each in shards.values():
            each.wake()
    await shard.until(lambda: all_done() or not shard.owned, stop, LOOK_AGAIN_S)
    return all_done() or stop.asked
