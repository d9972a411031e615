"""`make chaos`: course after course until the time is over; exit 0 only if nothing was lost, twice or false."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.broker import NoBroker
from tests.chaos import results, table
from tests.chaos.courses import COURSES, Course
from tests.chaos.results import Line
from tests.chaos.run import Outcome, run

ROTATION = ("kills", "cuts", "brokers", "freezes", "source", "lists", "workers", "cluster", "mixed")
OVERHEAD_S = 30.0  # of a run: starting, settling, judging


def main() -> None:
    given = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells at length how brokers die
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tested = results.commit()
    keep = given.results if not tested[1] or given.dirty else None
    seed = given.seed if given.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}, commit {tested[0]}{' with changes' if tested[1] else ''}", flush=True)
    if given.results and keep is None:
        print("results of a tree with changes are not kept; commit first, or say --dirty", flush=True)
    lines: list[Line] = []
    ends = time.monotonic() + 60 * given.minutes
    failed = False
    for number, name in enumerate(itertools.cycle(given.course or ROTATION)):
        course = COURSES[name]
        seconds = given.seconds or course.seconds
        if number and (time.monotonic() + seconds + OVERHEAD_S > ends or failed):
            break
        line = _slice(course, seed + number, seconds, tested)
        failed = line is None or not _well(line)
        if line is not None:
            lines.append(line)
            if keep is not None:
                results.append(keep, line)
    print("\n" + table.summary(lines), flush=True)
    if given.table:
        table.write()
    sys.exit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no run that would end later (one run)")
    parser.add_argument("--seed", type=int, help="of the first run; each further one has the next number")
    parser.add_argument("--course", action="append", choices=COURSES, help="only this one; may be given several times")
    parser.add_argument("--seconds", type=float, help="for how long faults begin in each run")
    parser.add_argument("--results", type=Path, help="append a line for each run to this file")
    parser.add_argument("--dirty", action="store_true", help="append even where the tree differs from its commit")
    parser.add_argument("--table", action="store_true", help="write docs/reliability.md anew at the end")
    return parser.parse_args()


def _slice(course: Course, seed: int, seconds: float, tested: tuple[str, bool]) -> Line | None:
    """Run once and tell how it went; keep the folder where it went wrong."""
    print(f"{course.name} seed {seed}, {seconds:.0f} s ...", end=" ", flush=True)
    folder = Path(tempfile.mkdtemp(prefix=f"orchbridge-chaos-{course.name}-"))
    outcome: Outcome | None = None
    try:
        outcome = asyncio.run(run(course, seed, seconds, folder))
    except NoBroker as error:
        raise SystemExit(f"no Kafka broker: {error}") from error
    except Exception:
        traceback.print_exc()
    if outcome is not None and outcome.well:
        shutil.rmtree(folder, ignore_errors=True)
        done = sum(outcome.faults.values())
        print(
            f"well: {outcome.finding.events:,} events, {done} faults, longest delay {outcome.delay['max']:.1f} s, "
            f"settled in {outcome.settled_s:.1f} s, {outcome.seconds:.0f} s in all", flush=True,
        )  # fmt: skip
    else:
        words = (*outcome.finding.words, *outcome.complaints) if outcome else ("the run did not come to its end",)
        print("\nFAILED: " + "\n        ".join(words))
        print(f"logs and truth: {folder}")
        print(f"again: python -m tests.chaos --course {course.name} --seed {seed} --seconds {seconds:.0f}", flush=True)
    return results.line_of(outcome, course.name, seed, seconds, tested) if outcome else None


def _well(line: Line) -> bool:
    return not line["complaints"] and not any(line[name] for name in table.WRONGS)


if __name__ == "__main__":
    main()
