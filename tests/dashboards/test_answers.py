"""Every query of every panel, asked of a real Prometheus that scraped a real bridge: is what it says true?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.dashboards import grafana
from tests.dashboards.expect import Exact, View
from tests.dashboards.expectations import EXPECTED
from tests.dashboards.grafana import ALL, Choices, Target
from tests.dashboards.stage import SOURCES, Stage, staged

pytestmark = pytest.mark.timeout(180)

ENVIRONMENTS = ("development", "production", "staging")
STREAMS = ("inventory", "jobs", "jobs-backfill", "plans", "plans-backfill")
EVERYTHING: Choices = {"source": ALL, "environment": ALL, "stream": ALL}
SOME: Choices = {"source": ("prod",), "environment": ("staging", "development"), "stream": ("jobs", "inventory")}
TARGETS = list(grafana.targets())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Iterator[Stage]:
    needs("prometheus")
    with staged(tmp_path_factory.mktemp("stage")) as found:
        yield found


def view(stage: Stage, choices: Choices) -> View:
    def chosen(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        return known if choices[name] is ALL else tuple(choices[name])

    return View(stage, chosen("source", tuple(SOURCES)), chosen("environment", ENVIRONMENTS), chosen("stream", STREAMS))


def test_every_panel_has_its_expectation() -> None:
    for board in grafana.boards():
        titles = [panel["title"] for panel in board["panels"] if panel["type"] != "row"]
        assert sorted(EXPECTED[board["uid"]]) == sorted(titles)


@pytest.mark.parametrize("choices", [EVERYTHING, SOME], ids=["everything", "some"])
def test_the_story_tells_outcomes_apart(stage: Stage, choices: Choices) -> None:
    """Where two outcomes were as frequent, a panel could show the one for the other."""
    counts = Counter(job.outcome for job in view(stage, choices).jobs)
    assert 0 < counts["failure"] not in {counts["success"], counts["stopped"]}


@pytest.mark.parametrize("choices", [EVERYTHING, SOME], ids=["everything", "some"])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_a_panel_shows_is_true(stage: Stage, target: Target, choices: Choices) -> None:
    expected = EXPECTED[target.board][target.panel]
    assert len(expected) == len([each for each in TARGETS if (each.board, each.panel) == (target.board, target.panel)])
    expectation = expected[ord(target.ref) - ord("A")]
    moment = stage.window.end
    if isinstance(expectation, Exact):
        moment = {"end": moment, "busy": stage.busy, "parked": stage.parked}[expectation.at]
    answer = grafana.asked(stage.prometheus, target, choices, stage.window, moment)
    wrong = list(expectation.wrong(answer, view(stage, choices)))
    assert not wrong, "\n".join(wrong)
    for series in answer:  # a name that is empty, or the same for two, tells nothing
        told = re.findall(r"\{\{(\w+)\}\}", target.legend)
        assert all(series.labels.get(label) for label in told), f"{target.legend} of {series.labels}"


@pytest.mark.parametrize(("board", "name", "query"), list(grafana.variables()), ids=lambda value: str(value)[:40])
def test_variables_offer_what_there_is(stage: Stage, board: str, name: str, query: str) -> None:
    known = {"source": sorted(SOURCES), "environment": sorted(ENVIRONMENTS), "stream": sorted(STREAMS)}
    assert sorted(grafana.label_values(stage.prometheus, query, EVERYTHING, stage.window)) == known[name]
    if name == "environment":  # the other source has jobs in two of them only
        lab = {**EVERYTHING, "source": ("lab",)}
        assert grafana.label_values(stage.prometheus, query, lab, stage.window) == ["production", "staging"]
