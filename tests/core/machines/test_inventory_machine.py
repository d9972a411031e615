"""Nodes that come, go, flap and hide: what is said of them follows from what they did, and ends as it is."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from orchbridge.core import times
from orchbridge.core.facts import Connection
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.questions import Answer, BrokerStatus, Health, Inventory, InventoryOf, Page, Question
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carried import CarriedMachine, seeds
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PAGES, PASSING
from tests.core.machines.ledger import Ledger
from tests.core.server import Server

BEGIN, FORGET_S = 1_000_000.0, 120.0
names = st.sampled_from([f"n{at}.test" for at in range(3)])
pauses = st.sampled_from([0.0, 1.0, 6.0, 6.0, 12.0])


class InventoryMachine(CarriedMachine):
    """A broker with three nodes, an inventory stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.random = Random(0)
        self.flags: set[str] = set()  # connected, yet left out of the next lists
        self.ghosts: dict[str, tuple[str, bool]] = {}  # an older session that a broker lists, beside or instead
        self.sessions: dict[str, list[str]] = {}
        self.ended: set[tuple[str, str]] = set()
        self.vouched = False  # the newest list was not empty, or the broker said that it is well
        self.lies: dict[str, int] = {}  # polls in a row that called a connected node gone
        self.judged = 0
        self.ledger = Ledger(name="prod/inventory")
        stream = InventoryStream(settings("inventory", poll_s=5.0, forget_after_s=FORGET_S))
        self.carrier = Carrier(stream, self, self.ledger, BEGIN)
        self.carrier.most = self._most

    def answer(self, question: Question, now: float) -> Answer:
        answer = self.server.answer(question, now)
        well = self.server.broker == "running"
        if isinstance(question, Inventory) and isinstance(answer, Page):
            rows = [row for row in answer.items if isinstance(row, Connection) and row.name not in self.flags]
            gone = [row for row in self.server.inventory.values() if not row.connected]
            rows = [shown for row in rows for shown in self._haunted(row)]
            answer = Page((*rows, *(gone if self.random.random() < 0.3 else ()))) if well else Page(())
        elif isinstance(question, InventoryOf) and (not well or self.faults.at_work.pop("deny", None)):
            answer = Page(tuple(Connection(name, connected=False) for name in question.nodes))
        answer = self.faults.change(question, answer, self.random)
        self._heard(question, answer)
        return answer

    def _haunted(self, row: Connection) -> list[Connection]:
        since, instead = self.ghosts.get(row.name, ("", False))
        ghost = [Connection(row.name, True, "b3", since)] if since else []
        return [*ghost] if ghost and instead else [row, *ghost] if self.random.random() < 0.5 else [*ghost, row]

    def _heard(self, question: Question, answer: Answer) -> None:
        """Note which nodes were called gone though they are not; twice in a row, nobody could know better."""
        items = answer.items if isinstance(answer, Page) else ()
        shown = {row.name for row in items if isinstance(row, Connection) and row.connected}
        for name in shown:
            self.lies.pop(name, None)
        if isinstance(question, Inventory):
            self.vouched = bool(shown)
        elif isinstance(question, BrokerStatus):
            self.vouched = isinstance(answer, Health) and answer.state == "running"
        elif isinstance(question, InventoryOf) and self.vouched:
            for name in set(question.nodes) - shown:
                row = self.server.inventory.get(name)
                if row is not None and row.connected:
                    self.lies[name] = self.lies.get(name, 0) + 1
                    if self.lies[name] >= 2:
                        self.ended.add((name, row.since or ""))

    def _most(self) -> int | None:
        """One list a tick; the nodes that it lacks cost two questions more at most."""
        state, shown = self.carrier.state, self.server.inventory
        if self.faults.at_work or not state.listed_at or self.carrier.under_way or self.carrier.arrived:
            return 3
        lacks = any(
            node.connected and (name in self.flags or not (name in shown and shown[name].connected))
            for name, node in state.nodes.items()
        )
        return 3 if lacks or state.unsure or self.server.broker != "running" else 1

    @rule(name=names, broker=st.sampled_from(["b1", "b2"]), pause=pauses)
    def connect(self, name: str, broker: str, pause: float) -> None:
        """Open a session, the first or another."""
        self.carrier.now += 0.01
        since = times.text(self.carrier.now)
        self._end(name)
        self.server.inventory[name] = Connection(name, True, broker, since)
        self.sessions.setdefault(name, []).append(since)
        self.live(pause, 1)

    @rule(name=names, which=st.integers(1, 3), pause=pauses)
    def come_back(self, name: str, which: int, pause: float) -> None:
        """A session shows again that was said to be over: the newest, or one before it."""
        sessions, row = self.sessions.get(name, []), self.server.inventory.get(name)
        known = self.carrier.state.nodes.get(name)
        if which > 1 and (self.carrier.arrived or (known is not None and known.connected)):
            return  # while it is held to be in a newer one, an older one is what its broker forgot to end
        if row is not None and not row.connected and len(sessions) >= which:
            self.server.inventory[name] = Connection(name, True, "b1", sessions[-which])
            self.live(pause, 1)

    @rule(name=names, instead=st.booleans())
    def haunt(self, name: str, instead: bool) -> None:
        """A broker still lists an older session of a node that is known to be in a newer one."""
        sessions, known = self.sessions.get(name, []), self.carrier.state.nodes.get(name)
        if len(sessions) < 2 or known is None or not known.connected or known.since != sessions[-1]:
            return
        told = len(self.ledger.records)
        self.ghosts[name] = (sessions[-2], instead)
        self.live(6.0, 1)
        del self.ghosts[name]
        for record in self.ledger.records[told:]:
            assert f"node/{name}/up/{sessions[-2]}" not in record.id, f"{record.id} is older than {sessions[-1]}"

    @rule(name=names, pause=st.sampled_from([0.0, 6.0, 12.0, FORGET_S + 30.0]))
    def disconnect(self, name: str, pause: float) -> None:
        known = self.server.inventory.get(name)
        if known is not None and known.connected:
            self._end(name)
            self.server.inventory[name] = Connection(name, False)
            self.live(pause, 1)

    def _end(self, name: str) -> None:
        known = self.server.inventory.get(name)
        if known is not None:
            self.ended.add((name, known.since or ""))

    @rule(name=names, pause=pauses)
    def hide(self, name: str, pause: float) -> None:
        """The list forgets a node that is there; asked by name it still tells."""
        self.flags ^= {name}
        self.live(pause, 1)

    @rule(name=names, pause=pauses)
    def deny(self, name: str, pause: float) -> None:
        """The list lacks a node that is there, and asked by name it is called gone, once."""
        hidden = name in self.flags
        self.flags.add(name)
        self.live(0.0 if self.faults.at_work else 6.0, 1)
        self.faults.at_work["deny"] = ("", 1)
        self.live(pause, 1)
        self.faults.at_work.pop("deny", None)
        if not hidden:
            self.flags.discard(name)

    @rule(word=st.sampled_from(["running", "error", "unknown"]), pause=pauses)
    def broker(self, word: str, pause: float) -> None:
        self.server.broker = word
        self.live(pause, 1)

    @rule(
        question=st.sampled_from(["Inventory", "InventoryOf", "BrokerStatus"]),
        how=st.sampled_from([*PASSING, "absent", *PAGES]), times_=st.integers(1, 4),
    )  # fmt: skip
    def sicken(self, question: str, how: str, times_: int) -> None:
        if question == "InventoryOf" and how in {"empty", "torn", "absent"}:
            times_ = 1  # said twice in a row, nobody could know better
        self.faults.at_work[question] = (how, times_)

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0, 30.0, 300.0]), seed=seeds)
    def live(self, seconds: float, seed: int) -> None:
        self.carrier.until(self.carrier.now + seconds, Random(seed), step=1.0)

    @invariant()
    def news_is_true(self) -> None:
        """Every session told of was one; nobody is told gone whose session never ended, or forgotten too early."""
        records = self.ledger.records
        for at in range(self.judged, len(records)):
            record = records[at]
            if record.channel != "reachability" or record.data is None:
                continue
            word, _, rest = record.id.partition(f"node/{record.key}/")[2].partition("/")
            since = rest.partition("/")[0]
            if word == "up":
                assert since in self.sessions.get(record.key, []), f"{record.id} never was"
            elif word == "down-after":
                assert (record.key, since) in self.ended, f"{record.id}, which did not end"
            else:
                downs = [one.time for one in records[:at] if one.key == record.key and "/down-after/" in one.id]
                away = (times.seconds(record.time) or 0.0) - (times.seconds(downs[-1]) or 0.0)
                assert away >= FORGET_S - 0.01, f"{record.id} after {away} s"
        self.judged = len(records)

    def teardown(self) -> None:
        self.faults.at_work.clear()
        self.flags.clear()
        self.server.broker = "running"
        self.carrier.fates = []
        self.carrier.until(self.carrier.now + 60.0, Random(1), step=5.0)
        self.news_is_true()
        self._states_are_as_they_are()
        assert self.carrier.state.listed_at > self.carrier.now - 20.0
        self.carrier.until(self.carrier.now + FORGET_S + 60.0, Random(1), step=5.0)
        for name, record in self.ledger.states.items():
            assert record.data is None or record.data["connected"], f"{name} is never forgotten"

    def _states_are_as_they_are(self) -> None:
        told: dict[str, Any] = {name: record.data for name, record in self.ledger.states.items()}
        for name, row in self.server.inventory.items():
            data = told.get(name)
            if row.connected:
                assert data is not None, f"{name} is not known"
                assert (data["connected"], data["connected_at"], data["broker"]) == (True, row.since, row.broker), name
            else:
                assert data is None or not data["connected"], f"{name} is gone, and still told to be there"


TestInventory = InventoryMachine.TestCase
TestInventory.settings = budget(250, 40)
