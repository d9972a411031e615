"""What Grafana does between a dashboard's file and Prometheus: choices and intervals put into the query."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
REFERENCE = re.compile(r"\$(\w+)|\[\[(\w+?)\]\]|\$\{(\w+)\}")
SPECIAL = re.compile(r"[.*+?^${}()|\[\]\\/]")

ALL = ("$__all",)
_CLIENT = httpx.Client(timeout=20, trust_env=False, verify=False)  # plain HTTP on the loopback
Choices = Mapping[str, Sequence[str]]  # variable -> the values chosen, or ALL


@dataclass(frozen=True, slots=True)
class Window:
    """A time range (Unix seconds) with the step of its points and the interval of scrapes, in seconds."""

    start: float
    end: float
    step: float
    scrape: float

    @property
    def builtins(self) -> dict[str, str]:
        """Grafana's own variables: a rate's interval always spans four scrapes, and the step with one more."""
        rate = max(self.step + self.scrape, 4 * self.scrape)
        return {
            "__interval": _duration(self.step),
            "__rate_interval": _duration(rate),
            "__range": _duration(round(self.end - self.start)),
        }


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


@dataclass(frozen=True, slots=True)
class Target:
    """One query of one panel, as it is in the file."""

    board: str
    panel: str
    ref: str
    expr: str
    now: bool
    legend: str

    @property
    def name(self) -> str:
        return f"{self.board}: {self.panel} ({self.ref})"


@dataclass(frozen=True, slots=True)
class Series:
    """One answered series; its points are (Unix seconds, value) in order, one only where a moment was asked for."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def boards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def targets() -> Iterator[Target]:
    """Yield every query of every panel."""
    for board in boards():
        for panel in board["panels"]:
            for each in panel.get("targets", ()):
                assert each["instant"] is not each["range"]
                yield Target(
                    board["uid"], panel["title"], each["refId"], each["expr"], each["instant"], each["legendFormat"]
                )


def variables() -> Iterator[tuple[str, str, str]]:
    """Yield (board, variable, its query)."""
    for board in boards():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield board["uid"], variable["name"], variable["query"]["query"]


def interpolated(text: str, choices: Choices, builtins: Mapping[str, str]) -> str:
    """Put values in: one as it is, several as a group of alternatives, all as the variable's own pattern."""

    def value(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()))
        if name in builtins:
            return builtins[name]
        chosen = choices[name]
        if tuple(chosen) == ALL:
            return ".*"
        escaped = [SPECIAL.sub(lambda sign: "\\\\" + sign[0], each) for each in chosen]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"

    return REFERENCE.sub(value, text)


def asked(prometheus: str, target: Target, choices: Choices, window: Window, moment: float) -> list[Series]:
    """Ask as Grafana does: a table or a number for the end of the range (`moment`), a curve for all of it."""
    query = interpolated(target.expr, choices, window.builtins)
    if target.now:
        answer = _get(prometheus, "/api/v1/query", query=query, time=f"{moment:.3f}")
    else:
        times = {"start": f"{window.start:.3f}", "end": f"{window.end:.3f}", "step": f"{window.step}"}
        answer = _get(prometheus, "/api/v1/query_range", query=query, **times)
    found = []
    for each in answer["result"]:
        points = each["values"] if "values" in each else [each["value"]]
        found.append(Series(each["metric"], tuple((float(at), float(value)) for at, value in points)))
    return found


def label_values(prometheus: str, query: str, choices: Choices, window: Window) -> list[str]:
    """Return what a variable offers: `label_values(series, label)`."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert found, query
    series = interpolated(found[1], choices, window.builtins)
    span = {"start": f"{window.start:.3f}", "end": f"{window.end:.3f}"}
    values: list[str] = _get(prometheus, f"/api/v1/label/{found[2]}/values", **{"match[]": series}, **span)
    return values


def _get(prometheus: str, path: str, **parameters: str) -> Any:
    answer = _CLIENT.get(f"{prometheus}{path}", params=parameters)
    assert answer.is_success, f"{parameters}: {answer.text}"
    return answer.json()["data"]
