"""What the ops tests share: a watch with a clock set by hand and a log that is kept."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from orchbridge.core.batch import Batch
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Trouble
from orchbridge.core.records import JOB_EVENTS, JOBS, Record
from orchbridge.core.view import StreamView
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.watch import OpsWatch
from orchbridge.ops.watched import Watched

START = 1_778_010_600.0  # 2026-05-05T19:50:00Z
JOBS_STREAM, PLANS_STREAM, NODES_STREAM = (StreamId("prod", kind) for kind in ("jobs", "plans", "inventory"))


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Asked:
    code: str = "200"
    source: str = "prod"
    endpoint: str = "/jobs"
    seconds: float = 0.02
    bytes: int = 100


@dataclass
class Stage:
    """The watch, its metrics, and the lines it wrote. A stream's state is its StreamView."""

    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    lines: list[MutableMapping[str, Any]] = field(default_factory=list)
    quiet: frozenset[str] = frozenset()
    name_series: int = 100

    def __post_init__(self) -> None:
        def keep(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
            self.lines.append({**event, "level": level})
            raise structlog.DropEvent

        prod = {"jobs": 2.0, "plans": 2.0, "inventory": 30.0} | dict.fromkeys(self.quiet, 2.0)
        known = (lambda: 41.5, self.quiet, lambda: START + 86_400, lambda: START + 99)
        sources = [
            Watched("prod", "pe.example.com:8143", prod, *known, token_renewal=lambda: START + 3_600),
            Watched("lab", "lab.example.com:8143", {"jobs": 2.0}),
        ]
        self.watch = OpsWatch(
            sources,
            self.metrics,
            lambda _, state: state,
            version="0.1.0",
            clock=self.clock,
            name_series=self.name_series,
            log=structlog.wrap_logger(None, processors=[keep]),
        )

    def events(self, *names: str) -> list[str]:
        """Return the names of the lines, only these where some are given."""
        return [line["event"] for line in self.lines if not names or line["event"] in names]

    def carry(self, stream: StreamId = JOBS_STREAM, view: StreamView | None = None) -> None:
        """Claim a stream and complete a lap."""
        self.watch.claimed(stream, view or StreamView())
        self.watch.lapped(stream, batch(state=view or StreamView()), self.clock())

    def value(self, name: str, *labels: str) -> float | None:
        self.watch.refresh()
        return self.metrics.value(name, *labels)


def quiet_log() -> structlog.typing.FilteringBoundLogger:
    """Return a log that keeps nothing."""

    def drop(*_: Any) -> Any:
        raise structlog.DropEvent

    return structlog.wrap_logger(None, processors=[drop])


def batch(*records: Record, troubles: tuple[tuple[str, Trouble], ...] = (), state: Any = None) -> Batch:
    return Batch(records, {}, state or StreamView(), troubles=troubles)


def record(type_: str, data: dict[str, Any] | None = None, **changes: Any) -> Record:
    plain: dict[str, Any] = {
        "channel": JOBS if type_.startswith(("job.state", "job.summary")) else JOB_EVENTS,
        "instance": "prod",
        "key": "352",
        "id": "e1:x",
        "type": type_,
        "subject": "job/352",
        "time": "2026-05-05T19:49:59Z",
        "observed": "2026-05-05T19:50:00Z",
        "epoch": "e1",
        "data": data or {},
    }
    return Record(**(plain | changes))


def ended(environment: str = "production", outcome: str = "success", type_: str = "task", **changes: Any) -> Record:
    data = {
        "job": {"id": 352, "name": "package", "task": "package", "type": type_, "environment": environment},
        "state": "finished",
        "outcome": outcome,
        "duration_s": 42.0,
        "queue_s": 0.3,
        "finished_at": "2026-05-05T19:49:59Z",
    }
    return record("job.state.changed.v1", data, **changes)
