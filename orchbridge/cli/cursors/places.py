"""Where streams stand, read from what a sink keeps."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from orchbridge.cli import wiring
from orchbridge.config import Settings, Source
from orchbridge.core import head as heads
from orchbridge.core import memos
from orchbridge.core.errors import ConfigError, Corrupt
from orchbridge.core.head import Head
from orchbridge.core.jobs.memo import Memo as JobMemo
from orchbridge.core.plans.track import Memo as PlanMemo
from orchbridge.core.ports import Kept, Sink, StreamId

BACKFILL = "-backfill"
REPLAY = "replay-"
NOTES = ("window", "eras")  # what a live stream leaves to its backfill, beside the backfill's own documents
NOUNS = {"jobs": "job", "plans": "plan"}


class Place(msgspec.Struct, frozen=True):
    """One stream's memory.

    documents  its cursor documents, verbatim; none where it has no memory
    written    when the newest of them was written (Unix seconds), None where the sink does not know
    source     its source's configuration, None where there is none
    named      whether the configuration names this stream, or the one whose backfill it is
    """

    id: StreamId
    documents: Mapping[str, bytes]
    written: float | None
    source: Source | None
    named: bool

    @property
    def name(self) -> str:
        return self.id.name

    @property
    def noun(self) -> str:
        """What its ids are of: "job", "plan", or "" where it has none or that is not known."""
        return noun(self.id)

    @property
    def bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self.documents.items())


class Progress(msgspec.Struct, frozen=True):
    """How far a window of history was read, in ids; `over` once nothing of it is left."""

    done: int = 0
    total: int = 0
    over: bool = False


class _Beyond(msgspec.Struct, frozen=True):
    """What stands in some heads beside what every head has."""

    passage: Progress | None = None
    total: int = 0
    eras: tuple[tuple[Any, ...], ...] = ()


class Tracked(msgspec.Struct, frozen=True):
    """How many jobs or plans are followed: those with more to come, and those whose late events are waited for."""

    open: int = 0
    waiting: int = 0


def _notes(id_: StreamId) -> set[str]:
    return {f"{id_.name}/{note}" for note in NOTES} if id_ != live(id_) else set()


def live(id_: StreamId) -> StreamId:
    """Return the stream whose past a backfill reads; any other stream, a replay too, is its own."""
    return StreamId(id_.source, id_.kind.removesuffix(BACKFILL))


def noun(id_: StreamId) -> str:
    """Return what a stream's ids are of."""
    kind = live(id_).kind
    return NOUNS.get(kind.rpartition("-")[2] if kind.startswith(REPLAY) else kind, "")


@contextlib.asynccontextmanager
async def sink_with_memory(settings: Settings) -> AsyncIterator[Sink]:
    """Yield the configured sink, not opened; raise ConfigError where it remembers nothing."""
    if settings.sink.type == "stdout":
        raise ConfigError(
            "the stdout sink has no memory, so there are no cursors: every run begins where `start` says",
            hint='use sink.type = "kafka" or "jsonl" where a place must be kept',
        )
    sink = wiring.sink_of(settings.sink)
    try:
        yield sink
    finally:
        await sink.close()


def places(settings: Settings, kept: Iterable[Kept]) -> list[Place]:
    """Return every stream that the configuration names, in its order, then those the sink knows besides."""
    sources = {source.name: source for source in settings.sources}
    documents: defaultdict[StreamId, dict[str, bytes]] = defaultdict(dict)
    written: dict[StreamId, float] = {}
    for one in kept:
        id_ = stream_of(one.key)
        documents[id_][one.key] = one.value
        if one.written is not None:
            written[id_] = max(one.written, written.get(id_, 0.0))
    configured = [StreamId(source.name, kind) for source in settings.sources for kind in source.kinds]
    order = dict.fromkeys([*configured, *sorted(documents, key=lambda id_: id_.name)])
    return [
        Place(id_, documents.get(id_, {}), written.get(id_), sources.get(id_.source), live(id_) in configured)
        for id_ in order
    ]


