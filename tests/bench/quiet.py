"""What the bridge costs when little happens: latency of single events, an idle bridge, a large inventory."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from tests.bench.stage import Plan, bridged, cpu_s, jsonl_sink, kafka_sink, simulated

STORM = "storm:jobs={jobs},rate=4,nodes=100,per_job=10,shortest=0.5,longest=4"
IDLE_S = 20.0
POLLS = 3


def latency(bootstrap: str, jobs: int, poll_s: float) -> dict[str, float]:
    """Measure from an event becoming visible in the simulator to its arrival at a read-committed consumer."""
    name = f"bench-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="orchbridge-bench-") as place:
        folder = Path(place)
        with simulated(folder, STORM.format(jobs=jobs)) as (url, _):
            with bridged(folder, Plan(url, kafka_sink(bootstrap, name), poll_s=poll_s)) as bridge:
                bridge.program.wait_for("stream.claimed", 60)
                settled = time.time() + 2 * poll_s  # what became visible earlier waited for our start
                arrivals = asyncio.run(_arrivals(bootstrap, f"{name}.prod.job-events", jobs))
            visible = _visible(folder / "truth.log")
    missing = visible.keys() - arrivals.keys()
    if missing:
        raise SystemExit(f"MISSING: {len(missing)} of {len(visible)} events did not arrive: {sorted(missing)[:5]}")
    waits = [arrivals[id_] - at for id_, at in visible.items() if at > settled]
    cuts = quantiles(waits, n=100, method="inclusive")
    return {
        "events": len(waits),
        "poll interval, s": poll_s,
        "p50, ms": cuts[49] * 1e3,
        "p99, ms": cuts[98] * 1e3,
        "worst, ms": max(waits) * 1e3,
        "p99 beyond the poll interval, ms": (cuts[98] - poll_s) * 1e3,
    }


async def _arrivals(bootstrap: str, topic: str, jobs: int) -> dict[str, float]:
    """Return event id -> when it arrived, until every job has sent its last event."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, fetch_max_wait_ms=5_000,
    )  # fmt: skip
    await consumer.start()
    found: dict[str, float] = {}
    ended: set[bytes] = set()
    try:
        async with asyncio.timeout(60 + jobs):
            while len(ended) < jobs:
                batches = await consumer.getmany(timeout_ms=1_000)
                now = time.time()
                for record in (record for records in batches.values() for record in records):
                    headers = dict(record.headers)
                    found.setdefault(headers["ce_id"].decode(), now)
                    if headers["ce_type"].endswith(b"job.completed.v1"):
                        ended.add(record.key)
    finally:
        await consumer.stop()
    return found


def _visible(truth: Path) -> dict[str, float]:
    """Return event id -> Unix seconds at which it became visible, of every event after the world's start."""
    lines = [json.loads(line) for line in truth.read_text().splitlines(keepends=True) if line.endswith("\n")]
    start = datetime.fromisoformat(lines[0]["start"]).timestamp()
    return {
        f"e1:job/{fact['job']}/event/{fact['id']}": start + fact["at"]
        for fact in lines[1:]
        if fact["fact"] == "job_event" and fact["at"] > 0
    }


def idle(bootstrap: str) -> dict[str, float]:
    """Measure a bridge with nothing to do, at the default intervals."""
    name = f"bench-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="orchbridge-bench-") as place:
        folder = Path(place)
        with simulated(folder, "quiet") as (url, _):
            plan = Plan(url, kafka_sink(bootstrap, name), ("jobs", "plans", "inventory"), start="now")
            with bridged(folder, plan) as bridge:
                for stream in plan.streams:
                    bridge.program.wait_for(f"stream.claimed.*prod/{stream}", 60)
                time.sleep(5.0)
                asked, used = bridge.counts()["orchbridge_requests_total"], cpu_s(bridge.pid)
                time.sleep(IDLE_S)
                used, asked = cpu_s(bridge.pid) - used, bridge.counts()["orchbridge_requests_total"] - asked
                ticks = IDLE_S * (2 / plan.poll_s + 1 / plan.inventory_s)
                return {
                    "CPU, % of a core": 100 * used / IDLE_S,
                    "requests per tick and stream": asked / ticks,
                    "memory, MB": bridge.rss_mb(),
                }


def fleet(bootstrap: str | None, nodes: int) -> dict[str, float]:
    """Measure memory while a large inventory is read for the first time, and in the next process that recalls it."""
    name = f"bench-{uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="orchbridge-bench-") as place:
        folder = Path(place)
        sink = jsonl_sink(folder) if bootstrap is None else kafka_sink(bootstrap, name)
        with simulated(folder, f"fleet:nodes={nodes}") as (url, _):
            plan = Plan(url, sink, ("inventory",), inventory_s=5.0)
            figures: dict[str, float] = {"nodes": nodes}
            for turn in ("first", "again"):
                started = time.perf_counter()
                with bridged(folder, plan) as bridge:
                    if turn == "first":
                        bridge.wait_until("orchbridge_records_committed_total/node-state", nodes, 300)
                        figures["first reading, s"] = time.perf_counter() - started
                    bridge.wait_until("orchbridge_requests_total//inventory", POLLS, 300)
                    known = bridge.counts()["pe_nodes"]
                    if known < nodes:
                        raise SystemExit(f"MISSING: {known:g} of {nodes} nodes known")
                    figures[f"{turn}: memory after {POLLS} polls, MB"] = bridge.rss_mb()
                    figures[f"{turn}: peak memory, MB"] = bridge.rss_mb(peak=True)
                (folder / "bridge.out").unlink()
            return figures
