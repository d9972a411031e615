"""What the soak says of memory is what the samples say."""

from __future__ import annotations

import random

import pytest

from tests.chaos import table
from tests.chaos.soak import Sample, figures, slope_mb_h


def test_the_slope_is_that_of_the_line_behind_the_noise() -> None:
    chance = random.Random(7)
    samples = [Sample(5.0 * n, 80.0 + 12.0 * (5.0 * n / 3600) + chance.uniform(-1, 1), 0.05 * n) for n in range(720)]
    assert slope_mb_h(samples) == pytest.approx(12.0, abs=0.5)
    assert slope_mb_h([Sample(0.0, 80.0, 0.0)]) == 0.0


def test_memory_that_grows_at_first_and_then_is_flat_has_no_slope_in_its_second_half() -> None:
    samples = [Sample(5.0 * n, 80.0 + min(n, 180) / 10, 0.1 * n) for n in range(720)]
    kept = figures(samples, 99.0)
    assert kept["slope_mb_h"] > 5.0
    assert kept["slope_second_half_mb_h"] == pytest.approx(0.0, abs=0.01)
    assert (kept["first_mb"], kept["last_mb"], kept["peak_mb"]) == (80.0, 98.0, 99.0)
    assert kept["cpu_share"] == pytest.approx(0.02)
    assert len(kept["curve_mb"]) <= 62
    counts = dict.fromkeys(("records", "missing", "duplicated", "disordered", "uncertified", "untrue", "invented"), 0)
    line = {"when": "2026-01-01T00:00:00Z", "commit": "abc", "minutes": 60.0, **kept, **counts}
    assert "| `abc` | 60 | 0 | 80.0 | 98.0 | 99.0 |" in table.soaks([line])
