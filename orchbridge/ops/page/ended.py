"""Jobs and plans that ended lately, and whether they were delivered whole."""

from __future__ import annotations

from collections.abc import Iterable

from orchbridge.core.view import RecentJob
from orchbridge.ops.page.html import Html, el, said
from orchbridge.ops.page.parts import job_link, pill, row, section, table
from orchbridge.ops.page.words import since
from orchbridge.ops.status import Status

SHOWN = 10
HEADS = ("job or plan", "what", "environment", "ended as", "nodes", "delivered whole", "ended")
COLOURS = {"finished": "good", "success": "good", "failed": "bad", "failure": "bad", "stopped": "warn"}
WHOLE = {None: ("not yet", "calm"), True: ("yes", "good"), False: ("no", "bad")}


def ended(status: Status) -> Html | None:
    """Return the newest that ended, of all sources."""
    found = sorted(_ended(status), key=lambda job: job.finished or "", reverse=True)
    if not found:
        return None
    rows = [_row(job, status.now) for job in found[:SHOWN]]
    return section("ended", "Ended lately", table("Jobs and plans that ended lately", HEADS, rows))


def _ended(status: Status) -> Iterable[RecentJob]:
    for source in status.sources:
        for stream in source.streams:
            running = {job.id for job in stream.view.running}
            yield from (job for job in stream.view.recent if job.id not in running and job.state)


def _row(job: RecentJob, now: float) -> Html:
    nodes = ", ".join(f"{count:,} {state}" for state, count in sorted(job.nodes.items()))
    whole = pill(*WHOLE[job.complete]) if job.kind == "job" else el("span", "–")
    return row(
        HEADS,
        job_link(job.kind, job.id, job.url),
        said(job.name),
        said(job.environment),
        pill(job.state, COLOURS.get(job.state, "calm")),
        said(nodes),
        whole,
        el("span", since(job.finished, now), " ago" if job.finished else None),
    )
