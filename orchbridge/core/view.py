"""What a person wants to know of a stream: a small picture of its state for gauges and the status page."""

from __future__ import annotations

import msgspec

from orchbridge.core.window import Progress


class RecentJob(msgspec.Struct, frozen=True):
    """One job or plan in a line.

    `kind` is "job" or "plan"; `nodes` counts nodes by state; `complete` is the certificate's
    word, None before it; times are the text PE sent.
    """

    id: int = 0
    kind: str = "job"
    name: str = ""
    state: str = ""
    environment: str | None = None
    created: str | None = None
    finished: str | None = None
    nodes: dict[str, int] = {}
    complete: bool | None = None
    url: str | None = None


class StreamView(msgspec.Struct, frozen=True):
    """A stream's state as numbers.

    `cursor` is text for a person ("job 412 of 415"), `position` and `source_position` are the
    highest id accounted for and the highest the source showed; `oldest_running` is the creation
    time (RFC 3339) of the oldest unfinished job; `recent` holds the newest 20, newest first;
    `progress` is set for a window of history.
    """

    cursor: str = ""
    position: int = 0
    source_position: int = 0
    tracked: int = 0
    gaps: int = 0
    epoch: str = ""
    jobs_by_state: dict[str, int] = {}
    oldest_running: str | None = None
    nodes_connected: int = 0
    nodes_disconnected: int = 0
    recent: tuple[RecentJob, ...] = ()
    progress: Progress | None = None
