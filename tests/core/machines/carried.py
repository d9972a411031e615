"""What the machines of one owner have alike: a carrier that goes step by step, crashes, and meets any fate."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import Faults

seeds = st.integers(0, 2**16)
FATES = st.sampled_from(["ok", "refused", "answer_lost"])


class CarriedMachine(RuleBasedStateMachine):
    """A machine with one carrier, which its `initialize` makes, and the faults of what it answers."""

    carrier: Carrier

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()

    @property
    def now(self) -> float:
        return self.carrier.now

    @rule(
        seed=seeds, share=st.sampled_from([0.3, 0.5, 1.0]), most=st.integers(1, 4),
        after=st.sampled_from([0.0, 0.4, 1.1, 3.0]),
    )  # fmt: skip
    def step(self, seed: int, share: float, most: int, after: float) -> None:
        """Ask, let some be answered, fold a few; the rest stays under way while the world moves on."""
        random = Random(seed)
        self.carrier.ask()
        self.carrier.serve(random, share)
        self.wait(after)
        self.carrier.fold(random, most)

    @rule(fates=st.lists(FATES, min_size=1, max_size=4))
    def fate(self, fates: list[str]) -> None:
        self.carrier.fates = fates

    @rule()
    def crash(self) -> None:
        self.carrier.claim()

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due in it happen."""
        self.carrier.now += seconds

    def heal(self) -> None:
        """Be well from now on."""
        self.faults.heal()
        self.carrier.fates = []
