"""The demo in plain lines: how it opens, what it says on the way, and its verdict."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from orchbridge.cli.demo.audit import Audit
from orchbridge.cli.demo.folder import SOURCE
from orchbridge.cli.demo.scene import Scene, views

SHOWN_MAX = 5


def opening(scene: Scene) -> Iterator[str]:
    """Yield where everything is."""
    yield f"orchbridge demo: a simulated orchestrator, {scene.simulator}, carried into {scene.data}"
    yield f"  records      {scene.data}/*.jsonl"
    yield f"  status page  {scene.running.address}"
    yield f"  metrics      {scene.running.address}metrics"
    end = "Ctrl-C ends it" if scene.seconds is None else f"ends by itself after {scene.seconds:g} s"
    yield f"  {end}"


def moment(scene: Scene) -> str:
    """Return one line about now."""
    tally, status = scene.tally, scene.running.status()
    inventory = views(status)["inventory"]
    states = Counter(stream.state for source in status.sources for stream in source.streams)
    return (
        f"{tally.elapsed_s:6.1f} s  "
        f"jobs {len(tally.jobs)}, finished {len(tally.ended)}, certified {len(tally.certified)} | "
        f"events {tally.events}, {tally.rate():.1f}/s | "
        f"nodes {inventory.nodes_connected} connected, {inventory.nodes_disconnected} not | "
        f"streams {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}"
    )


def verdict(found: Audit, seconds: float, truth: Path) -> Iterator[Text]:
    """Yield the summary: what was read back from the files, and whether it is all there is."""
    yield Text(f"What {seconds:.0f} s brought, read back from the files:\n", style="bold")
    for name, value in _counts(found):
        yield Text(f"  {name:<14}{value}")
    yield Text()
    width = max((len(name) for name in found.files), default=0)
    for name, (records, size) in found.files.items():
        yield Text(f"  {name:<{width}}  {records:>7,} records  {size:>11,} bytes")
    yield Text()
    yield from _judgement(found, truth)


def _counts(found: Audit) -> Iterator[tuple[str, str]]:
    kinds = found.kinds
    outcomes = Counter(found.outcomes.values())
    by_outcome = ", ".join(f"{count} {word}" for word, count in sorted(outcomes.items(), reverse=True))
    yield "jobs", f"{len(found.jobs)} seen, {len(found.outcomes)} finished" + (f": {by_outcome}" if outcomes else "")
    complete = sum(found.certificates.values())
    yield "certificates", f"{complete} complete, {len(found.certificates) - complete} incomplete"
    yield "job events", f"{sum('/event/' in name for name in found.delivered)}"
    yield "plans", f"{len(found.plans)} seen, {len(found.plans_ended)} finished"
    changes = ("connected", "disconnected", "removed")
    yield "node changes", ", ".join(f"{kinds[f'node.{c}']} {c}" for c in changes if kinds[f"node.{c}"]) or "none"
    odd = {"notices": kinds["bridge.notice"], "quarantined": kinds["quarantine"]}
    for name, count in odd.items():
        if count:
            yield name, str(count)


def _judgement(found: Audit, truth: Path) -> Iterator[Text]:
    """Yield the comparison with the truth, and every way in which it went wrong."""
    records = sum(count for count, _ in found.files.values())
    yield Text(f"  {records:,} records, {len(found.twice)} twice.")
    yield Text(f"  Held against the simulator's own log, {truth}:")
    yield Text(
        f"  {len(found.outcomes)} finished jobs with {found.facts:,} facts, "
        f"{len(found.missing)} missing, {len(found.invented)} that never happened."
    )
    wrong = {
        "twice": found.twice,
        "missing": found.missing,
        "never happened": found.invented,
        "without a complete certificate": found.incomplete,
    }
    for name, those in wrong.items():
        if those:
            more = f" and {len(those) - SHOWN_MAX} more" if len(those) > SHOWN_MAX else ""
            yield Text(f"  {name}: {', '.join(those[:SHOWN_MAX])}{more}", style="red")
    if found.sound:
        yield Text("  Every fact of every finished job, exactly once.", style="bold green")
    else:
        yield Text("  NOT exactly once: this is a bug in orchbridge; please report it.", style="bold red")


def shown(data: Path) -> str:
    """Return a command that shows the newest job event."""
    return f"tail -n 1 {shlex.quote(str(data / f'pe.{SOURCE}.job-events.jsonl'))} | python3 -m json.tool"
