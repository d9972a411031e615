"""The inventory stream as a pure function of what the orchestrator said.

A list shows who is connected now, nothing more: no events, no order, no cursor. So the compacted
documents of the nodes are the memory, a node that is missing is asked about by name and has to be
missing twice, and an answer that could be a broker's hiccup means nothing by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchbridge.core import head as heads
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Connection, Odd
from orchbridge.core.head import Head
from orchbridge.core.inventory.node import Node, from_document
from orchbridge.core.inventory.work import InventoryState, Work, replace, summed
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Recalled, StreamId
from orchbridge.core.questions import (
    Answer,
    BrokerStatus,
    Health,
    Inventory,
    InventoryOf,
    Page,
    Question,
    Reply,
    Trouble,
)
from orchbridge.core.records import NODE_STATE
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView, largest

CONFIRMATIONS = 2
ASK_AT_ONCE = 1_000
ABSENT_RETRY_S = 60.0
UNASKABLE = frozenset({"absent", "invalid"})  # servers without POST /inventory: the list must do


class InventoryRecall:
    """An inventory memory being read back: the head, and one document per node."""

    def __init__(self, settings: StreamSettings, owner: str) -> None:
        self._settings, self._owner = settings, owner
        self._head: bytes | None = None
        self._nodes: dict[str, Node] = {}
        self._brokers: dict[str, str] = {}

    def learn(self, document: Recalled) -> None:
        """Take in one document, the newest of its key so far."""
        if document.place != NODE_STATE:
            self._head = document.value
        elif document.value is None:
            self._nodes.pop(document.key, None)
        else:
            try:
                self._nodes[document.key] = from_document(document.value, self._brokers)
            except msgspec.MsgspecError as error:
                raise Corrupt(
                    f"the document of node {document.key} cannot be read: {error}",
                    hint="was another program writing to the node-state topic? remove that key's record",
                ) from error

    def state(self) -> InventoryState:
        """Return the state that the documents describe."""
        settings = self._settings
        head = Head(url=settings.url, keys=settings.keys)
        if self._head is not None:
            head = heads.decode(settings.name, self._head, url=settings.url, keys=settings.keys, adopt=settings.adopt)
        return summed(InventoryState(replace(head, owner=self._owner), nodes=self._nodes), settings.node_series)


class InventoryStream:
    """Node reachability; implements `Stream` of core/ports.py."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = (NODE_STATE,)

    def recall(self, owner: str) -> InventoryRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return InventoryRecall(self.settings, owner)

    def ask(self, state: InventoryState, now: float) -> tuple[Question, ...]:
        """Return the list when it is due, and what is doubtful about the last one."""
        if state.due <= now:
            return (Inventory(),)
        if state.unsure and state.guarded:
            return (BrokerStatus(),)
        return (InventoryOf(state.unsure[:ASK_AT_ONCE]),) if state.unsure else ()

    def fold(self, state: InventoryState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; a long list is folded slice by slice."""
        work = Work(self.settings, state, now)
        for reply in replies:
            if work.full:
                work.left.append(reply)
            elif isinstance(reply.question, Inventory):
                self._list(work, reply)
            elif isinstance(reply.question, BrokerStatus):
                _broker(work, reply.answer)
            elif isinstance(reply.question, InventoryOf):
                _named(work, reply.question, reply.answer)
        self._forget(work)
        return work.batch()

    def _list(self, work: Work, reply: Reply) -> None:
        page = reply.answer
        if not isinstance(page, Page):
            _failed(work, page)
            return
        rows = _rows(page)
        if not page.cut:  # the whole list, not what an earlier fold left of it
            work.set_aside([item for item in page.items if isinstance(item, Odd)])
            self._missing(work, rows, reply)
        names = list(rows)
        for at, name in enumerate(names):
            if work.full:
                rest = tuple(rows[later] for later in names[at:])
                work.left.append(replace(reply, answer=Page(rest, cut=True)))
                return
            work.present(rows[name])
        if not work.state.head.seeded:
            work.state = replace(work.state, head=replace(work.state.head, seeded=True), dirty=True)

    def _missing(self, work: Work, rows: dict[str, Connection], reply: Reply) -> None:
        missing = tuple(name for name, node in work.nodes.items() if node.connected and name not in rows)
        doubts = {name: work.state.doubts.get(name, 0) for name in missing}
        due = max(reply.asked_at + self.settings.poll_s, work.now)
        guarded = not rows
        believed = work.state.believed if guarded and missing else reply.asked_at
        work.state = replace(
            work.state, unsure=missing, doubts=doubts, guarded=guarded, listed_at=reply.asked_at, believed=believed,
            due=due, failures=0,
        )  # fmt: skip

    def _forget(self, work: Work) -> None:
        if work.left:
            return
        limit = work.now - self.settings.forget_after_s
        gone = [name for name, node in work.nodes.items() if not node.connected and node.changed < limit]
        for name in gone:
            if work.full:
                return
            work.forget(name)

    def due(self, state: InventoryState, now: float) -> float:
        """Return seconds until the next list."""
        return max(0.0, state.due - now)

    def view(self, state: InventoryState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        count = len(state.nodes)
        return StreamView(
            cursor=f"{count} nodes",
            position=count,
            source_position=count,
            tracked=count,
            epoch=state.head.epoch_name,
            nodes_connected=state.connected,
            nodes_disconnected=count - state.connected,
            nodes_by_broker=largest(state.brokers),
            flapping=len(state.flapping),
            named=state.named,
            listed=state.believed,
        )


def _rows(page: Page) -> dict[str, Connection]:
    """Return the connected rows by name; of two sessions of one node the newer counts."""
    rows: dict[str, Connection] = {}
    for item in page.items:
        if isinstance(item, Connection) and item.connected:
            other = rows.get(item.name)
            if other is None or (item.since or "") >= (other.since or ""):
                rows[item.name] = item
    return rows


def _failed(work: Work, answer: Answer) -> None:
    """No list is no news: nodes keep the state they had."""
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a list")
    if trouble.kind == "absent" and not work.state.listed_at:  # before 2016.5 there was none; it can be upgraded
        if not work.state.absent:
            work.troubles.append(("the inventory", trouble))
        work.state = replace(work.state, absent=True, believed=work.now, due=work.now + ABSENT_RETRY_S)
        return
    failures = work.state.failures + 1
    pause = trouble.retry_after_s or backoff(work.settings.name, failures)
    work.state = replace(work.state, failures=failures, due=work.now + pause)
    work.troubles.append(("the inventory", trouble))


def _broker(work: Work, answer: Answer) -> None:
    """An empty list counts only while the broker is known to be well."""
    if isinstance(answer, Health) and answer.state == "running":
        work.state = replace(work.state, guarded=False, believed=work.state.listed_at)
        return
    word = answer.state if isinstance(answer, Health) else "unknown"
    work.state = replace(work.state, unsure=(), doubts={}, guarded=False)
    work.troubles.append(("the inventory", Trouble("server", f"the list is empty while the broker is {word}: ignored")))


def _named(work: Work, question: InventoryOf, answer: Answer) -> None:
    """Fold what was said about nodes missing from the list: here after all, or gone once more."""
    state = work.state
    unsure = tuple(name for name in state.unsure if name not in set(question.nodes))
    work.state = replace(state, unsure=unsure)
    if isinstance(answer, Trouble) and answer.kind not in UNASKABLE:
        work.troubles.append(("the inventory of missing nodes", answer))
        return
    rows = _rows(answer) if isinstance(answer, Page) else {}
    told = {item.name for item in answer.items if isinstance(item, Connection)} if isinstance(answer, Page) else None
    doubts = dict(state.doubts)
    for name in question.nodes:
        if name in rows:
            doubts.pop(name, None)
            work.present(rows[name])
        else:  # a name that the answer leaves out says less than one it calls disconnected
            doubts[name] = doubts.get(name, 0) + (1 if told is not None and name not in told else 2)
            if doubts[name] >= 2 * CONFIRMATIONS:
                del doubts[name]
                work.absent(name, CONFIRMATIONS)
    work.state = replace(work.state, doubts=doubts)
