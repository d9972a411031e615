"""The results that are kept, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

from tests.chaos import results, table
from tests.chaos.courses import COURSES
from tests.chaos.run import Outcome
from tests.chaos.source_faults import TURNED
from tests.chaos.verdict import Finding


def line(**changes: object) -> results.Line:
    outcome = Outcome(
        Finding(events=60_000, records=70_000), {"kill": 3, "kafka-cut": 2}, {"kill": 4.5}, {"restart": [1.2, 3.4]},
        {"p50": 0.4, "p99": 2.0, "max": 9.0}, 90.0, 1.0,
    )  # fmt: skip
    return results.line_of(outcome, "mixed", 7, 60.0, ("abc1234567", False)) | changes


def test_the_page_is_what_the_results_say() -> None:
    """`python -m tests.chaos.table` writes it anew."""
    assert results.TABLE.read_text() == table.document(results.read(results.FILE), results.read(results.FINDINGS))


def test_kept_results_are_of_committed_trees_and_what_was_wrong_has_a_cause() -> None:
    causes = {(finding["course"], finding["seed"]) for finding in results.read(results.FINDINGS)}
    for kept in results.read(results.FILE):
        assert not kept["dirty"], kept
        well = not any(kept[name] for name in table.WRONGS)
        assert well or (kept["course"], kept["seed"]) in causes, kept


def test_a_run_that_was_not_well_counts_until_its_cause_is_told() -> None:
    lost = line(missing=3)
    assert "| records lost | 3 |" in table.document([lost])
    told = table.document([lost], [{"course": "mixed", "seed": 7, "cause": "a hole", "mended": "abc"}])
    assert "| records lost | 0 |" in told
    assert "3 records lost | a hole | `abc` |" in told
    assert "| runs that were not well, told below | 1 |" in told


def test_lines_come_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert results.read(path) == []
    for seed in (1, 2):
        results.append(path, line(seed=seed))
    assert results.read(path) == [line(seed=1, when=x["when"]) | {"seed": x["seed"]} for x in results.read(path)]
    assert [found["seed"] for found in results.read(path)] == [1, 2]


def test_the_page_counts_every_slice() -> None:
    page = table.document([line(), line(seed=8, missing=2), line(course="kills", events=100)])
    assert "| runs | 3 |" in page
    assert "| events delivered | 120,100 |" in page
    assert "| bridges killed (SIGKILL) | 9 |" in page
    assert "| mixed runs of at least 50,000 events | 2 |" in page
    assert "| records lost | 2 |" in page
    assert "| bridge killed (SIGKILL) and started again | 9 | 120,100 | 2 | 0 | 0 | 0 | 4.5 |" in page
    alone = "| alone: from SIGKILL until the next life has claimed every stream"
    assert f"{alone} | nothing | 2 | 1.2 | 1.2 | 3.4 |" in page
    assert f"{alone} | everything | 4 | 1.2 | 3.4 | 3.4 |" in page
    assert "mixed 7 (60 s), mixed 8 (60 s), kills 7 (60 s)" in page


def test_every_fault_of_a_course_has_a_row_to_go_to() -> None:
    rows = {name for names in table.GROUPS.values() for name in names}
    for course in COURSES.values():
        assert {fault.name for hand in course.hands for fault in hand.faults} <= rows & table.FAULTS.keys()
    assert {f"pe-{name}" for name in TURNED} <= rows
