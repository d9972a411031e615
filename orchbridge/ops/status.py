"""The whole picture at one moment, frozen: what the page, its JSON and readiness are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchbridge.core.view import StreamView
from orchbridge.core.window import Progress
from orchbridge.ops.changes import Moves
from orchbridge.ops.failures import FailedJob
from orchbridge.ops.missed import MissedRun

PATIENCE_S = 30.0
PATIENCE_LAPS = 3
ESTIMATE_FROM_S = 5.0
RENEWAL_PATIENCE_S = 60.0  # a renewal takes a moment, and the moment it is due is no trouble yet

# What a stream is doing. Standby streams are another worker's, or nobody's yet; fenced ones met a newer
# owner, and wait for the group to say whose they are. A backfill waits until there is something to read,
# and is done one day.
STANDBY, STARTING, LIVE, STUMBLING, PARKED, FENCED, WAITING, DONE = (
    "standby",
    "starting",
    "live",
    "stumbling",
    "parked",
    "fenced",
    "waiting",
    "done",
)
IDLE = frozenset({STANDBY, FENCED})
RESTING = IDLE | {WAITING, DONE}
SILENT = RESTING | {PARKED}  # the source is asked nothing for these
UNSURE = frozenset({STARTING, STUMBLING})  # taken up, and not yet, or no longer, carried
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Mishap:
    """The last thing that went wrong: when (Unix seconds), what, and what a person should do, if anything."""

    at: float
    message: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream. Times are Unix seconds, None for "not yet"; `since` is when the worker took it up.

    `owner` is the worker that carries it, as far as the workers' group said; `left_s` is about how long a
    backfill will still take; `failures` and `missed` are what failed, and which scheduled runs did not happen,
    within the last hour, newest first; `moves` the newest changes of nodes.
    """

    kind: str
    state: str
    interval_s: float
    since: float | None = None
    last_lap: float | None = None
    last_commit: float | None = None
    mishap: Mishap | None = None
    records: int = 0
    view: StreamView = field(default_factory=StreamView)
    owner: str | None = None
    left_s: float | None = None
    failures: tuple[FailedJob, ...] = ()
    moves: Moves = field(default_factory=Moves)
    missed: tuple[MissedRun, ...] = ()

    @property
    def role(self) -> str:
        """What this worker is to the stream: owner, standby or fenced."""
        return self.state if self.state in IDLE else OWNER

    def lapsed_s(self, now: float) -> float | None:
        """Return seconds since the last completed lap, or since the stream was taken up; None where idle."""
        moments = [moment for moment in (self.since, self.last_lap) if moment is not None]
        return max(0.0, now - max(moments)) if moments and self.state not in RESTING else None

    @property
    def patience_s(self) -> float:
        """How long a lap may take before the stream counts as stuck."""
        return max(PATIENCE_S, PATIENCE_LAPS * self.interval_s)


@dataclass(frozen=True, slots=True)
class CanaryStatus:
    """The canary that this worker sends, every `interval_s` seconds.

    `landed` is when the last one arrived (Unix seconds) that this worker knows of, `seconds` how long it took;
    `mishap` the last one that did not, None once another arrived.
    """

    task: str
    interval_s: float
    landed: float | None = None
    seconds: float | None = None
    mishap: Mishap | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One orchestrator; `up` is None where no answer is new enough to tell, `requests_per_s` is over the last minute.

    `answers_s` is how long the source took to answer half of that minute's requests, and 95 % of them.
    `token_expires` and `certificate_expires` (Unix seconds) are None where nobody knows; `token_renewal` is when
    this worker renews the token, in the past where that fails, None where it does not. `canary` is None where
    there is none, or another worker sends it.
    """

    name: str
    host: str
    up: bool | None = None
    requests_per_s: float = 0.0
    budget_left: float | None = None
    streams: tuple[StreamStatus, ...] = ()
    token_expires: float | None = None
    certificate_expires: float | None = None
    answers_s: tuple[float, float] | None = None
    token_renewal: float | None = None
    canary: CanaryStatus | None = None

    def token_ends_soon(self, within_s: float, now: float) -> bool:
        """Whether the token ends within so long and nothing will renew it by itself."""
        if self.token_expires is None or self.token_expires - now >= within_s:
            return False
        return self.token_renewal is None or self.token_renewal + RENEWAL_PATIENCE_S < now

    @property
    def failures(self) -> tuple[FailedJob, ...]:
        """What failed within the last hour, newest first."""
        found = (failed for stream in self.streams for failed in stream.failures)
        return tuple(sorted(found, key=lambda failed: -failed.at))


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """The workers that share the streams, by name; `trouble` says why this one is not among them since `since`."""

    name: str
    members: tuple[str, ...]
    since: float
    trouble: Mishap | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at `now` (Unix seconds). `group` is None where nothing is shared."""

    version: str
    started: float
    now: float
    sources: tuple[SourceStatus, ...] = ()
    worker: str = ""
    group: GroupStatus | None = None


def left_s(first: tuple[float, int] | None, now: float, progress: Progress) -> float | None:
    """Return about how many seconds are left, from what was done since `first` (when, and how many were done then)."""
    if first is None or progress.over:
        return None
    seconds, done = now - first[0], progress.done - first[1]
    if seconds < ESTIMATE_FROM_S or done < 1:
        return None
    return (progress.total - progress.done - progress.skipped) * seconds / done


def ready(status: Status, now: float) -> tuple[str, ...]:
    """Return why this worker is not ready; nothing where it is. A worker that stands by is ready."""
    reasons = []
    if status.group is not None and status.group.trouble is not None:
        told = status.group.trouble
        reasons.append(f"{told.message}; {told.action}" if told.action else told.message)
    for source in status.sources:
        for stream in source.streams:
            name = f"{source.name}/{stream.kind}"
            lapsed = stream.lapsed_s(now)
            if stream.state == PARKED:
                cause = stream.mishap
                action = f"; {cause.action}" if cause and cause.action else ""
                reasons.append(f"{name} is parked: {cause.message if cause else 'a person is needed'}{action}")
            elif lapsed is not None and lapsed > stream.patience_s:
                why = _why(stream)
                reasons.append(
                    f"{name} has not completed a lap for {lapsed:.0f} s (limit {stream.patience_s:.0f} s){why}"
                )
    return tuple(reasons)


def _why(stream: StreamStatus) -> str:
    """Return what went wrong since the last lap, and what to do, as the end of a sentence."""
    told = stream.mishap
    if told is None or told.at < (stream.last_lap or 0.0):
        return ""
    return f": {told.message}" + (f"; {told.action}" if told.action else "")
