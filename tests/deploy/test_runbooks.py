"""The pages that alerts send people to: one for each, whole, with queries that can be asked."""

from __future__ import annotations

import pytest

from tests.deploy.rules import RUNBOOKS, alerts, queries, unknown

SECTIONS = ["## Meaning", "## Impact", "## Look", "## Do", "## What it is not"]
NAMES = sorted({alert.name for alert in alerts()})


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_its_runbook(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == SECTIONS
    for query in queries(page):
        assert unknown(query) == [], query


def test_every_runbook_has_its_alert_and_its_line_in_the_index() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(NAMES)
    index = (RUNBOOKS / "README.md").read_text()
    assert [name for name in NAMES if f"[{name}]({name}.md)" not in index] == []
