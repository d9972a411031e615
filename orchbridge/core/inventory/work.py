"""The inventory stream's state between two folds, and the draft of its next batch."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from orchbridge.core import head as heads
from orchbridge.core import times
from orchbridge.core.batch import BATCH_RECORDS_MAX, Batch
from orchbridge.core.facts import Connection, Odd
from orchbridge.core.head import Head
from orchbridge.core.inventory.node import Node, flaps_until, recent_flaps
from orchbridge.core.normalize import nodes as records
from orchbridge.core.normalize.quarantine import list_asides
from orchbridge.core.questions import Reply, Trouble
from orchbridge.core.records import Record
from orchbridge.core.settings import StreamSettings

replace = msgspec.structs.replace


class InventoryState(msgspec.Struct, frozen=True):
    """An inventory stream between two folds; `nodes` is never changed in place.

    brokers    connected nodes by broker, "" where PE names none; flapping: certname -> until when it counts as such
    named      of the first `node_series` nodes by name whether they are connected
    doubts     certname -> polls in a row that confirmed it as gone, in halves: a silent one counts half
    unsure     certnames missing from the newest list, to be asked about by name
    guarded    the newest list was empty: nothing is believed before the broker is known to be well
    absent     this server has no inventory, as far as it was asked
    listed_at  when the newest list was asked for; 0 before the first
    believed   when the newest that is believed was; None before the first
    """

    head: Head
    dirty: bool = True
    nodes: Mapping[str, Node] = {}
    connected: int = 0
    brokers: Mapping[str, int] = {}
    flapping: Mapping[str, float] = {}
    named: tuple[tuple[str, bool], ...] = ()
    doubts: Mapping[str, int] = {}
    unsure: tuple[str, ...] = ()
    guarded: bool = False
    absent: bool = False
    listed_at: float = 0.0
    believed: float | None = None
    due: float = 0.0
    failures: int = 0


class Work:
    """One fold's changes, collected; the table of nodes is copied only when one changes."""

    def __init__(self, settings: StreamSettings, state: InventoryState, now: float) -> None:
        self.settings, self.state, self.now = settings, state, now
        self.observed = times.text(now)
        self.records: list[Record] = []
        self.left: list[Reply] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self._nodes: dict[str, Node] | None = None
        self._brokers = Counter[str]()
        self._flapping: dict[str, float] | None = None

    @property
    def full(self) -> bool:
        return len(self.records) >= BATCH_RECORDS_MAX

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.state.nodes if self._nodes is None else self._nodes

    def _set(self, name: str, node: Node | None) -> None:
        if self._nodes is None:
            self._nodes = dict(self.state.nodes)
            self._brokers = Counter(self.state.brokers)
        before = self._nodes.pop(name, None)
        count = self.state.connected - (before is not None and before.connected)
        if before is not None and before.connected:
            self._brokers[before.broker or ""] -= 1
        if node is not None:
            self._nodes[name] = node
            count += node.connected
            self._brokers[node.broker or ""] += node.connected
            epoch = self.state.head.epoch_name
            self.records.append(records.node_document(self.settings.origin, epoch, name, node, self.observed, self.now))
        self.state = replace(self.state, connected=count)
        self._flap(name, node)

    def _flap(self, name: str, node: Node | None) -> None:
        """Note until when the node counts as flapping, so that nobody has to look at all of them to count those."""
        until = None if node is None else flaps_until(node)
        known = self.state.flapping if self._flapping is None else self._flapping
        if until is None and name not in known:
            return
        self._flapping = dict(known) if self._flapping is None else self._flapping
        if until is None:
            del self._flapping[name]
        else:
            self._flapping[name] = until

    def set_aside(self, odds: Sequence[Odd]) -> None:
        """Quarantine rows that are none, once; a node whose row it was is asked about by name."""
        if not odds:
            return
        reasons = Counter(odd.reason for odd in odds)
        self.troubles += [("a row of the inventory", Trouble("malformed", reason)) for reason in reasons]
        head, origin = self.state.head, self.settings.origin
        said, new = list_asides(origin, head.epoch_name, self.settings.id.kind, odds, head.odd, self.observed)
        if new:
            self.records += new
            self.state = replace(self.state, head=replace(head, odd=said), dirty=True)

    def present(self, row: Connection) -> None:
        """Take in that a node is connected: new, back, in a new session, or as before."""
        before = self.nodes.get(row.name)
        if before is not None and before.connected:
            since = row.since if row.since is not None else before.since
            broker = row.broker if row.broker is not None else before.broker
            if (since == before.since and broker == before.broker) or _earlier(since, before.since):
                return
            returns, newest = _told_apart(before, since)
            revision = before.revision + 1
            node = replace(before, broker=broker, since=since, revision=revision, returns=returns, newest=newest)
        elif before is not None:
            returns, newest = _told_apart(before, row.since)
            node = replace(
                before, connected=True, broker=row.broker, since=row.since, changed=self.now,
                revision=before.revision + 1, returns=returns, newest=newest,
            )  # fmt: skip
        else:
            node = self._new(row)
        if before is not None or self.state.head.seeded:
            epoch = self.state.head.epoch_name
            self.records.append(records.connected(self.settings.origin, epoch, row.name, node, before, self.observed))
        self._set(row.name, node)

    def _new(self, row: Connection) -> Node:
        """Return a node that is not remembered. It may have been forgotten: its ids begin above those it had."""
        forgotten = self.state.head.forgotten
        began = times.seconds(row.since)
        old = began is None or self.now - began >= self.settings.forget_after_s  # may be told of already
        returns = forgotten if old and row.since is not None else 0
        return Node(True, row.broker, row.since, began or self.now, forgotten + 1, returns)

    def absent(self, name: str, polls: int) -> None:
        """Take in that a node is gone, confirmed by so many polls."""
        before = self.nodes.get(name)
        if before is None or not before.connected:
            return
        epoch, age = self.state.head.epoch_name, self.now - self.state.listed_at
        self.records.append(
            records.disconnected(
                self.settings.origin, epoch, name, before, self.observed, now=self.now, polls=polls, age_s=age
            )
        )
        flaps = (*recent_flaps(before, self.now), self.now)
        self._set(name, replace(before, connected=False, changed=self.now, revision=before.revision + 1, flaps=flaps))

    def forget(self, name: str) -> None:
        """Let go of a node that was away for too long."""
        node, origin, epoch = self.nodes[name], self.settings.origin, self.state.head.epoch_name
        self.records.append(records.removed(origin, epoch, name, node, self.observed))
        self.records.append(records.node_forgotten(origin, epoch, name, node, self.observed))
        self._set(name, None)
        head = self.state.head
        if node.revision + 1 > head.forgotten:
            self.state = replace(self.state, head=replace(head, forgotten=node.revision + 1), dirty=True)

    def batch(self) -> Batch:
        """Return the batch; the head travels with it when it changed."""
        state, documents = self.state, dict[str, bytes | None]()
        if self._nodes is not None:
            named = by_name(self._nodes, self.settings.node_series)
            state = replace(state, nodes=self._nodes, brokers=dict(+self._brokers), named=named)
        flapping = state.flapping if self._flapping is None else self._flapping
        if self._flapping is not None or any(until <= self.now for until in flapping.values()):
            still = {name: until for name, until in flapping.items() if until > self.now}
            state = replace(state, flapping=still)
        if state.dirty and (state.listed_at or self.records):
            documents[self.settings.name] = heads.encode(state.head)
            state = replace(state, dirty=False)
        return Batch(tuple(self.records), documents, state, tuple(self.left), tuple(self.troubles))


