"""The dashboards as files: fresh, readable for Grafana, explained, and made of metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.boards import parts
from deploy.grafana.boards.catalogue import BOARDS
from deploy.grafana.boards.model import Board, Panel
from deploy.grafana.boards.render import text
from orchbridge.ops.catalogue import CATALOGUE

HOME = Path(__file__).parents[2]
FOLDER = HOME / "deploy" / "grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))
MAKE = "run: python -m deploy.grafana.boards"
GRAFANA_UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
PALETTE = {parts.GREEN, parts.RED, parts.ORANGE, parts.BLUE, parts.SKY, parts.PINK, parts.YELLOW, parts.GREY}
TARGET_LABELS = {"job", "instance"}
ALERT_LABELS = {"alertname", "alertstate", "severity", "source"}

register_default_plugins()


def panels() -> Iterator[tuple[Board, Panel]]:
    for board in BOARDS:
        for panel in board.panels:
            yield board, panel


EACH = pytest.mark.parametrize(
    ("board", "panel"), [pytest.param(board, panel, id=f"{board.uid}: {panel.title}") for board, panel in panels()]
)


def test_the_committed_files_are_what_the_definitions_say() -> None:
    assert [path.stem for path in FILES] == sorted(board.uid for board in BOARDS)
    for board in BOARDS:
        written = (FOLDER / "dashboards" / f"{board.uid}.json").read_text(encoding="utf-8")
        assert written == text(board, parts.BRIDGE), f"{board.uid} is stale; {MAKE}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_grafanas_own_types_know_every_field(path: Path) -> None:
    """What Grafana 11 does not know its types would drop on the way through them."""
    ours = json.loads(path.read_text())
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(_lost(ours, theirs, path.stem)) == []


def _lost(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    match ours, theirs:
        case dict(), dict():
            for key, value in ours.items():
                if key in theirs:
                    yield from _lost(value, theirs[key], f"{where}.{key}")
                else:
                    yield f"{where}.{key} is unknown"
        case list(), list() if len(ours) == len(theirs):
            for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                yield from _lost(one, other, f"{where}[{number}]")
        case _ if ours != theirs:
            yield f"{where} is {ours!r}, read as {theirs!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ids_are_unique_and_panels_do_not_overlap(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == path.stem
    assert len(board["uid"]) <= 40
    shown = board["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    taken: dict[tuple[int, int], str] = {}
    for panel in shown:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


@EACH
def test_a_panel_says_how_to_read_it(board: Board, panel: Panel) -> None:
    assert len(panel.description) > 30
    assert panel.description.endswith((".", "?", "`)."))
    assert panel.nothing
    assert panel.unit in GRAFANA_UNITS or panel.unit.startswith("suffix:")
    if panel.kind == "timeseries":
        assert all(query.legend for query in panel.queries), "a curve needs a name"
        assert panel.least == 0, "a curve that does not begin at 0 lies"


@EACH
def test_colours_can_be_told_apart_by_everybody(board: Board, panel: Panel) -> None:
    used = {limit.colour for limit in panel.limits} | {colour.colour for colour in panel.colours}
    used |= {word.colour for word in panel.words} | {limit.colour for each in panel.columns for limit in each.limits}
    assert used | {panel.below} <= PALETTE | {"text"}
    values = [limit.value for limit in panel.limits]
    assert values == sorted(values)


@EACH
def test_its_queries_use_what_the_catalogue_has(board: Board, panel: Panel) -> None:
    variables = {variable.name for variable in board.variables} | {"__range", "__rate_interval"}
    for query in panel.queries:
        assert set(re.findall(r"\$(\w+)", query.expr)) <= variables
        assert list(_unknown(query.expr)) == []


CHOICES = ("source", "environment", "stream")


@EACH
def test_its_queries_show_only_what_is_chosen(board: Board, panel: Panel) -> None:
    """A selector without the reader's choice would show others' numbers among theirs."""
    chosen = {variable.name for variable in board.variables} & set(CHOICES)
    for query in panel.queries:
        for name, matchers in re.findall(r"\b((?:pe|orchbridge)_\w+|ALERTS)(\{[^}]*\})?", query.expr):
            for choice in chosen & _labels(name):
                assert f'{choice}=~"${choice}' in matchers, f"{name} of {query.expr}"


def test_variables_use_what_the_catalogue_has() -> None:
    for board in BOARDS:
        known: set[str] = set()
        for variable in board.variables:
            assert set(re.findall(r"\$(\w+)", variable.metric)) <= known, "asked for before it is chosen"
            assert list(_unknown(variable.metric)) == []
            assert variable.label in _labels(variable.metric.partition("{")[0])
            known.add(variable.name)


def _unknown(expr: str) -> Iterator[str]:
    """Yield metrics and labels of a query that no worker exports."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    names = set(re.findall(r"\b(?:pe|orchbridge)_\w+|\bALERTS\b|\bup\b", bare))
    if not names:
        yield f"no metric in {expr}"
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", bare):
        yield from (
            f"label {label} of {name}" for label in re.findall(r"(\w+)\s*[=!]", matchers) if label not in _labels(name)
        )
    everything = set().union(*map(_labels, names))
    for group in re.findall(r"by \(([^)]*)\)", bare):
        yield from (f"by {label}" for label in re.split(r",\s*", group) if label not in everything)


def _labels(name: str) -> set[str]:
    if name == "ALERTS":
        return ALERT_LABELS
    if name == "up":
        return TARGET_LABELS
    for metric in CATALOGUE:
        if name == metric.name and metric.kind != "histogram":
            return {*metric.labels, *TARGET_LABELS}
        if metric.kind == "histogram" and name in {f"{metric.name}_{end}" for end in ("bucket", "sum", "count")}:
            return {*metric.labels, *TARGET_LABELS, "le"}
    raise AssertionError(f"no metric {name} in the catalogue")


LINK = re.compile(r'"url": "([^"]+)"')


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    pages = {page.stem for page in (HOME / "docs" / "runbooks").glob("*.md")}
    urls = set(LINK.findall(path.read_text()))
    assert urls
    for url in urls:
        if url.startswith("/d/"):
            assert urlsplit(url).path.removeprefix("/d/") in {board.uid for board in BOARDS}
            continue
        if url == "${__data.fields.console_url}":
            continue
        rest = url.removeprefix("${bridge:raw}")
        assert rest != url, f"{url} does not start at the bridge"
        name = rest.removeprefix("/runbooks/")
        known = {"", "${__value.raw}"} | pages
        assert rest == "/" or name in known, f"no runbook page {name}"


def test_provisioning_names_what_is_there() -> None:
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert (sources["apiVersion"], source["type"], source["access"]) == (1, "prometheus", "proxy")
    found = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "orchbridge.yml").read_text())
    (provider,) = found["providers"]
    assert (found["apiVersion"], provider["type"]) == (1, "file")
    assert provider["options"]["path"] in (FOLDER / "README.md").read_text()


def test_the_readme_names_every_dashboard() -> None:
    told = (FOLDER / "README.md").read_text()
    assert [board.uid for board in BOARDS if f"`{board.uid}`" not in told] == []
