"""The draft of a batch: the working copy of the state that one fold may change."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core import head as heads
from orchbridge.core import times
from orchbridge.core.batch import Batch
from orchbridge.core.jobs import memo as memos
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.tasks import Tasks
from orchbridge.core.jobs.track import Track
from orchbridge.core.normalize.happenings import happening_record
from orchbridge.core.normalize.notices import notice
from orchbridge.core.questions import Question, Reply, Trouble
from orchbridge.core.records import Record
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Happening, Reset, Walk, take

OPEN_ENDED_MAX = 64  # finished jobs read at once while catching up; running ones do not count

replace = msgspec.structs.replace


class JobsState(msgspec.Struct, frozen=True):
    """A jobs stream between two folds; `tracks` is never changed in place.

    `slow` holds this tick's questions of the slow kind (late sweeps, round robin), until answered.
    """

    walk: Walk
    tracks: Mapping[int, Track] = {}
    tasks: Tasks = Tasks()
    slow: tuple[Question, ...] = ()


class Work:
    """One fold's changes, collected; `batch()` freezes them."""

    def __init__(self, settings: StreamSettings, state: JobsState, now: float) -> None:
        self.settings = settings
        self.now = now
        self.observed = times.text(now)
        self.walk = state.walk
        self.tracks = dict(state.tracks)
        self.tasks = state.tasks
        self.slow = state.slow
        self.records: list[Record] = []
        self.left: list[Reply] = []
        self.spoken: set[int] = set()  # jobs with new records: one document each, at the end
        self.troubles: list[tuple[str, Trouble]] = []
        self._changed: dict[int, Memo | None] = {}

    @property
    def epoch(self) -> str:
        return self.walk.head.epoch_name

    def put(self, track: Track) -> None:
        """Take the track's new state; its memo is written with the batch if it differs."""
        old = self.tracks.get(track.id)
        if old is None or old.memo is not track.memo:
            self._changed[track.id] = track.memo
        self.tracks[track.id] = track

    def drop(self, id_: int) -> None:
        """Stop tracking the job and forget its document."""
        if self.tracks.pop(id_, None) is not None:
            self._changed[id_] = None

    def happened(self, happenings: tuple[Happening, ...]) -> None:
        """Act on what the walk revealed, and tell people."""
        for happening in happenings:
            if isinstance(happening, Reset):
                for id_ in tuple(self.tracks):
                    self.drop(id_)
            origin, stream = self.settings.origin, self.settings.id.kind
            self.records.append(happening_record(origin, stream, self.epoch, happening, self.observed))

    def tell(self, kind: str, subject: str, *, explanation: str, action: str) -> None:
        """Add a notice."""
        origin, stream, seen = self.settings.origin, self.settings.id.kind, self.observed
        self.records.append(
            notice(origin, stream, self.epoch, kind, subject, explanation=explanation, action=action, observed=seen)
        )

    def take_up(self) -> None:
        """Begin tracking what the walk has to do, as far as there is room."""
        ended = sum(1 for track in self.tracks.values() if track.open and (track.memo.ended or track.job is None))
        self.walk, taken, happenings = take(self.walk, OPEN_ENDED_MAX - ended, self.now)
        self.happened(happenings)
        for id_ in taken:
            if id_ not in self.tracks:
                self.put(Track(id_, Memo(self.walk.head.epoch), seen_at=self.now))

    def batch(self) -> Batch:
        """Return the batch; the head travels with it whenever it changed."""
        name = self.settings.name
        documents: dict[str, bytes | None] = {
            f"{name}/{id_}": None if memo is None else memos.encode(memo) for id_, memo in self._changed.items()
        }
        walk = self.walk
        if walk.dirty and walk.begun:
            documents[name] = heads.encode(walk.head)
            walk = replace(walk, dirty=False)
        state = JobsState(walk, self.tracks, self.tasks, self.slow)
        return Batch(tuple(self.records), documents, state, tuple(self.left), tuple(self.troubles))
