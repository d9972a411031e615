"""The whole picture at one moment, frozen: what the page, its JSON and readiness are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchbridge.core.view import StreamView

PATIENCE_S = 30.0
PATIENCE_LAPS = 3

# What a stream is doing. Standby and released streams are another worker's, or nobody's yet.
STANDBY, STARTING, LIVE, STUMBLING, PARKED, RELEASED = (
    "standby",
    "starting",
    "live",
    "stumbling",
    "parked",
    "released",
)
IDLE = frozenset({STANDBY, RELEASED})


@dataclass(frozen=True, slots=True)
class Mishap:
    """The last thing that went wrong: when (Unix seconds), what, and what a person should do, if anything."""

    at: float
    message: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream. Times are Unix seconds, None for "not yet"; `since` is when the worker took it up."""

    kind: str
    state: str
    interval_s: float
    since: float | None = None
    last_lap: float | None = None
    last_commit: float | None = None
    mishap: Mishap | None = None
    records: int = 0
    view: StreamView = field(default_factory=StreamView)

    def lapsed_s(self, now: float) -> float | None:
        """Return seconds since the last completed lap, or since the stream was taken up; None where idle."""
        moments = [moment for moment in (self.since, self.last_lap) if moment is not None]
        return max(0.0, now - max(moments)) if moments and self.state not in IDLE else None

    @property
    def patience_s(self) -> float:
        """How long a lap may take before the stream counts as stuck."""
        return max(PATIENCE_S, PATIENCE_LAPS * self.interval_s)


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One orchestrator; `up` is None before the first answer, `requests_per_s` is over the last minute."""

    name: str
    host: str
    up: bool | None = None
    requests_per_s: float = 0.0
    budget_left: float | None = None
    streams: tuple[StreamStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at `now` (Unix seconds)."""

    version: str
    started: float
    now: float
    sources: tuple[SourceStatus, ...] = ()


def ready(status: Status, now: float) -> tuple[str, ...]:
    """Return why this worker is not ready; nothing where it is. A worker that stands by is ready."""
    reasons = []
    for source in status.sources:
        for stream in source.streams:
            name = f"{source.name}/{stream.kind}"
            lapsed = stream.lapsed_s(now)
            if stream.state == PARKED:
                told = stream.mishap
                action = f"; {told.action}" if told and told.action else ""
                reasons.append(f"{name} is parked: {told.message if told else 'a person is needed'}{action}")
            elif lapsed is not None and lapsed > stream.patience_s:
                reasons.append(f"{name} has not completed a lap for {lapsed:.0f} s (limit {stream.patience_s:.0f} s)")
    return tuple(reasons)
