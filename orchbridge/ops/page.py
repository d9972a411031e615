"""The status page: one plain HTML document, readable on a phone, without a single outside resource."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from orchbridge.core.view import RecentJob
from orchbridge.ops.status import (
    DONE,
    FENCED,
    LIVE,
    OWNER,
    PARKED,
    STARTING,
    STUMBLING,
    SourceStatus,
    Status,
    StreamStatus,
)

REFRESH_S = 5

STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5c6675;--paper:#f6f7f9;--card:#fff;--line:#e2e6ec;
--good:#12734a;--goodbg:#dff5ea;--bad:#b3261e;--badbg:#fde4e1;--warn:#8a5a00;--warnbg:#fff1d1;--calm:#eceff4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--paper:#11151b;--card:#1a2029;--line:#2b3340;
--good:#6fd6a5;--goodbg:#143527;--bad:#ff9d94;--badbg:#431a17;--warn:#f2c464;--warnbg:#3b2d0c;--calm:#262e3a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.25rem 1rem 3rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline}
h1{font-size:1.25rem;margin:0}h2{font-size:1.1rem;margin:0}h3{font-size:.95rem;margin:1.25rem 0 .4rem}
small,.soft{color:var(--soft)}
nav{margin-left:auto}nav a{color:inherit;margin-left:.75rem}
.banner{margin:1rem 0;padding:.7rem 1rem;border-radius:.6rem;background:var(--goodbg);color:var(--good);font-weight:600}
.banner.bad{background:var(--badbg);color:var(--bad)}.banner ul{margin:.3rem 0 0;padding-left:1.2rem;font-weight:400}
section{background:var(--card);border:1px solid var(--line);border-radius:.8rem;padding:1rem;margin:1rem 0}
.facts{display:flex;flex-wrap:wrap;gap:.4rem 1.5rem;margin:.5rem 0 0;padding:0;list-style:none}
.facts b{font-variant-numeric:tabular-nums}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:500;color:var(--soft);font-size:.85rem}
th,td{padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tr:last-child td{border-bottom:0}
.pill{display:inline-block;padding:0 .55rem;border-radius:1rem;background:var(--calm);font-size:.85rem;
white-space:nowrap}
.good{background:var(--goodbg);color:var(--good)}.bad{background:var(--badbg);color:var(--bad)}
.warn{background:var(--warnbg);color:var(--warn)}
.error{color:var(--bad)}
@media(max-width:44rem){thead{display:none}tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}
tr:last-child{border-bottom:0}td{display:flex;gap:1rem;justify-content:space-between;padding:.15rem 0;
border:0;text-align:right}
td::before{content:attr(data-name);color:var(--soft);text-align:left;flex:none}
nav{margin-left:0}nav a{margin:0 .75rem 0 0}}
"""
STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"

_COLOURS = {
    LIVE: "good", STARTING: "", STUMBLING: "warn", PARKED: "bad", DONE: "good", FENCED: "warn",
    "finished": "good", "success": "good", "failed": "bad", "failure": "bad", "stopped": "warn", "stopping": "warn",
}  # fmt: skip


