"""Every stream with its own fate: what ends one tail usually means nothing to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orchbridge.core.errors import Corrupt, Denied, Fenced, OrchbridgeError, Refused, SinkLost
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Api, Stream, StreamId
from orchbridge.runtime.shards import carry_shares
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker, first, tail

LOOK_AGAIN_S = 2.0  # how often a parked stream looks at its token and certificate files
REFUSED_RETRY_S = 60.0


class Feed(NamedTuple):
    """One stream and the orchestrator that answers it."""

    stream: Stream
    api: Api


async def carry_all(feeds: Sequence[Feed], worker: Worker) -> None:
    """Carry all streams until asked to stop; raise Refused where the sink's topics are wrong from the start."""
    if not await _opened(feeds, worker):
        return
    by_id = {feed.stream.id: feed for feed in feeds}

    async def carrying(id_: StreamId, term: Stop) -> Fenced | None:
        return await carry(by_id[id_], worker._replace(stop=term))

    async with worker.sink.join(list(by_id), worker.name) as group:
        await carry_shares(list(by_id), group, worker.stop, worker.watch, carrying)


async def _opened(feeds: Sequence[Feed], worker: Worker) -> bool:
    """Open the sink, however long it is away; return False where we were asked to stop meanwhile."""
    ids = [feed.stream.id for feed in feeds]
    losses = 0
    while not worker.stop.asked:
        for id_ in ids:
            worker.trail.begin(id_, "claim")
        try:
            async with worker.stop.cutting():
                await worker.sink.open(ids)
                return True
        except SinkLost as loss:
            losses += 1
            pause = backoff("sink", losses, longest_s=15.0)
            for id_ in ids:
                worker.watch.stumbled(id_, loss, pause)
                worker.trail.begin(id_, "rest", pause)
            await worker.stop.rest(pause)
        finally:
            for id_ in ids:
                worker.trail.end(id_)
    return False


async def carry(feed: Feed, worker: Worker) -> Fenced | None:
    """Carry one stream to its end, if it has one, or until asked to stop; park it while only a person can help.

    Return Fenced where a newer owner was met: then it is for the group to say whether the stream is still ours.
    """
    id_ = feed.stream.id
    while not worker.stop.asked:
        refusal: OrchbridgeError | None = None
        fenced: Fenced | None = None
        try:
            await tail(feed.stream, feed.api, worker)
        except* Fenced as found:
            fenced = first(found)
        except* (Denied, Refused, Corrupt) as found:
            refusal = first(found)
        if fenced is not None:
            if not worker.stop.asked:  # else it was given away, which is no surprise to anybody
                worker.watch.released(id_, str(fenced))
            return fenced
        if refusal is None:
            break
        worker.watch.parked(id_, refusal)
        await _parked(feed, worker, refusal)
        if not worker.stop.asked:
            worker.watch.resumed(id_)
    return None


async def _parked(feed: Feed, worker: Worker, refusal: OrchbridgeError) -> None:
    """Wait until it is worth trying again: a file of ours changed, or the sink's side may have."""
    if not isinstance(refusal, Denied):
        await worker.stop.rest(REFUSED_RETRY_S)
        return
    while not worker.stop.asked and not feed.api.changed():
        await worker.stop.rest(LOOK_AGAIN_S)
