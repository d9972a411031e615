"""What happened in a time range, as promtool evaluates it: over restarts, new series, and gaps of Prometheus itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.grafana.boards.bridge_trust import PROCESS
from deploy.grafana.boards.parts import born_in_range
from tests.debian import program

pytestmark = pytest.mark.needs("prometheus")

FAILED = born_in_range("pe_jobs_finished_total", window="15m")
REBALANCES = "orchbridge_group_rebalances_total"


class Case(NamedTuple):
    """Samples a minute of two workers' counter and of `up`, and what there was in the 15 minutes before `at`."""

    counted: dict[str, str]
    up: str
    at: str
    found: float


CASES = {
    "as always": Case({"a": "40x120 42x20"}, "1x140", "130m", 2),
    "a new series, whose first value nobody saw rise": Case({"a": "_x120 3x20"}, "1x140", "130m", 3),
    "a bridge that was just installed, with its Prometheus": Case({"a": "_x120 3x20"}, "_x120 1x20", "130m", 3),
    "Prometheus was away for twelve minutes": Case({"a": "40x100 stale _x12 40x100"}, "1x100 _x13 1x100", "127m", 0),
    "it was away for a night": Case({"a": "40x100 stale _x500 41x100"}, "1x100 _x501 1x100", "611m", 0),
    "and what happens after it was away": Case({"a": "40x100 _x13 40x5 43x90"}, "1x100 _x13 1x100", "127m", 3),
    "the bridge was away, and began anew": Case({"a": "40x100 stale _x12 2x100"}, "1x100 0x12 1x100", "127m", 2),
    "a second worker that takes over": Case({"a": "40x140", "b": "_x120 1x20"}, "1x140", "130m", 1),
}


@pytest.mark.parametrize("name", CASES)
def test_what_happened_in_the_range(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    series = {f'pe_jobs_finished_total{{instance="{who}",job="orchbridge"}}': v for who, v in case.counted.items()}
    series |= {f'up{{instance="{who}",job="orchbridge"}}': case.up for who in case.counted}
    _evaluate(tmp_path, series, case.at, FAILED, case.found)


def test_one_sharing_is_one_however_many_workers_see_it(tmp_path: Path) -> None:
    (panel,) = (panel for panel in PROCESS if panel.title == "Group shared out anew")
    series = {f'{REBALANCES}{{instance="{who}",job="orchbridge"}}': "5x8 6x20" for who in "abc"}
    _evaluate(tmp_path, series, "20m", panel.queries[0].expr.replace("$__range", "15m"), 1)


def _evaluate(folder: Path, series: dict[str, str], at: str, expr: str, found: float) -> None:
    (folder / "none.yml").write_text("groups: []\n")
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expr, "eval_time": at, "exp_samples": [{"labels": "{}", "value": found}]},
        ],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["none.yml"], "tests": [test]}))  # JSON is YAML
    command = [program("promtool"), "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
