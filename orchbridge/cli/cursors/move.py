"""`orchbridge cursors set` and `reset`: another place for a stream, or none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence

import msgspec

from orchbridge.cli import wiring
from orchbridge.cli.cursors import telling
from orchbridge.cli.cursors.change import Change, Wish, carry_out, must_be_asked, stamp
from orchbridge.cli.cursors.places import (
    BACKFILL,
    REPLAY,
    Place,
    head_of,
    one,
    places,
    read_head,
    read_memos,
    sink_with_memory,
    survivor,
)
from orchbridge.cli.exits import DONE, UNAVAILABLE, say
from orchbridge.config import Settings
from orchbridge.core import times
from orchbridge.core.activity.stream import KIND as ACTIVITY
from orchbridge.core.errors import ConfigError, Corrupt, Refused
from orchbridge.core.facts import Job, Plan
from orchbridge.core.head import Anchor, Head
from orchbridge.core.inventory.node import Node, from_document
from orchbridge.core.moving import moved
from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.nodes import node_forgotten
from orchbridge.core.questions import JobsPage, Page, PlansPage, Trouble
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules
from orchbridge.orchestrator.client import Client

NEWEST = 50


async def set_place(
    settings: Settings, which: str, *, job: int | None, plan: int | None, force: bool, yes: bool
) -> int:
    """Move a stream to a job or plan."""
    must_be_asked(yes=yes)
    if (job is None) == (plan is None):
        raise ConfigError("say where to: one of --job N and --plan N")
    async with sink_with_memory(settings) as sink:
        place = one(places(settings, await sink.kept()), which)
        to = _wanted(place, job, plan)
        head = head_of(place, settings)
        read_memos(place.id, place.documents)
        if head is None:
            raise Refused(
                f"{which} has no memory yet, so there is nothing to move",
                hint=f'a stream without one begins at `start`: write start = "job:{to + 1}" in the configuration',
            )
        if to == head.high:
            print(f"{which} stands at {place.noun} {to} already; nothing was changed")
            return DONE
        shown: Sequence[Anchor] = ()
        if to > head.high:
            answer = await _newest(place)
            if isinstance(answer, Trouble):
                say(f"orchbridge: {place.id.source} does not show its newest {place.noun}s: {answer.explanation}")
                say(f"orchbridge: only it can tell whether there is a {place.noun} {to}; nothing was changed")
                return UNAVAILABLE
            _refuse_beyond(place, head, answer, to)
            shown = answer

        def changer(documents: Mapping[str, bytes]) -> Change:
            return _set(place, settings, documents, to, shown)

        return await carry_out(sink, [Wish(place.id, place.documents, changer)], force=force, yes=yes)


def _wanted(place: Place, job: int | None, plan: int | None) -> int:
    """Return the id wanted; raise ConfigError where the stream has no such ids."""
    to = job if job is not None else plan
    assert to is not None
    if place.id.kind in {"inventory", "schedules"} or place.id.kind.startswith(ACTIVITY):
        raise ConfigError(
            f"{place.name} has no ids to move to: it compares what is with what was",
            hint=f"to have it begin anew: orchbridge cursors reset {place.name}",
        )
    if place.source is None:
        raise ConfigError(f"source {place.id.source} is not in the configuration", hint="add it, or reset the stream")
    if not place.noun or place.id.kind.endswith(BACKFILL) or place.id.kind.startswith(REPLAY):
        raise ConfigError(
            f"{place.name} reads a part of history once and cannot be moved",
            hint=f"to read something again use orchbridge replay; to give it up: orchbridge cursors reset {place.name}",
        )
    if place.noun != ("job" if job is not None else "plan"):
        raise ConfigError(f"{place.name} counts {place.noun}s", hint=f"write --{place.noun} {to}")
    return to


def _set(place: Place, settings: Settings, documents: Mapping[str, bytes], to: int, shown: Sequence[Anchor]) -> Change:
    """Return the move from where these documents stand."""
    head = read_head(place.id, documents[place.name], place.source, settings)
    noun, high = place.noun, head.high
    if shown and to <= high:
        raise Refused(f"{place.name} has come to {noun} {high} meanwhile; it was not changed", hint="look again")
    move = moved(place.name, documents, to, owner=stamp("set"), shown=shown)
    lines = [f"{place.name}: from {noun} {high} to {noun} {to}"]
    restored = survivor(documents[place.name])
    if to < high:
        lines.append(f"  {telling.repeated(noun, to, high, epoch=head.epoch, survivor=restored)}")
        if move.forgotten:
            again = telling.listed(move.forgotten)
            lines.append(f"  still followed of these, and read from the first event again: {again}")
    else:
        lines.append(f"  {telling.skipped(noun, high, to)}")
        lines.append(f"  what is followed already goes on; {noun} {to + 1} is the next to be read")
    return Change(tuple(lines), move.documents)


async def _newest(place: Place) -> list[Anchor] | Trouble:
    """Return the newest anchors that the source shows."""
    assert place.source is not None
    question = JobsPage(NEWEST, 0) if place.noun == "job" else PlansPage(NEWEST)
    async with Client(wiring.access_of(place.source), lambda _: None) as client:
        answer = await client.answer(question)
    if isinstance(answer, Trouble):
        return answer
    items = answer.items if isinstance(answer, Page) else ()
    return [Anchor(item.id, item.created, item.owner.id) for item in items if isinstance(item, Job | Plan)]


def _refuse_beyond(place: Place, head: Head, shown: Sequence[Anchor], to: int) -> None:
    """Raise Refused where the place would be one that no honest stream can have."""
    newest = max((anchor.id for anchor in shown), default=0)
    known = {anchor.id: anchor for anchor in head.anchors}
    if newest < head.high or any(a.id in known and known[a.id].contradicts(a) for a in shown):
        raise Refused(
            f"{place.id.source} shows another history than the one that {place.name} has read; nothing was changed",
            hint="was it restored? let a worker run until it has begun the next epoch",
        )
    if to > newest:
        raise Refused(
            f"there is no {place.noun} {to}: the newest that {place.id.source} shows is {newest}; nothing was changed",
            hint=f"--{place.noun} {newest} skips all there is now",
        )


async def reset_place(settings: Settings, which: str, *, force: bool, yes: bool) -> int:
    """Forget a stream's memory."""
    must_be_asked(yes=yes)
    async with sink_with_memory(settings) as sink:
        place = one(places(settings, await sink.kept()), which)
        inventory = place.id.kind == "inventory"
        if inventory and place.source is None:
            raise ConfigError(f"source {place.id.source} is not in the configuration", hint="add it to find its nodes")
        if not place.documents and not inventory:
            print(f"{which} has no memory; nothing was changed")
            return DONE

        def changer(documents: Mapping[str, bytes]) -> Change:
            now = msgspec.structs.replace(place, documents=documents)
            return _reset_inventory(now, settings) if inventory else _reset(now, settings)

        return await carry_out(sink, [Wish(place.id, place.documents, changer)], force=force, yes=yes)


