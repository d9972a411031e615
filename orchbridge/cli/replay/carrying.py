"""Reading the history onto its own lanes: opening, beginning anew where that is wanted, and the tails."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from rich.console import Console

from orchbridge.cli import wiring
from orchbridge.cli.replay.memory import Memory
from orchbridge.cli.replay.patience import Interrupted, Patience
from orchbridge.cli.replay.showing import shown
from orchbridge.cli.replay.survey import window_of
from orchbridge.cli.replay.tally import Tally
from orchbridge.cli.replay.task import Replay
from orchbridge.cli.replay.telling import Leg
from orchbridge.cli.run import worker_name
from orchbridge.config import Jsonl
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Fenced, Refused
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.plans.window import PlanWindow
from orchbridge.core.ports import Api, Sink, StreamId
from orchbridge.core.settings import StreamSettings
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.tail import Worker, tail

WINDOWS: Mapping[str, type[JobWindow] | type[PlanWindow]] = {"jobs": JobWindow, "plans": PlanWindow}


async def opened(replay: Replay, sink: Sink) -> None:
    """Open the sink for the lanes, creating topics as a bridge does; raise Refused saying what to do."""
    try:
        await sink.open(replay.streams)
    except Refused as refusal:
        if not isinstance(replay.target.sink, Jsonl) or await sink.owner(replay.streams[0]) is None:
            raise
        raise Refused(
            str(refusal),
            hint="stop the bridge while this runs, or give the replay a directory of its own: --directory DIR",
        ) from refusal


async def forget(sink: Sink, stream: StreamId) -> None:
    """Forget everything remembered of a lane."""
    async with sink.claim(stream) as lane:
        keys = [document.key async for document in lane.recall()]
        await lane.commit(Batch((), dict.fromkeys(keys), None))


async def carry(
    replay: Replay, leg: Leg, memory: Memory, api: Api, sink: Sink, stop: Stop, patience: Patience, about_s: float
) -> Tally:
    """Read one kind to its end and return what was done; raise what it was stopped by, Interrupted if by a person."""
    live = memory.live.get(leg.kind)
    window = window_of(replay.wanted, leg.kind, live, leg.survey.newest)
    stream = WINDOWS[leg.kind](_settings(replay, leg.kind), window, replay.id)
    tally = Tally(stream.view, patience)
    worker = Worker(worker_name(), sink, stop, tally, time.time)
    try:
        async with shown(Console(stderr=True), leg.kind, tally, patience, about_s):
            await tail(stream, api, worker)
    except* Fenced:
        raise Refused(
            f"another process does replay {replay.id} now, and goes on where this one ended", hint="let it end"
        ) from None
    if patience.lost is not None:
        raise patience.lost
    if not tally.over:
        raise Interrupted
    return tally


def _settings(replay: Replay, kind: str) -> StreamSettings:
    rules = wiring.rules_of(replay.live.redaction)
    settings = wiring.stream_settings(replay.source, kind, rules, replay.target.sink.topic_prefix)
    return msgspec.structs.replace(settings, id=replay.stream(kind))
