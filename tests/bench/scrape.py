"""What a scrape of a large site costs: how long it holds up the event loop, how many bytes, how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

from tests.ops.large import JOBS, NODES, Large

SCRAPES = 100
ACCEPT = "application/openmetrics-text; version=1.0.0"  # what Prometheus asks for


def scrape() -> dict[str, float]:
    """Measure in a process of its own, so that nothing else counts as memory."""
    done = subprocess.run([sys.executable, "-m", "tests.bench.scrape"], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measured() -> dict[str, float]:
    before = _rss_mb()
    site = Large()
    site.fill()
    held = _rss_mb()
    took, body = [], b""
    for _ in range(SCRAPES):
        site.later()
        body, seconds = _timed(lambda: site.metrics.answer(ACCEPT, "")[0])
        took.append(seconds)
    packed, seconds = _timed(lambda: site.metrics.answer(ACCEPT, "gzip")[0])
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    reference = _reference(series)
    return {
        "nodes": NODES,
        "jobs": JOBS,
        "series": series,
        "scrape, ms of CPU": median(took) * 1e3,
        "worst scrape, ms of CPU": max(took) * 1e3,  # the garbage collector looks at everything now and then
        "packed scrape, ms of CPU": seconds * 1e3,
        "reference: so many counters of the library, ms of CPU": reference * 1e3,
        "KB": len(body) / 1e3,
        "KB packed": len(packed) / 1e3,
        "memory with nodes and jobs, MB": held,
        "of it for this site, MB": held - before,
        "memory after the scrapes, MB": _rss_mb(),
    }


def _reference(series: int) -> float:
    """Return the seconds that the library's own metric objects take for as many series."""
    registry = CollectorRegistry()
    counter = Counter("orchbridge_reference", "So many series", ["source", "task", "outcome"], registry=registry)
    for number in range(series):
        counter.labels("prod", f"site::task{number:04}", "success").inc()
    encode, _ = choose_encoder(ACCEPT)
    return median(_timed(lambda: encode(registry))[1] for _ in range(SCRAPES // 5))


def _timed(do: Callable[[], bytes]) -> tuple[bytes, float]:
    began = time.process_time()
    return do(), time.process_time() - began


def _rss_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured()))
