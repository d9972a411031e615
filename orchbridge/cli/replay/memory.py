"""What the sink remembers that a replay must know: the live streams' epochs, and its own earlier runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchbridge.cli.cursors.places import read_head, stream_of
from orchbridge.cli.replay.task import Replay
from orchbridge.config import Settings
from orchbridge.core.head import Head
from orchbridge.core.ports import Kept, StreamId


@dataclass(frozen=True, slots=True)
class Memory:
    """By kind: the live stream's head, the replay's own head, and the keys of the replay's other documents."""

    live: Mapping[str, Head]
    own: Mapping[str, Head]
    tracked: Mapping[str, tuple[str, ...]]

    def over(self, kind: str) -> bool:
        """Whether an earlier run has done all of a kind."""
        head = self.own.get(kind)
        return head is not None and head.passage.over


def memory_of(replay: Replay, live: Iterable[Kept], own: Iterable[Kept]) -> Memory:
    """Return what is remembered; raise Corrupt where a worker of this configuration could not use it."""
    documents = {one.key: one.value for one in live}
    mine = {one.key: one.value for one in own}
    heads: dict[str, Head] = {}
    done: dict[str, Head] = {}
    tracked: dict[str, tuple[str, ...]] = {}
    for kind in replay.kinds:
        _learn(heads, kind, StreamId(replay.source.name, kind), documents, replay, replay.live)
        lane = replay.stream(kind)
        _learn(done, kind, lane, mine, replay, replay.target)
        tracked[kind] = tuple(key for key in mine if key != lane.name and stream_of(key) == lane)
    return Memory(heads, done, tracked)


def _learn(
    heads: dict[str, Head], kind: str, id_: StreamId, documents: Mapping[str, bytes], replay: Replay, settings: Settings
) -> None:
    document = documents.get(id_.name)
    if document is not None:
        heads[kind] = read_head(id_, document, replay.source, settings)
