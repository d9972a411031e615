"""Readiness, as a truth table."""

from __future__ import annotations

import pytest

from orchbridge.ops.status import Mishap, SourceStatus, Status, StreamStatus, ready

NOW = 1000.0


def status(*streams: StreamStatus) -> Status:
    return Status("0.1.0", 0.0, NOW, (SourceStatus("prod", "pe:8143", streams=streams),))


def stream(state: str, *, since: float | None = 0.0, lap: float | None = None, interval: float = 2.0) -> StreamStatus:
    return StreamStatus("jobs", state, interval, since, lap)


@pytest.mark.parametrize(
    ("case", "is_ready"),
    [
        (stream("standby", since=None), True),
        (stream("fenced", since=None), True),
        (stream("fenced", since=0.0, lap=1.0), True),
        (stream("starting", since=NOW - 29), True),
        (stream("starting", since=NOW - 31), False),
        (stream("live", lap=NOW - 1), True),
        (stream("live", lap=NOW - 30), True),
        (stream("live", lap=NOW - 30.1), False),
        (stream("live", lap=NOW - 89, interval=30.0), True),  # three intervals
        (stream("live", lap=NOW - 91, interval=30.0), False),
        (stream("stumbling", lap=NOW - 20), True),
        (stream("stumbling", lap=NOW - 40), False),
        (stream("stumbling", since=NOW - 40), False),  # the sink was never there
        (stream("starting", since=NOW - 1, lap=NOW - 500), True),  # just unparked
        (stream("parked", lap=NOW), False),
        (stream("live", lap=NOW + 3600), True),  # the clock was set back
    ],
)
def test_one_stream(case: StreamStatus, is_ready: bool) -> None:
    assert (ready(status(case), NOW) == ()) is is_ready


def test_every_reason_is_told_with_what_to_do() -> None:
    parked = StreamStatus(
        "plans", "parked", 2.0, 0.0, NOW, None, Mishap(NOW, "the token has expired", "write a new one")
    )
    assert ready(status(stream("live", lap=NOW - 95), parked, stream("live", lap=NOW)), NOW) == (
        "prod/jobs has not completed a lap for 95 s (limit 30 s)",
        "prod/plans is parked: the token has expired; write a new one",
    )


def test_a_worker_without_streams_is_ready() -> None:
    assert ready(Status("0.1.0", 0.0, NOW), NOW) == ()
