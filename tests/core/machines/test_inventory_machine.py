"""Nodes that come, go, flap and hide: what is said of them follows from what they did, and ends as it is."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchbridge.core import times
from orchbridge.core.facts import Connection
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.questions import Answer, Inventory, Page, Question
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PAGES, PASSING, Faults
from tests.core.machines.ledger import Ledger
from tests.core.server import Server

BEGIN, FORGET_S = 1_000_000.0, 120.0
names = st.sampled_from([f"n{at}.test" for at in range(5)])
seeds = st.integers(0, 2**16)


class InventoryMachine(RuleBasedStateMachine):
    """A broker with five nodes, an inventory stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.faults, self.random = Faults(), Random(0)
        self.flags: set[str] = set()  # connected, yet left out of the next lists
        self.sessions: dict[str, set[str]] = {}
        self.left: dict[str, list[str]] = {}
        self.ledger = Ledger(name="prod/inventory")
        stream = InventoryStream(settings("inventory", poll_s=5.0, forget_after_s=FORGET_S))
        self.carrier = Carrier(stream, self, self.ledger, BEGIN)

    def answer(self, question: Question, now: float) -> Answer:
        answer = self.server.answer(question, now)
        if isinstance(question, Inventory) and isinstance(answer, Page):
            rows = [row for row in answer.items if isinstance(row, Connection) and row.name not in self.flags]
            gone = [row for row in self.server.inventory.values() if not row.connected]
            answer = Page((*rows, *(gone if self.random.random() < 0.3 else ())))
        return self.faults.change(question, answer, self.random)

    @rule(name=names, broker=st.sampled_from(["b1", "b2"]))
    def connect(self, name: str, broker: str) -> None:
        """Open a session, the first or another."""
        self.carrier.now += 0.01
        since = times.text(self.carrier.now)
        self.server.inventory[name] = Connection(name, True, broker, since)
        self.sessions.setdefault(name, set()).add(since)

    @rule(name=names)
    def disconnect(self, name: str) -> None:
        known = self.server.inventory.get(name)
        if known is not None and known.connected:
            self.server.inventory[name] = Connection(name, False)
            self.left.setdefault(name, []).append(known.since or "")

    @rule(name=names)
    def hide(self, name: str) -> None:
        """The list forgets a node that is there; asked by name it still tells."""
        self.flags ^= {name}

    @rule(word=st.sampled_from(["running", "error", "unknown"]))
    def broker(self, word: str) -> None:
        self.server.broker = word

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

    @rule(seed=seeds, share=st.sampled_from([0.5, 1.0]), most=st.integers(1, 3), after=st.sampled_from([0.0, 3.0]))
    def step(self, seed: int, share: float, most: int, after: float) -> None:
        random = Random(seed)
        self.carrier.ask()
        self.carrier.serve(random, share)
        self.carrier.now += after
        self.carrier.fold(random, most)

    @rule(fates=st.lists(st.sampled_from(["ok", "refused", "answer_lost"]), min_size=1, max_size=3))
    def fate(self, fates: list[str]) -> None:
        self.carrier.fates = fates

    @rule()
    def crash(self) -> None:
        self.carrier.claim()

    @invariant()
    def news_is_true(self) -> None:
        """Every session told of was one; nobody is told gone whose session never ended."""
        for record in self.ledger.records:
            if record.channel != "reachability" or record.data is None:
                continue
            word, _, rest = record.id.partition(f"node/{record.key}/")[2].partition("/")
            since = rest.partition("/")[0]
            if word == "up":
                assert since in self.sessions.get(record.key, set()), f"{record.id} never was"

    def teardown(self) -> None:
        self.faults.at_work.clear()
        self.flags.clear()
        self.server.broker = "running"
        self.carrier.fates = []
        self.carrier.until(self.carrier.now + 60.0, Random(1), step=5.0)
        self.news_is_true()
        self._states_are_as_they_are()
        self.carrier.tick = []
        self.carrier.until(self.carrier.now + 6.0, Random(1), step=5.0)
        assert [type(question) for question in self.carrier.tick] == [Inventory], f"unkind: {self.carrier.tick}"
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
TestInventory.settings = budget(60, 40)
