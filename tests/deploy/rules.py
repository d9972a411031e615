"""The rules that are shipped, as the tests read them: alerts, recorded series, what their expressions name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from orchbridge.ops.catalogue import CATALOGUE

TOP = Path(__file__).parents[2]
PROMETHEUS = TOP / "deploy" / "prometheus"
ALERTMANAGER = TOP / "deploy" / "alertmanager" / "alertmanager.yml"
RUNBOOKS = TOP / "docs" / "runbooks"
TARGET = {"job", "instance"}  # what Prometheus adds to everything it scrapes
_NAME = re.compile(r"\b(?:[a-z_]+:)?(?:pe|orchbridge)_[a-z0-9_]+(?::[a-z0-9_]+)?|\bup\b(?=\{|\))")
_SELECTOR = re.compile(rf"({_NAME.pattern})\{{([^}}]*)\}}")
_MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `name` is the alert's or the recorded series'."""

    name: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    alert: bool


@cache
def rules() -> tuple[Rule, ...]:
    """Return every rule of the shipped files."""
    return tuple(
        Rule(
            each.get("alert") or each["record"],
            each["expr"],
            each.get("labels", {}),
            each.get("annotations", {}),
            "alert" in each,
        )
        for path in sorted(PROMETHEUS.glob("*.yml"))
        for group in yaml.safe_load(path.read_text()).get("groups", ())
        for each in group["rules"]
    )


def alerts() -> tuple[Rule, ...]:
    return tuple(rule for rule in rules() if rule.alert)


@cache
def known() -> dict[str, set[str]]:
    """Return series name -> its labels: the catalogue's as scraped, Prometheus' own, and what we record."""
    found: dict[str, set[str]] = {"up": set(TARGET)}
    for metric in CATALOGUE:
        labels = {*metric.labels, *TARGET}
        if metric.kind == "histogram":
            found |= {f"{metric.name}_{part}": labels for part in ("count", "sum")}
            found[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            found[metric.name] = labels
    for rule in rules():
        if not rule.alert:  # level:metric:operation, and the level says what is left of the labels
            level = rule.name.partition(":")[0]
            found[rule.name] = {label for label in ("source", "stream", "outcome", "result") if label in level}
    return found


def names(expr: str) -> set[str]:
    """Return the series an expression names."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    bare = _GROUPING.sub(" ", bare)
    return set(_NAME.findall(bare))


def unknown(expr: str) -> list[str]:
    """Return what an expression names but nobody exports: series, and labels that they do not have."""
    wrong = sorted(names(expr) - known().keys())
    for name, matchers in _SELECTOR.findall(expr):
        has = known().get(name, set())
        wrong += [f"{name}{{{label}}}" for label in _MATCHER.findall(matchers) if label not in has]
    some = set().union(*(known().get(name, set()) for name in names(expr)))
    for labels in _GROUPING.findall(expr):
        wrong += [f"by ({label})" for label in filter(None, map(str.strip, labels.split(","))) if label not in some]
    return wrong


def queries(page: str) -> list[str]:
    """Return the PromQL of a runbook: every line of its ```promql blocks that is not a comment."""
    blocks = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


@cache
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
