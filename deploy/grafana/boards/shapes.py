"""How each kind of panel is drawn: field settings, options and transformations in Grafana's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from deploy.grafana.boards.model import Colour, Column, Limit, Link, Panel

Json = dict[str, Any]
TABLE_CELLS: Json = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}


def defaults(panel: Panel) -> Json:
    """Return what holds for every field of the panel."""
    made: Json = {
        "unit": panel.unit,
        "noValue": panel.nothing,
        "color": _colouring(panel),
        "thresholds": _thresholds(panel.below, panel.limits),
        "mappings": _mappings(panel),
        "custom": _custom(panel),
    }
    for key, value in (("min", panel.least), ("max", panel.most), ("decimals", panel.decimals)):
        if value is not None:
            made[key] = value
    return made


def _colouring(panel: Panel) -> Json:
    by_limits = panel.kind in {"stat", "table", "bargauge"}
    return {"mode": "thresholds" if by_limits else "palette-classic-by-name"}


def _thresholds(below: str, limits: Iterable[Limit]) -> Json:
    steps: list[Json] = [{"color": below, "value": None}]
    return {"mode": "absolute", "steps": [*steps, *({"color": limit.colour, "value": limit.value} for limit in limits)]}


def _mappings(panel: Panel) -> list[Json]:
    if not panel.words:
        return []
    words = {
        f"{word.value:g}": {"text": word.text, "color": word.colour, "index": at} for at, word in enumerate(panel.words)
    }
    return [{"type": "value", "options": words}]


def _custom(panel: Panel) -> Json:
    match panel.kind:
        case "timeseries":
            return _curve(panel)
        case "table":
            return dict(TABLE_CELLS)
        case "heatmap":
            return {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}
        case "stat" | "bargauge":
            return {}
    assert_never(panel.kind)


def _curve(panel: Panel) -> Json:
    filled = 70 if panel.bars else 25 if panel.stacked else 8
    return {
        "drawStyle": "bars" if panel.bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": filled,
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.lines_at_limits else "off"},
        "axisPlacement": "auto",
        "axisSoftMin": 0,
        "scaleDistribution": {"type": "linear"},
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
    }


def overrides(panel: Panel) -> list[Json]:
    """Return what holds for single series or columns."""
    return [*map(_coloured, panel.colours), *map(_column, panel.columns)]


def _coloured(colour: Colour) -> Json:
    by = "byRegexp" if colour.name.startswith("/") else "byName"
    fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": colour.colour}}
    return {"matcher": {"id": by, "options": colour.name}, "properties": [fixed]}


def _column(column: Column) -> Json:
    properties: list[Json] = []
    if column.title is None:
        properties.append({"id": "custom.hidden", "value": True})
    elif column.title != column.name:
        properties.append({"id": "displayName", "value": column.title})
    if column.width is not None:
        properties.append({"id": "custom.width", "value": column.width})
    if column.unit is not None:
        properties.append({"id": "unit", "value": column.unit})
    if column.links:
        properties.append({"id": "links", "value": [data_link(link) for link in column.links]})
    if column.limits:
        properties.append({"id": "thresholds", "value": _thresholds("text", column.limits)})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}


def data_link(link: Link) -> Json:
    """Return a link of a field, which may use the values of its row."""
    return {"title": link.title, "url": link.url, "targetBlank": link.new_tab}


def transformations(panel: Panel) -> list[Json]:
    """Return the steps from Prometheus's answer to the table a person sees."""
    if panel.matrix is not None:
        what = {"rowField": panel.matrix.rows, "columnField": panel.matrix.columns, "valueField": "Value"}
        return [{"id": "groupingToMatrix", "options": {**what, "emptyValue": "null"}}]
    if panel.kind == "table" and len(panel.queries) > 1:
        return [{"id": "merge", "options": {}}]
    return []


def options(panel: Panel) -> Json:
    """Return the options of the panel's kind."""
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "stat":
            return {
                "reduceOptions": last,
                "colorMode": "background" if panel.limits or panel.words else "value",
                "graphMode": "none",
                "justifyMode": "auto",
                "orientation": "auto",
                "textMode": "auto",
                "wideLayout": True,
            }
        case "bargauge":
            return {
                "reduceOptions": last,
                "displayMode": "basic",
                "orientation": "horizontal",
                "showUnfilled": True,
                "valueMode": "color",
                "minVizHeight": 16,
                "minVizWidth": 8,
            }
        case "timeseries":
            calcs = ["max", "lastNotNull"]
            return {
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": calcs},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "table":
            footer = {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}
            order = [{"displayName": panel.sort, "desc": True}] if panel.sort else []
            return {"showHeader": True, "cellHeight": "sm", "footer": footer, "sortBy": order}
        case "heatmap":
            return _heatmap(panel)
    assert_never(panel.kind)


def _heatmap(panel: Panel) -> Json:
    """Cividis is made to look alike to those who see all colours and to those who do not."""
    scheme = {"mode": "scheme", "scheme": "Cividis", "steps": 64, "exponent": 0.5, "scale": "exponential"}
    return {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "short", "decimals": 0},
        "color": {**scheme, "fill": "dark-blue", "reverse": False},
        "exemplars": {"color": "#D55E00"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": panel.unit},
    }