def summed(state: InventoryState, node_series: int) -> InventoryState:
    """Return the state with everything that is counted along counted anew from its nodes."""
    brokers = Counter(node.broker or "" for node in state.nodes.values() if node.connected)
    untils = ((name, flaps_until(node)) for name, node in state.nodes.items())
    flapping = {name: until for name, until in untils if until is not None}
    named = by_name(state.nodes, node_series)
    return replace(state, connected=brokers.total(), brokers=brokers, flapping=flapping, named=named)


def by_name(nodes: Mapping[str, Node], most: int) -> tuple[tuple[str, bool], ...]:
    """Return whether they are connected of the first nodes by name."""
    return tuple((name, nodes[name].connected) for name in heapq.nsmallest(most, nodes)) if most else ()


def _told_apart(before: Node, since: str | None) -> tuple[int, str | None]:
    """Return `returns` and `newest` of a node in session `since`, so that none of its news has an id twice."""
    if since == before.since:
        return (0 if since is None else before.returns + 1), before.newest
    known = before.newest or before.since
    if since is None:
        return 0, known
    if known is not None and (since == known or _earlier(since, known)):
        return before.revision, known  # it may have been told of long ago
    return 0, None


def _earlier(since: str | None, known: str | None) -> bool:
    """Whether a session began before the one that is known: a broker that did not notice its end still lists it."""
    if since == known:
        return False
    began, newest = times.seconds(since), times.seconds(known)
    return began is not None and newest is not None and began < newest
