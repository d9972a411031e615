"""The short form of the chaos suite; `make chaos MINUTES=...` is the long one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.courses import COURSES
from tests.chaos.run import run

SEED = random.SystemRandom().randrange(1 << 30)


@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "seconds"), [("kills", 8.0), ("lists", 12.0), ("cuts", 10.0), ("cluster", 8.0), ("mixed", 20.0)]
)
def test_nothing_is_lost_twice_disordered_or_false(
    name: str, seconds: float, tmp_path: Path, kafka: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`kafka` is not used: it is what skips this where no broker can be had."""
    caplog.set_level("CRITICAL", "aiokafka")  # it tells at length how brokers die
    print(f"again: python -m tests.chaos --course {name} --seed {SEED} --seconds {seconds:.0f}; logs in {tmp_path}")
    course = COURSES[name]
    small = replace(course, setting=replace(course.setting, houses=min(2, course.setting.houses)))
    outcome = asyncio.run(run(small, SEED, seconds, tmp_path))
    assert outcome.finding.well, outcome.finding.words
    assert outcome.complaints == []
    assert outcome.finding.events > 100
    assert outcome.faults, "nothing was done to it"
