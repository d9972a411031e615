"""`make soak`: one bridge, a steady world, nothing goes wrong; what its memory and its CPU do over time."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.stage import cpu_s
from tests.broker import NoBroker
from tests.chaos import results, table
from tests.chaos.reading import everything
from tests.chaos.run import BEGIN_S, MARGIN_S, SETTLE_S, ended, settled
from tests.chaos.stage import Setting, staged
from tests.chaos.verdict import WRONGS, delays, found

EVERY_S = 5.0
TELL_S = 300.0
SCENARIO = "demo"


@dataclass(frozen=True)
class Sample:
    """Seconds since the beginning, resident memory in MB, seconds of CPU used so far."""

    at: float
    rss_mb: float
    cpu_s: float


def sample(pid: int, at: float) -> Sample:
    return Sample(round(at, 1), resident_mb(pid, "VmRSS"), cpu_s(pid))


def resident_mb(pid: int, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    size = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    assert size is not None
    return round(int(size[1]) * 1024 / 1e6, 2)


def slope_mb_h(samples: Sequence[Sample]) -> float:
    """Return the slope of memory by least squares, in MB an hour."""
    count = len(samples)
    if count < 2:
        return 0.0
    at, rss = sum(each.at for each in samples) / count, sum(each.rss_mb for each in samples) / count
    spread = sum((each.at - at) ** 2 for each in samples)
    return 3600 * sum((each.at - at) * (each.rss_mb - rss) for each in samples) / spread if spread else 0.0


def figures(samples: Sequence[Sample], peak_mb: float) -> results.Line:
    """Return what is kept of the samples; a few dozen of them too, for whoever wants to see the curve."""
    first, last = samples[0], samples[-1]
    half = [each for each in samples if each.at >= (first.at + last.at) / 2]
    thin = samples[:: max(1, len(samples) // 60)]
    return {
        "first_mb": first.rss_mb, "last_mb": last.rss_mb, "peak_mb": peak_mb,
        "slope_mb_h": round(slope_mb_h(samples), 3), "slope_second_half_mb_h": round(slope_mb_h(half), 3),
        "cpu_share": round((last.cpu_s - first.cpu_s) / max(last.at - first.at, 1e-9), 4),
        "curve_mb": [[round(each.at), each.rss_mb] for each in thin],
    }  # fmt: skip


async def soak(minutes: float, seed: int, scenario: str, folder: Path) -> results.Line:
    """Run for so long and judge; return the line that is kept."""
    async with staged(Setting(scenario, poll_s=2.0), folder, seed, f"soak-{seed}-") as stage:
        (house,), (follower,) = stage.houses, stage.followers
        (worker,) = house.workers
        if await house.claimed(house.streams, 0.0, BEGIN_S) is None:
            raise RuntimeError(f"{house.name} never began: see {worker.out}")
        began, begun = time.time(), time.monotonic()
        samples = [sample(worker.pid, 0.0)]
        told = 0.0
        while (at := time.monotonic() - begun) < 60 * minutes and worker.alive:
            await asyncio.sleep(EVERY_S)
            samples.append(sample(worker.pid, time.monotonic() - begun))
            if at - told >= TELL_S:
                told = at
                print(f"{at / 60:.0f} min: {samples[-1].rss_mb:.1f} MB, {len(follower.seen):,} records", flush=True)
        peak = resident_mb(worker.pid, "VmHWM")
        until = stage.truth()[-1]["at"] - MARGIN_S
        await settled(stage, house, follower, until, time.monotonic() + SETTLE_S)
        await ended(stage)
        seen, truth = await everything(stage.direct, house.prefix), stage.truth()
        finding = found(truth, seen, until=until)
        for word in (*finding.words, *stage.complaints):
            print(word)
        counts = {name: count for name, count in asdict(finding).items() if name != "words"}
        return {
            "minutes": round((time.monotonic() - begun) / 60, 1), **figures(samples, peak), **counts,
            "complaints": len(stage.complaints), "faults": {}, "scenario": scenario,
            "delay_s": delays(truth, follower.arrivals, [], house.name, began).summary(),
        }  # fmt: skip


def main() -> None:
    given = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commit, dirty = results.commit()
    seed = given.seed if given.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}, commit {commit}{' with changes' if dirty else ''}, {given.minutes:g} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="orchbridge-soak-"))
    try:
        kept = asyncio.run(soak(given.minutes, seed, given.scenario, folder))
    except NoBroker as error:
        raise SystemExit(f"no Kafka broker: {error}") from error
    line = {"kind": "soak", "commit": commit, "dirty": dirty, "when": results.now(), "seed": seed,
            "asked_s": 60 * given.minutes, **kept}  # fmt: skip
    print(table.soaks([line]), flush=True)
    well = not line["complaints"] and not any(line[name] for name in WRONGS)
    if well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"FAILED; logs and truth: {folder}", flush=True)
    if given.results and (not dirty or given.dirty):
        results.append(given.results, line)
    elif given.results:
        print("results of a tree with changes are not kept; commit first, or say --dirty", flush=True)
    if given.table:
        table.write()
    sys.exit(0 if well else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, help="of the world")
    parser.add_argument("--scenario", default=SCENARIO, help=f"what the simulator plays ({SCENARIO})")
    parser.add_argument("--results", type=Path, help="append a line to this file")
    parser.add_argument("--dirty", action="store_true", help="append even where the tree differs from its commit")
    parser.add_argument("--table", action="store_true", help="write docs/reliability.md anew at the end")
    return parser.parse_args()


if __name__ == "__main__":
    main()
