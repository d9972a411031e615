"""What failed within the last hour, by error: the widest first, each with where to look."""

from __future__ import annotations

from hashlib import blake2s

from orchbridge.ops.failures import FailedJob
from orchbridge.ops.grouped import Trouble, grouped
from orchbridge.ops.page.html import Html, el, said
from orchbridge.ops.page.parts import job_link, more, row, runbook, section, table
from orchbridge.ops.page.words import ago, many
from orchbridge.ops.status import Status

GROUPS_SHOWN = 12
JOBS_SHOWN = 10
HEADS = ("job", "what", "environment", "nodes with this error", "failed")


def failed(status: Status) -> Html:
    """Return the failures of all sources, grouped by their error."""
    jobs = [job for source in status.sources for job in source.failures]
    groups = grouped(jobs)
    if not groups:
        return section("failures", "Failures", el("p", "Nothing failed within the last hour.", class_="soft"))
    several = len(status.sources) > 1
    items = [_group(group, status.now, several=several) for group in groups[:GROUPS_SHOWN]]
    note = f"{many(len(jobs), 'job or plan') if len(jobs) == 1 else f'{len(jobs):,} jobs and plans'} in the last hour"
    listed = el("ul", items, class_="groups")
    how = el("p", "What to do about them: ", runbook("failures"), ".", class_="soft")
    return section("failures", "Failures", listed, more(GROUPS_SHOWN, len(groups), "error"), how, note=note)


def _group(group: Trouble, now: float, *, several: bool) -> Html:
    size = many(group.nodes, "node") if group.nodes else many(len(group.jobs), group.jobs[0].kind)
    names = list(dict.fromkeys(job.name for job in group.jobs if job.name))
    where = f"in {many(len(group.jobs), 'job')}" if group.nodes else ""
    told = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    lines = [el("span", said(group.message), class_="message")]
    lines += [
        el("small", said(told), f" · {where}" if where else "", *([" · ", said(group.kind)] if group.kind else []))
    ]
    summary = el("summary", el("b", size, class_="size"), " ", el("span", lines, class_="what"))
    rows = [_job(job, n, now, several=several) for job, n in zip(group.jobs[:JOBS_SHOWN], group.of_job, strict=False)]
    listed = table(f"Where it was met: {group.message}", HEADS, rows)
    name = blake2s(repr((group.kind, group.message)).encode("utf-8", "replace"), digest_size=6).hexdigest()
    examples = _examples(group)
    return el("li", el("details", summary, listed, more(JOBS_SHOWN, len(group.jobs), "job"), examples, id=f"f-{name}"))


def _examples(group: Trouble) -> Html | None:
    if not group.examples:
        return None
    nodes = [el("li", said(name)) for name in group.examples]
    rest = group.nodes - len(nodes)
    head = "On" if rest <= 0 else "For example on"
    return el("div", el("h3", head), el("ul", nodes, class_="names"), more(len(nodes), group.nodes, "node"))


def _job(job: FailedJob, nodes: int, now: float, *, several: bool) -> Html:
    total = sum(job.nodes.values())
    count = "–" if not nodes else f"{nodes:,} of {total:,}" if total else f"{nodes:,}"
    source = [" ", el("small", said(job.source))] if several else []
    return row(
        HEADS,
        el("span", job_link(job.kind, job.id, job.url), *source),
        said(job.name),
        said(job.environment),
        count,
        ago(job.at, now),
    )