def page(status: Status, reasons: tuple[str, ...]) -> str:
    """Return the document. Everything that came from outside is escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}"><meta name="robots" content="noindex">'
        f"<title>{'Not ready' if reasons else 'Ready'} · orchbridge</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>orchbridge</h1><small>{escape(status.version)}, up {_span(status.now - status.started)}</small>"
        '<nav><a href="metrics">metrics</a><a href="status.json">json</a><a href="readyz">ready</a></nav></header>'
        f"{_banner(reasons)}{_workers(status)}"
        f"{''.join(_source(source, status.now) for source in status.sources)}</main></body></html>"
    )


def _banner(reasons: tuple[str, ...]) -> str:
    if not reasons:
        return '<div class="banner" role="status">Ready: every stream this worker carries is moving.</div>'
    lines = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<div class="banner bad" role="alert">Not ready<ul>{lines}</ul></div>'


def _workers(status: Status) -> str:
    """Who this worker is, and who shares the streams with it."""
    if status.group is None:
        return ""
    others = [name for name in status.group.members if name != status.worker]
    beside = f", beside {', '.join(map(escape, others))}" if others else ", alone"
    joined = "outside" if status.group.trouble else "in"
    beside = "" if status.group.trouble else beside
    return (
        f'<p class="soft">Worker {escape(status.worker)}, {joined} group {escape(status.group.name)}{beside}. '
        f"Last shared out {_ago(status.group.since, status.now)}.</p>"
    )


def _source(source: SourceStatus, now: float) -> str:
    up = {None: ("", "not asked yet"), True: ("good", "up"), False: ("bad", "does not answer")}[source.up]
    facts = [("requests a second", f"{source.requests_per_s:g}")]
    if source.budget_left is not None:
        facts.append(("request budget left", f"{source.budget_left:g}"))
    for stream in source.streams:
        view = stream.view
        if stream.kind == "inventory" and (view.nodes_connected or view.nodes_disconnected):
            facts.append(("nodes connected", f"{view.nodes_connected:,}"))
            facts.append(("disconnected", f"{view.nodes_disconnected:,}"))
        facts += [(f"{stream.kind} {state}", f"{count:,}") for state, count in sorted(view.jobs_by_state.items())]
    listed = "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts)
    return (
        f"<section><h2>{escape(source.name)} {_pill(up[1], up[0])} <small>{escape(source.host)}</small></h2>"
        f'<ul class="facts">{listed}</ul>{_streams(source.streams, now)}{_recent(source.streams)}</section>'
    )


def _streams(streams: Iterable[StreamStatus], now: float) -> str:
    heads = ("stream", "state", "cursor", "lag", "last commit", "records", "last error")
    rows = "".join(
        _row(
            heads,
            f"<b>{escape(stream.kind)}</b>",
            _state(stream),
            escape(_place(stream)) or "–",
            "–" if (lag := stream.lapsed_s(now)) is None else _span(lag),
            _ago(stream.last_commit, now),
            f"{stream.records:,}",
            _mishap(stream, now),
        )
        for stream in streams
    )
    return f"<h3>Streams</h3><table>{_head(heads)}<tbody>{rows}</tbody></table>"


def _state(stream: StreamStatus) -> str:
    told = _pill(stream.state, _COLOURS.get(stream.state, ""))
    return f"{told} <small>{escape(stream.owner)}</small>" if stream.role != OWNER and stream.owner else told


def _place(stream: StreamStatus) -> str:
    """Return how far a stream is: the cursor, or for a backfill how much of the history is delivered."""
    told = stream.view.progress
    if told is None:
        return stream.view.cursor
    noun = stream.kind.partition("-")[0]
    share = f", {100 * told.done // told.total} %" if told.total else ""
    line = f"history: {told.done:,} of {told.total:,} {noun}{share}"
    if told.skipped:
        line += f", {told.skipped:,} gone before they were read"
    if stream.left_s is not None:
        line += f"; about {_about(stream.left_s)} left"
    return line


def _about(seconds: float) -> str:
    """Return a length of time as roughly as it is known."""
    minutes = seconds / 60
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.0f} h"


def _mishap(stream: StreamStatus, now: float) -> str:
    told = stream.mishap
    if told is None:
        return "–"
    action = f"<br>{escape(told.action)}" if told.action else ""
    mark = ' class="error"' if stream.state in {PARKED, STUMBLING} else ""
    return f"<span{mark}>{escape(told.message)}{action}</span> <small>{_ago(told.at, now)}</small>"


def _recent(streams: Iterable[StreamStatus]) -> str:
    jobs = [job for stream in streams for job in stream.view.recent]
    if not jobs:
        return ""
    heads = ("number", "what", "state", "environment", "nodes", "delivered whole", "created")
    rows = "".join(_job(heads, job) for job in sorted(jobs, key=lambda job: job.created or "", reverse=True)[:20])
    return f"<h3>Recent jobs and plans</h3><table>{_head(heads)}<tbody>{rows}</tbody></table>"


def _job(heads: tuple[str, ...], job: RecentJob) -> str:
    number = escape(f"{job.kind} {job.id}")
    if job.url is not None and job.url.startswith(("https://", "http://")):
        number = f'<a href="{escape(job.url)}" rel="noreferrer">{number}</a>'
    whole = {None: "–", True: _pill("yes", "good"), False: _pill("no", "bad")}[job.complete]
    nodes = ", ".join(f"{count:,} {state}" for state, count in sorted(job.nodes.items()))
    return _row(
        heads,
        number,
        escape(job.name) or "–",
        _pill(job.state, _COLOURS.get(job.state, "")),
        escape(job.environment or "–"),
        escape(nodes) or "–",
        whole,
        escape(job.created or "–"),
    )


def _head(names: Iterable[str]) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _row(heads: tuple[str, ...], *cells: str) -> str:
    """Return a row; each cell also carries its column's name, for screens too narrow for a table."""
    inner = (f'<td data-name="{name}"><span>{cell}</span></td>' for name, cell in zip(heads, cells, strict=True))
    return f"<tr>{''.join(inner)}</tr>"


def _pill(text: str, colour: str) -> str:
    return f'<span class="pill {colour}">{escape(text)}</span>'


def _ago(moment: float | None, now: float) -> str:
    return "–" if moment is None else f"{_span(now - moment)} ago"


def _span(seconds: float) -> str:
    """Return a length of time in its two largest units at most."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s" if whole < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
