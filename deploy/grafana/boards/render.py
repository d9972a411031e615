"""Boards as the JSON that Grafana 10 and 11 read: the same board always gives the same text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.grafana.boards.model import Board, Link, Panel, Query, Row, Text, Variable
from deploy.grafana.boards.shapes import defaults, options, overrides, transformations

SCHEMA_VERSION = 39
TAG = "orchbridge"
DATASOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24

Json = dict[str, Any]


def text(board: Board, bridge: Text) -> str:
    """Return the file of one dashboard; `bridge` holds the address of the status page."""
    return json.dumps(dashboard(board, bridge), indent=2, ensure_ascii=False) + "\n"


def dashboard(board: Board, bridge: Text) -> Json:
    """Return the dashboard as Grafana's JSON."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": f"now-{board.hours}h", "to": "now"},
        "links": [_others(), *map(_dashboard_link, board.links)],
        "annotations": {"list": []},
        "templating": {"list": [_datasource(), *map(_variable, board.variables), _text(bridge)]},
        "panels": list(_laid_out(board)),
    }


def _laid_out(board: Board) -> Iterator[Json]:
    """Yield rows and panels with their places: from left to right, a new line where one is full."""
    top = 0
    for row in board.rows:
        head: Json = {
            "id": number(f"row/{row.title}"),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "panels": [],
        }
        panels, top = _line_by_line(row, top + 1)
        yield head
        yield from panels


def _line_by_line(row: Row, top: int) -> tuple[list[Json], int]:
    panels: list[Json] = []
    left = deepest = 0
    for panel in row.panels:
        if left + panel.width > COLUMNS:
            top, left, deepest = top + deepest, 0, 0
        panels.append(_panel(panel, {"h": panel.height, "w": panel.width, "x": left, "y": top}))
        left, deepest = left + panel.width, max(deepest, panel.height)
    return panels, top + deepest


def number(name: str) -> int:
    """Return an id that stays with a panel's title, so that links to it survive new neighbours."""
    return 1 + zlib.crc32(name.encode()) % 1_000_000


def _panel(panel: Panel, place: Json) -> Json:
    shown: Json = {
        "id": number(panel.title),
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": dict(DATASOURCE),
        "gridPos": place,
        "targets": [_target(query, chr(ord("A") + at)) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(panel)},
        "options": options(panel),
    }
    steps = transformations(panel)
    if steps:
        shown["transformations"] = steps
    if panel.links and panel.kind != "table":
        shown["links"] = [_dashboard_link(link) for link in panel.links]
    return shown


def _target(query: Query, ref: str) -> Json:
    return {
        "refId": ref,
        "datasource": dict(DATASOURCE),
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": query.shown,
        "instant": query.now,
        "range": not query.now,
        "exemplar": query.exemplars,
    }


def _dashboard_link(link: Link) -> Json:
    return {
        "title": link.title,
        "type": "link",
        "icon": "external link",
        "tooltip": "",
        "url": link.url,
        "tags": [],
        "asDropdown": False,
        "targetBlank": link.new_tab,
        "includeVars": False,
        "keepTime": False,
    }


def _others() -> Json:
    """The other dashboards, with the time range and the choices made here."""
    kept = {"includeVars": True, "keepTime": True, "targetBlank": False, "url": "", "tags": [TAG]}
    return {**_dashboard_link(Link("orchbridge", "")), "type": "dashboards", "icon": "dashboard", **kept}


def _datasource() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "description": "The Prometheus that scrapes the bridge",
        "query": "prometheus",
        "current": {},
        "options": [],
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> Json:
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.title,
        "description": variable.description,
        "datasource": dict(DATASOURCE),
        "query": {"qryType": 1, "query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "skipUrlSync": False,
    }


def _text(text: Text) -> Json:
    chosen = {"selected": True, "text": text.value, "value": text.value}
    return {
        "type": "textbox",
        "name": text.name,
        "label": text.title,
        "description": text.description,
        "query": text.value,
        "current": chosen,
        "options": [chosen],
        "hide": 0,
        "skipUrlSync": False,
    }
