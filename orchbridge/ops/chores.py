"""The metrics of what goes along with the streams: canaries, and tokens that are renewed."""

from __future__ import annotations

from dataclasses import replace

from orchbridge.ops.catalogue import CANARY_REASONS, RENEWALS
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.status import CanaryStatus, Mishap

_OF_OWNER = (
    "orchbridge_canary_interval_seconds",
    "orchbridge_canary_since_timestamp_seconds",
    "orchbridge_canary_last_success_timestamp_seconds",
)


class Canary:
    """Counts one source's canaries, and remembers the last; everything is there as zero before the first."""

    def __init__(self, metrics: Metrics, source: str, task: str, interval_s: float) -> None:
        self._metrics, self._source, self._interval_s = metrics, source, interval_s
        self._new = CanaryStatus(task, interval_s)
        self.status: CanaryStatus | None = None  # while this worker sends them
        metrics.observe("orchbridge_canary_seconds", source, value=0.0, times=0)
        for reason in CANARY_REASONS:
            metrics.add("orchbridge_canary_failures_total", source, reason, by=0)

    def taken(self, now: float) -> None:
        """This worker sends them from `now` on, in Unix seconds."""
        self.status = self._new
        self._metrics.set("orchbridge_canary_since_timestamp_seconds", self._source, to=now)
        self._metrics.set("orchbridge_canary_interval_seconds", self._source, to=self._interval_s)

    def lost(self) -> None:
        """Another worker does, and tells of them."""
        self.status = None
        for name in _OF_OWNER:
            self._metrics.forget(name, self._source)

    def landed(self, seconds: float, now: float) -> None:
        """One arrived; `now` in Unix seconds."""
        self._metrics.observe("orchbridge_canary_seconds", self._source, value=seconds)
        self._metrics.set("orchbridge_canary_last_success_timestamp_seconds", self._source, to=now)
        if self.status is not None:
            self.status = replace(self.status, landed=now, seconds=seconds, mishap=None)

    def failed(self, reason: str, now: float, error: str, hint: str) -> None:
        """One did not: why, and what a person should do."""
        if self.status is not None:
            self.status = replace(self.status, mishap=Mishap(now, f"{reason}: {error}", hint))
        self._metrics.add("orchbridge_canary_failures_total", self._source, reason)


class Renewals:
    """Counts the tries to renew one source's token."""

    def __init__(self, metrics: Metrics, source: str) -> None:
        self._metrics, self._source = metrics, source
        for outcome in RENEWALS:
            metrics.add("orchbridge_token_renewals_total", source, outcome, by=0)

    def tried(self, outcome: str) -> None:
        """A try is over."""
        self._metrics.add("orchbridge_token_renewals_total", self._source, outcome)
