"""What is watched: the configured sources, their requests, and what is remembered of each stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchbridge.core.view import StreamView
from orchbridge.ops import status as words
from orchbridge.ops.status import CanaryStatus, Mishap


class Asked(Protocol):
    """One finished request to a source; `code` is a status or, without one, the kind of failure."""

    @property
    def source(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """One configured source: its streams with the seconds between looks, and its budget of requests.

    The `quiet` streams are told of only once they have something to do. `token_expires`, `token_renewal`
    and `certificate_expires` return Unix seconds, None as long as nobody knows; `canary` returns what this
    worker knows of its canary.
    """

    name: str
    host: str
    streams: Mapping[str, float]
    budget_left: Callable[[], float] | None = None
    quiet: frozenset[str] = frozenset()
    token_expires: Callable[[], float | None] | None = None
    certificate_expires: Callable[[], float | None] | None = None
    token_renewal: Callable[[], float | None] | None = None
    canary: Callable[[], CanaryStatus | None] | None = None


@dataclass(slots=True)
class Fate:
    """What we remember of one stream; `state` is the stream's own, opaque to us."""

    interval_s: float
    word: str = words.STANDBY
    since: float | None = None
    last_lap: float | None = None
    last_commit: float | None = None
    mishap: Mishap | None = None
    records: int = 0
    state: Any = None
    seen: StreamView | None = None  # what is seen of the state, once somebody looked
    first: tuple[float, int] | None = None  # when a backfill was claimed, and how much of it was done then

    @property
    def asks(self) -> bool:
        """Whether the source is asked for it."""
        return self.word not in words.SILENT

    def become(self, state: Any) -> None:
        """Take the stream's next state, or None where it is another's now."""
        self.state, self.seen = state, None