def _reset(place: Place, settings: Settings) -> Change:
    """Return what forgets a walked stream."""
    lines = [f"{place.name}: everything remembered of it is forgotten ({len(place.documents)} documents)"]
    try:
        head = head_of(place, settings)
    except Corrupt as error:
        head = None
        lines.append(f"  as it is, it cannot be used: {error}")
    if head is not None and place.noun:
        lines.append(f"  it stood at {place.noun} {head.high}, epoch {head.epoch_name}")
    lines.append(f"  {_beginning(place)}")
    if head is not None and head.epoch > 1:
        lines.append(
            "  it begins in epoch e1 again: ids of the first history may be given to other things a second time"
        )
    return Change(tuple(lines), dict.fromkeys(place.documents))


def _beginning(place: Place) -> str:
    """Return how a stream goes on that has lost its memory."""
    if place.id.kind.startswith(REPLAY):
        return "the same replay, run again, begins with its first id"
    if not place.named or place.source is None:
        return "nothing begins anew: the configuration does not name this stream"
    if place.id.kind.endswith(BACKFILL):
        return "what it had not read yet is not read any more"
    noun, start = place.noun, place.source.start
    if start == "now" and not noun:
        return "it begins anew with start = now: what is there then is not told, nor what happens until the next run"
    if start == "now":
        return (
            f"it begins anew with start = now: {noun}s unfinished then are delivered whole, be it a second time;\n"
            f"  {noun}s that end before the next run, and were not delivered yet, will not be"
        )
    return f"it begins anew with start = {start}: whatever was delivered of that comes a second time, with the same ids"


def _reset_inventory(place: Place, settings: Settings) -> Change:
    """Return what forgets an inventory: its head and every node's document."""
    epoch = "e1"
    if place.name in place.documents:
        with contextlib.suppress(Corrupt):
            epoch = read_head(place.id, place.documents[place.name], place.source, settings).epoch_name
    lines = (
        f"{place.name}: the document of every node is removed from the node-state topic",
        "  the next inventory writes them again; what changes until then is not told",
    )

    def forget(nodes: Mapping[str, bytes]) -> list[Record]:
        origin, observed = Origin(place.id.source, Rules()), times.text(time.time())
        return [node_forgotten(origin, epoch, name, _node(value), observed) for name, value in nodes.items()]

    return Change(lines, {place.name: None}, forget)


def _node(document: bytes) -> Node:
    """Return the node; one that cannot be read can be removed all the same."""
    try:
        return from_document(document, {})
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Node(connected=False, broker=None, since=None, changed=0.0, revision=0)
