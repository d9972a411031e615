"""What the watchdogs said: one log line each, a counter, and the reasons why this process is not healthy."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from orchbridge.core.alarms import Alarm
from orchbridge.ops import catalogue
from orchbridge.ops.metrics import Metrics


class AlarmBook:
    """The Alarms of a real worker. All calls but `told` come from the event loop's thread."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger | None = None) -> None:
        self._metrics = metrics
        self._log: FilteringBoundLogger = log if log is not None else structlog.get_logger("orchbridge")
        self._standing: dict[tuple[str, str], Alarm] = {}
        for kind in catalogue.WATCHDOGS:
            metrics.add("orchbridge_watchdog_total", kind, by=0)

    def told(self, alarm: Alarm, stack: Sequence[str]) -> None:
        """Write a line; `stack` holds lines of code and nothing else."""
        self._log.error(
            "watchdog.barked",
            kind=alarm.kind,
            subject=alarm.subject,
            reason=alarm.reason,
            stack=list(stack),
            hint="/healthz fails, so that whoever supervises this process starts it anew; please report this line",
        )

    def raised(self, alarm: Alarm) -> None:
        """Count it; it stands until it is cleared."""
        self._standing[alarm.kind, alarm.subject] = alarm
        self._metrics.add("orchbridge_watchdog_total", alarm.kind)

    def cleared(self, alarm: Alarm) -> None:
        """It moves again."""
        self._standing.pop((alarm.kind, alarm.subject), None)
        self._log.warning("watchdog.cleared", kind=alarm.kind, subject=alarm.subject)

    def standing(self) -> tuple[str, ...]:
        """Return why this process is not healthy; nothing where it is."""
        return tuple(alarm.reason for alarm in self._standing.values())