def stream_of(key: str) -> StreamId:
    """Return the stream that a cursor key belongs to: `prod/jobs/352` is of `prod/jobs`."""
    source, _, rest = key.partition("/")
    return StreamId(source, rest.partition("/")[0])


def chosen(all_: Sequence[Place], which: str | None) -> list[Place]:
    """Return those that SOURCE or SOURCE/STREAM names, a stream's backfill with it; raise ConfigError for none."""
    if which is None:
        return list(all_)
    found = [place for place in all_ if which in {place.id.source, place.name, live(place.id).name}]
    if not found:
        raise ConfigError(f"there is no stream {which}", hint=f"choose from {_names(all_)}")
    return found


def one(all_: Sequence[Place], which: str) -> Place:
    """Return the stream SOURCE/STREAM; raise ConfigError where there is none."""
    for place in all_:
        if place.name == which:
            return place
    raise ConfigError(f"there is no stream {which}", hint=f"choose from {_names(all_)}")


def _names(all_: Iterable[Place]) -> str:
    return ", ".join(place.name for place in all_)


def head_of(place: Place, settings: Settings) -> Head | None:
    """Return what the head says, None where there is no memory or a backfill that has not begun; raise Corrupt
    where a worker could not use it.

    For a source that is not configured nobody can say whose memory it should be.
    """
    document = place.documents.get(place.name)
    if document is None:
        if set(place.documents) - _notes(place.id):
            raise Corrupt(
                f"the memory of {place.name} has {len(place.documents)} documents but no head",
                hint=f"import an export of it, or begin anew: orchbridge cursors reset {place.name}",
            )
        return None
    return read_head(place.id, document, place.source, settings)


def read_head(id_: StreamId, document: bytes, source: Source | None, settings: Settings) -> Head:
    """Return a head as a worker of this configuration would read it; raise Corrupt where it could not."""
    url, keys, adopt = "", "", True
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        keys = msgspec.json.decode(document, type=Head).keys
    if source is not None:
        url, adopt = wiring.url_of(source), source.adopt_cursor
        if not id_.kind.startswith(REPLAY):  # its records go under a prefix of its own
            keys = wiring.keys_of(settings.sink.topic_prefix)
    return heads.decode(id_.name, document, url=url, keys=keys, adopt=adopt)


def progress_of(place: Place) -> Progress | None:
    """Return how far a backfill or replay has come, None for a stream that has no end."""
    found = _beyond(place.documents.get(place.name, b"{}")).passage
    if found is None or not found.total:
        found = Progress(total=_beyond(place.documents.get(f"{place.name}/{NOTES[0]}", b"{}")).total)
    return found if found.total else None


def survivor(document: bytes) -> int | None:
    """Return the newest id that the present epoch did not take over, None where that is not known.

    Whatever lies above was delivered in this epoch, also where an older restore had reached further up.
    """
    last = _beyond(document).eras[-1:]
    return next((era[0] for era in last if era and isinstance(era[0], int)), None)


def _beyond(document: bytes) -> _Beyond:
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(document, type=_Beyond)
    return _Beyond()


def read_memos(id_: StreamId, documents: Mapping[str, bytes]) -> Tracked:
    """Return what the documents behind a head say; raise Corrupt where one cannot be read."""
    is_open = {"job": _job_open, "plan": _plan_open}.get(noun(id_))
    rest = {key: value for key, value in documents.items() if key not in {id_.name, *_notes(id_)}}
    if is_open is None:
        return Tracked(open=len(rest))
    strange = [key for key in rest if not key.removeprefix(f"{id_.name}/").isdecimal()]
    if strange:
        raise Corrupt(f"the cursor document {strange[0]} is of no {noun(id_)}", hint="was another program writing?")
    unfinished = sum(is_open(key, value) for key, value in rest.items())
    return Tracked(unfinished, len(rest) - unfinished)


def _job_open(key: str, document: bytes) -> bool:
    memo = memos.decode(JobMemo, key, document)
    return not memo.certified or len(memo.events) != memo.counted


def _plan_open(key: str, document: bytes) -> bool:
    return not memos.decode(PlanMemo, key, document).closed_at
