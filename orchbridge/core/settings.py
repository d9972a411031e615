"""What a stream is told about itself once, at start."""

from __future__ import annotations

import msgspec

from orchbridge.core.normalize.context import Origin
from orchbridge.core.ports import StreamId
from orchbridge.core.walk import Start


class StreamSettings(msgspec.Struct, frozen=True):
    """The operator's choices for one stream; times in seconds.

    url     the source, stamped into the memory; `adopt` accepts a memory of another url
    keys    "bare" or "prefixed" record keys
    grace_s how long after a job's end its late events are waited for before the certificate
    late_window_s  how long after the certificate late events still get through
    forget_after_s how long a node stays disconnected before it is removed
    missed_after_s  how long a scheduled run that is due is looked for before it is held to be missed
    run     of a stream that reads history: "backfill" or the replay's id; empty for a live one
    node_series  how many nodes of an inventory are to be seen one by one
    backfill  a stream beside this one reads the history that `start` chooses; this one only hands it over
    """

    id: StreamId
    url: str
    origin: Origin
    start: Start = Start()
    keys: str = "bare"
    adopt: bool = False
    poll_s: float = 2.0
    grace_s: float = 10.0
    late_window_s: float = 900.0
    forget_after_s: float = 30 * 86_400.0
    missed_after_s: float = 300.0
    node_series: int = 0
    run: str = ""
    backfill: bool = False

    @property
    def name(self) -> str:
        return self.id.name
