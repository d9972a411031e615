"""A batch: records, the memory that vouches for them, and the state they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orchbridge.core.questions import Reply, Trouble
from orchbridge.core.records import Record

BATCH_RECORDS_MAX = 2_000


class Batch(msgspec.Struct, frozen=True):
    """What one fold of answers yields.

    records      in the order in which they are to be published, per key
    documents    memory that changed: cursor key (`prod/jobs`, `prod/jobs/352`) -> JSON, None forgets it
    state        the stream's next state; true only once this batch is committed
    left         replies not folded yet because the batch was full; fold them next
    troubles     failures of the source met in this fold, for the log and the page
    """

    records: tuple[Record, ...]
    documents: Mapping[str, bytes | None]
    state: Any
    left: tuple[Reply, ...] = ()
    troubles: tuple[tuple[str, Trouble], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.records and not self.documents
