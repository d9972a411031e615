"""Nodes by reachability: how many the orchestrator reaches, through which broker, and who came or went last."""

from __future__ import annotations

from collections.abc import Mapping

from orchbridge.ops.changes import Change, Moves
from orchbridge.ops.page.html import Html, el, said
from orchbridge.ops.page.parts import bar, legend, more, pill, row, runbook, section, table
from orchbridge.ops.page.words import many, since
from orchbridge.ops.status import OWNER, SourceStatus, Status, StreamStatus

BROKERS_SHOWN, CHANGES_SHOWN = 8, 10
BROKER_HEADS, CHANGE_HEADS = ("broker", "connected nodes", "share"), ("node", "what", "when", "broker")
COLOURS = {"connected": "good", "disconnected": "bad", "removed": "warn"}


def nodes(status: Status) -> Html | None:
    """Return the nodes of every source whose inventory this worker carries."""
    found = [
        _source(source, stream, status.now)
        for source in status.sources
        for stream in source.streams
        if stream.kind == "inventory" and stream.role == OWNER
    ]
    return section("nodes", "Nodes", found) if found else None


def _source(source: SourceStatus, stream: StreamStatus, now: float) -> Html:
    view = stream.view
    counts = {"connected": view.nodes_connected, "disconnected": view.nodes_disconnected}
    shown = {word: count for word, count in counts.items() if count}
    total = sum(counts.values())
    head = el("h3", said(source.name))
    if not total:
        return el("div", head, el("p", "No nodes seen yet.", class_="soft"))
    told = f"{counts['connected']:,} of {many(total, 'node')} connected"
    gauge = bar(f"Connected nodes of {source.name}", shown, counts["connected"], told, role="meter")
    return el(
        "div",
        head,
        gauge,
        legend(shown),
        el("p", "What to do about disconnected nodes: ", runbook("nodes"), ".", class_="soft")
        if view.nodes_disconnected
        else None,
        el("div", _brokers(view.nodes_by_broker, source.name), _changes(stream.moves, source.name, now), class_="two"),
    )


def _brokers(told: Mapping[str, int], source: str) -> Html | None:
    if not told:
        return None
    ranked = sorted(told.items(), key=lambda item: (-item[1], item[0]))
    total = sum(told.values())
    rows = [
        row(BROKER_HEADS, _named(name), f"{count:,}", f"{100 * count / total:.0f} %")
        for name, count in ranked[:BROKERS_SHOWN]
    ]
    listed = table(f"Connected nodes of {source} by broker", BROKER_HEADS, rows)
    return el("div", el("h4", "By broker"), listed, more(BROKERS_SHOWN, len(ranked), "broker"))


def _changes(moves: Moves, source: str, now: float) -> Html:
    if not moves.newest:
        return el("div", el("h4", "Newest changes"), el("p", "None since this worker took it up.", class_="soft"))
    counts = ", ".join(f"{moves.last_hour[what]:,} {what}" for what in COLOURS if what in moves.last_hour)
    hour = el("p", f"In the last hour: {counts}.", class_="soft") if counts else None
    rows = [_change(change, now) for change in moves.newest[:CHANGES_SHOWN]]
    listed = table(f"Newest changes of the nodes of {source}", CHANGE_HEADS, rows)
    return el("div", el("h4", "Newest changes"), hour, listed)


def _change(change: Change, now: float) -> Html:
    when = el("span", since(change.time, now), " ago", class_="when")
    return row(
        CHANGE_HEADS, said(change.certname), pill(change.what, COLOURS[change.what]), when, _named(change.broker)
    )


def _named(broker: str | None) -> Html:
    """Return a broker by its host, which is what tells them apart, with its whole address for those who point at it."""
    host = (broker or "").removeprefix("pcp://").partition("/")[0]
    return el("span", said(host, "not told"), title=broker or None)
