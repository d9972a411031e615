"""The first look: is all well, what is to be done, and the few numbers everything else explains."""

from __future__ import annotations

from collections.abc import Iterable

from orchbridge.ops.page.html import Html, el
from orchbridge.ops.page.words import many, span
from orchbridge.ops.status import OWNER, RESTING, SourceStatus, Status, StreamStatus

EXPIRY_S = 7 * 86_400.0


def banner(status: Status, reasons: tuple[str, ...]) -> Html:
    """Say whether this worker is ready, and what a person should do."""
    if reasons:
        lines = el("ul", [el("li", reason) for reason in reasons])
        return el("div", el("strong", "Not ready"), lines, class_="banner bad", role="alert", id="verdict")
    notes = tuple(_notes(status))
    if notes:
        lines = el("ul", [el("li", note) for note in notes])
        return el("div", el("strong", "Ready, but look:"), lines, class_="banner warn", role="status", id="verdict")
    mine = any(stream.role == OWNER for source in status.sources for stream in source.streams)
    told = "every stream this worker carries is moving." if mine else "standing by; other workers carry the streams."
    return el("div", el("strong", "Ready:"), f" {told}", class_="banner good", role="status", id="verdict")


def _notes(status: Status) -> Iterable[str]:
    """Yield what will need a person before long."""
    for source in status.sources:
        if source.up is False:
            yield f"{source.name} does not answer; orchbridge check tells where it fails"
        token = source.token_expires if source.token_ends_soon(EXPIRY_S, status.now) else None
        for what, at in (("token", token), ("server's certificate", source.certificate_expires)):
            left = None if at is None else at - status.now
            if left is not None and left < EXPIRY_S:
                how = f"expires in {span(left)}" if left > 0 else "has expired"
                renewed = " (its renewal failed)" if what == "token" and source.token_renewal is not None else ""
                yield f"the {what} of {source.name} {how}{renewed}; replace it"
        if source.canary is not None and source.canary.mishap is not None:
            yield f"the last canary of {source.name} did not arrive: {source.canary.mishap.message}"
        missed = [run for stream in source.streams for run in stream.missed]
        if missed:
            yield f"{many(len(missed), 'scheduled run')} of {source.name} did not happen within the last hour"


def glance(status: Status) -> Html:
    """Return the numbers a person looks at first; each leads to what explains it."""
    streams = [stream for source in status.sources for stream in source.streams if stream.role == OWNER]
    tiles = [*_work(streams), *_failed(status.sources), *_nodes(streams), *_lag(streams, status.now), *_past(streams)]
    return el("nav", el("ul", tiles, class_="tiles"), aria_label="At a glance", id="glance")


def _tile(to: str, number: str, noun: str, note: str = "", colour: str = "") -> Html:
    inner = [el("b", number), " ", el("span", noun), *([" ", el("small", note)] if note else [])]
    return el("li", el("a", *inner, href=f"#{to}", class_=colour or None))


def _work(streams: list[StreamStatus]) -> Iterable[Html]:
    jobs = [stream for stream in streams if stream.kind == "jobs"]
    plans = [stream for stream in streams if stream.kind == "plans"]
    if jobs or plans:
        running = sum(_running(stream) for stream in jobs)
        note = many(sum(_running(stream) for stream in plans), "plan") if plans else ""
        yield _tile("flight", f"{running:,}", "job in flight" if running == 1 else "jobs in flight", note)


def _running(stream: StreamStatus) -> int:
    return sum(stream.view.jobs_by_state.values())


def _failed(sources: tuple[SourceStatus, ...]) -> Iterable[Html]:
    found = [failed for source in sources for failed in source.failures]
    nodes = sum(failed.failed_nodes for failed in found)
    note = f"on {many(nodes, 'node')}" if nodes else ""
    yield _tile("failures", f"{len(found):,}", "failed in the last hour", note, "bad" if found else "")


def _nodes(streams: list[StreamStatus]) -> Iterable[Html]:
    several = [stream.view for stream in streams if stream.kind == "inventory"]
    if several:
        gone = sum(view.nodes_disconnected for view in several)
        connected = sum(view.nodes_connected for view in several)
        noun = "node connected" if connected == 1 else "nodes connected"
        yield _tile("nodes", f"{connected:,}", noun, f"{gone:,} disconnected", "warn" if gone else "")


def _lag(streams: list[StreamStatus], now: float) -> Iterable[Html]:
    slow = [(lag, stream) for stream in streams if (lag := stream.lapsed_s(now)) is not None]
    if slow:
        lag, stream = max(slow, key=lambda pair: pair[0] / pair[1].patience_s)
        colour = "bad" if lag > stream.patience_s else ""
        yield _tile("sources", span(lag), "since the last look", stream.kind, colour)


def _past(streams: list[StreamStatus]) -> Iterable[Html]:
    told = [
        stream.view.progress for stream in streams if stream.view.progress is not None and stream.state not in RESTING
    ]
    total = sum(progress.total for progress in told)
    if total:
        done = sum(progress.done + progress.skipped for progress in told)
        yield _tile("history", f"{100 * done // total} %", "of the history delivered")
