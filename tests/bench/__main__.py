"""`make bench`: measure, print a table, write JSON where asked; fail only where records are missing."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import catchup, quiet, scrape
from tests.broker import Broker, NoBroker

Figures = dict[str, float]
KINDS = ("kafka", "jsonl", "latency", "idle", "memory", "scrape")
LONG_JOBS = 10_000


def main() -> None:
    """Measure what is asked for."""
    given = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that are new have no leader for a moment
    console = Console()
    machine = _machine()
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()))
    results: dict[str, list[Figures]] = {}
    with _broker(given.only) as bootstrap:
        for turn in range(given.repeat):
            for title, measure in _measures(given, bootstrap):
                with console.status(f"{title} ({turn + 1} of {given.repeat})"):
                    results.setdefault(title, []).append(measure())
    for title, runs in results.items():
        console.print(_table(title, runs))
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="of the backlog (1000)")
    parser.add_argument("--events", type=int, default=100, help="of each job (100)")
    parser.add_argument("--only", choices=KINDS, help="without it: catching up into Kafka and into JSONL files")
    parser.add_argument("--long", action="store_true", help=f"a backlog of {LONG_JOBS} jobs: a million events")
    parser.add_argument("--nodes", type=int, default=100_000, help="of the inventory of --only memory (100000)")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between looks, for --only latency (1)")
    parser.add_argument("--repeat", type=int, default=1, help="measure so often; the table shows every run")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    return parser.parse_args()


def _measures(given: argparse.Namespace, bootstrap: str) -> Iterator[tuple[str, Callable[[], Figures]]]:
    jobs, events, nodes = LONG_JOBS if given.long else given.jobs, given.events, given.nodes
    only = given.only
    backlog = f"{jobs} jobs x {events} events"
    if only in {None, "kafka"} or (only == "memory" and given.long):
        yield f"catching up, {backlog} to Kafka", lambda: catchup.to_kafka(bootstrap, jobs, events)
    if only in {None, "jsonl"} or (only == "memory" and given.long):
        yield f"catching up, {backlog} to JSONL", lambda: catchup.to_files(jobs, events)
    if only == "latency":
        yield "latency of an event", lambda: quiet.latency(bootstrap, 100, given.poll)
    if only == "idle":
        yield "idle", lambda: quiet.idle(bootstrap)
    if only == "scrape":
        yield "scrape of a large site", scrape.scrape
    if only == "memory":
        yield f"inventory of {nodes} nodes to Kafka", lambda: quiet.fleet(bootstrap, nodes)
        yield f"inventory of {nodes} nodes to JSONL", lambda: quiet.fleet(None, nodes)


@contextmanager
def _broker(only: str | None) -> Iterator[str]:
    """Yield the address of a broker: the one named in ORCHBRIDGE_TEST_KAFKA, else one of our own."""
    named = os.environ.get("ORCHBRIDGE_TEST_KAFKA")
    if named or only in {"jsonl", "scrape"}:
        yield named or ""
        return
    try:
        with Broker() as broker:
            yield broker.bootstrap
    except NoBroker as error:
        raise SystemExit(f"no Kafka broker: {error}") from error


def _machine() -> dict[str, str]:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "Python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": found[1] if found else platform.machine(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _table(title: str, runs: list[Figures]) -> Table:
    table = Table("", *(f"run {number}" for number in range(1, len(runs) + 1)), title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in runs[0]:
        table.add_row(name, *(_shown(run[name]) for run in runs))
    return table


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3f}" if value < 1 else f"{value:,.2f}"


if __name__ == "__main__":
    main()
