"""Backfills: how much of the history is delivered, and about how long the rest takes."""

from __future__ import annotations

from orchbridge.core.window import Progress
from orchbridge.ops.page.html import Html, el, said
from orchbridge.ops.page.parts import bar, pill, section
from orchbridge.ops.page.sources import COLOURS
from orchbridge.ops.page.words import about
from orchbridge.ops.status import Status, StreamStatus


def history(status: Status) -> Html | None:
    """Return the progress of every window of history that this worker reads or has read."""
    found = [
        _window(source.name, stream, stream.view.progress)
        for source in status.sources
        for stream in source.streams
        if stream.view.progress is not None
    ]
    return section("history", "History", found) if found else None


def _window(source: str, stream: StreamStatus, told: Progress) -> Html:
    noun = stream.kind.partition("-")[0]
    share = f", {100 * told.done // told.total} %" if told.total else ""
    line = f"{told.done:,} of {told.total:,} {noun}{share}" if told.total else "There is nothing to deliver"
    if told.skipped:
        line += f", {told.skipped:,} gone before they were read"
    if told.running:
        line += f", {len(told.running):,} still running"
    if stream.left_s is not None:
        line += f"; about {about(stream.left_s)} left"
    rest = max(0, told.total - told.done - told.skipped)
    counts = {word: n for word, n in {"finished": told.done, "skipped": told.skipped, "waiting": rest}.items() if n}
    head = el("h3", said(f"{source}/{stream.kind}"), " ", pill(stream.state, COLOURS.get(stream.state, "calm")))
    gauge = bar(f"History of {source}/{stream.kind}", counts, told.done + told.skipped, line) if counts else None
    return el("div", head, gauge, el("p", line, class_="soft"))
