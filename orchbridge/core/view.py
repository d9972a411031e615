"""What a person wants to know of a stream: a small picture of its state for gauges and the status page."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core.window import Progress

RECENT_MAX = 20
RUNNING_MAX = 100
BROKERS_MAX = 100
DESCRIPTION_MAX = 300  # characters
OTHER = "other"


class RecentJob(msgspec.Struct, frozen=True):
    """One job or plan in a line.

    `kind` is "job" or "plan", `type` PE's word for what it does; `nodes` counts nodes by state, `targets`
    is how many there are; `description` is redacted and cut; `complete` is the certificate's word, None
    before it; times are the text PE sent.
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
    type: str | None = None
    task: str | None = None
    description: str | None = None
    targets: int | None = None


class StreamView(msgspec.Struct, frozen=True):
    """A stream's state as numbers.

    `cursor` is text for a person ("job 412 of 415"), `position` and `source_position` are the
    highest id accounted for and the highest the source showed; `oldest_running` is the creation
    time (RFC 3339) of the oldest unfinished job; `recent` holds the newest 20, newest first; `running`
    the unfinished, oldest first, as many as `RUNNING_MAX` (`jobs_by_state` counts them all);
    `nodes_by_broker` counts connected nodes, "" those whose broker is not told; beyond `BROKERS_MAX`
    brokers the smallest are "other". `behind` counts the tracked that may have events which
    are not delivered yet, those not taken up yet included; `flapping` the nodes lost three times within an
    hour; `named` tells of the first nodes by name whether they are connected, where that was asked for.
    `listed` is when the newest list of nodes that was believed was asked for (Unix seconds), None before the first.
    `progress` is set for a window of history; `schedules` counts scheduled jobs that will run, by type.
    """

    cursor: str = ""
    position: int = 0
    source_position: int = 0
    tracked: int = 0
    gaps: int = 0
    epoch: str = ""
    jobs_by_state: dict[str, int] = {}
    oldest_running: str | None = None
    behind: int = 0
    nodes_connected: int = 0
    nodes_disconnected: int = 0
    nodes_by_broker: Mapping[str, int] = {}
    flapping: int = 0
    named: tuple[tuple[str, bool], ...] = ()
    listed: float | None = None
    recent: tuple[RecentJob, ...] = ()
    running: tuple[RecentJob, ...] = ()
    progress: Progress | None = None
    schedules: Mapping[str, int] = {}


class _About(msgspec.Struct):
    description: str | None = None


_ABOUT = msgspec.json.Decoder(_About)


def described(about: msgspec.Raw | None) -> str | None:
    """Return the description in what the records of a job or plan say of it, redacted there, cut for a line."""
    text = None if about is None else _ABOUT.decode(about).description
    return text if text is None or len(text) <= DESCRIPTION_MAX else f"{text[: DESCRIPTION_MAX - 1]}…"


def largest(brokers: Mapping[str, int]) -> Mapping[str, int]:
    """Return the nodes by broker with few enough brokers to show."""
    if len(brokers) <= BROKERS_MAX:
        return brokers
    ranked = sorted(brokers.items(), key=lambda item: (-item[1], item[0]))
    shown = dict(ranked[: BROKERS_MAX - 1])
    rest = sum(count for _, count in ranked[BROKERS_MAX - 1 :])
    return shown | {OTHER: shown.get(OTHER, 0) + rest}
