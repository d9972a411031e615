"""The jobs stream's state between two folds, and the draft of its next batch."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core import memos
from orchbridge.core.batch import Batch
from orchbridge.core.draft import Draft
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.tasks import Tasks
from orchbridge.core.jobs.track import Track
from orchbridge.core.questions import Question
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Walk


class JobsState(msgspec.Struct, frozen=True):
    """A jobs stream between two folds; `tracks` is never changed in place.

    `slow` holds this tick's questions of the slow kind (late sweeps, round robin), until answered.
    """

    walk: Walk
    tracks: Mapping[int, Track] = {}
    tasks: Tasks = Tasks()
    slow: tuple[Question, ...] = ()


class Work(Draft[Track]):
    """A jobs draft: beside the tracks it knows the tasks' metadata and which jobs were spoken of."""

    def __init__(self, settings: StreamSettings, state: JobsState, now: float) -> None:
        super().__init__(settings, state.walk, state.tracks, now)
        self.tasks = state.tasks
        self.slow = state.slow
        self.spoken: set[int] = set()  # jobs with new records: one document each, at the end

    def take_up_jobs(self) -> None:
        """Begin tracking what the walk has to do, as far as there is room."""
        ended = [track for track in self.tracks.values() if track.open and (track.memo.ended or track.job is None)]
        self.take_up(ended, lambda id_: Track(id_, Memo(self.walk.head.epoch), seen_at=self.now))

    def batch(self) -> Batch:
        """Return the batch."""
        documents = self.documents(memos.encode)
        state = JobsState(self.walk, self.tracks, self.tasks, self.slow)
        return Batch(tuple(self.records), documents, state, tuple(self.left), tuple(self.troubles))
