"""Catching up with a backlog of finished jobs: how fast, how dear, and nothing missing."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from tests.bench import bare, delivered
from tests.bench.stage import Bridge, Plan, bridged, cpu_s, jsonl_sink, kafka_sink, simulated

LIMIT_S = 1800.0


def to_kafka(bootstrap: str, jobs: int, events: int) -> dict[str, float]:
    """Measure the bridge into Kafka, then a bare producer with the same records."""
    name = f"bench-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="orchbridge-bench-") as place:
        folder = Path(place)
        with simulated(folder, f"backlog:jobs={jobs},events={events}") as (url, simulator):
            plan = Plan(url, kafka_sink(bootstrap, name))
            with bridged(folder, plan) as bridge:
                figures, commits = _measure(bridge, simulator.process.pid, jobs)
    found = asyncio.run(delivered.in_kafka(bootstrap, f"{name}.prod"))
    found.prove(jobs, events)
    figures |= _rates(found, jobs * events, figures["seconds"], figures["requests"]) | {
        "records/commit": found.records / commits
    }
    reference = asyncio.run(bare.rate(bootstrap, f"{name}.prod", max(1, round(found.records / commits))))
    return figures | {"bare producer, records/s": reference, "ratio": figures["records/s"] / reference}


def to_files(jobs: int, events: int) -> dict[str, float]:
    """Measure the bridge into JSONL files."""
    with tempfile.TemporaryDirectory(prefix="orchbridge-bench-") as place:
        folder = Path(place)
        with simulated(folder, f"backlog:jobs={jobs},events={events}") as (url, simulator):
            with bridged(folder, Plan(url, jsonl_sink(folder))) as bridge:
                figures, _ = _measure(bridge, simulator.process.pid, jobs)
            found = delivered.in_files(folder / "data")
    found.prove(jobs, events)
    return figures | _rates(found, jobs * events, figures["seconds"], figures["requests"])


def _measure(bridge: Bridge, simulator: int, jobs: int) -> tuple[dict[str, float], float]:
    """Wait until all history is delivered, its last certificate with it; return figures and the number of commits."""
    bridge.program.wait_for("stream.claimed", 60)
    started, ours, theirs = time.perf_counter(), bridge.cpu_s(), cpu_s(simulator)
    bridge.wait_until("orchbridge_backfill_done", jobs, LIMIT_S)
    seconds = time.perf_counter() - started
    counts = bridge.counts()
    figures = {
        "seconds": seconds,
        "bridge CPU, s": bridge.cpu_s() - ours,
        "simulator CPU, s": cpu_s(simulator) - theirs,
        "requests": counts["orchbridge_requests_total"],
        "commits": counts["orchbridge_commits_total"],
        "peak memory, MB": bridge.rss_mb(peak=True),
    }
    return figures, counts["orchbridge_commits_total"]


def _rates(found: delivered.Delivered, events: int, seconds: float, requests: float) -> dict[str, float]:
    return {
        "requests/event": requests / events,
        "records": found.records,
        "records/s": found.records / seconds,
        "events/s": events / seconds,
        "MB/s": found.bytes / seconds / 1e6,
        "bytes/record": found.bytes / found.records,
    }
