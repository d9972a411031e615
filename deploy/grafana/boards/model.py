"""What a dashboard is made of: values that say what a person sees, not how Grafana spells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["stat", "timeseries", "bargauge", "table", "heatmap"]
Shown = Literal["time_series", "table", "heatmap"]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL question. `legend` names its series; `now` asks for one moment, not for the whole time range."""

    expr: str
    legend: str = ""
    now: bool = False
    shown: Shown = "time_series"
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """From this value on the panel has this colour."""

    value: float
    colour: str


@dataclass(frozen=True, slots=True)
class Word:
    """A value that is shown as a word in a colour."""

    value: float
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads; `url` may hold Grafana's variables."""

    title: str
    url: str
    new_tab: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: `name` is the label (or `Value #A`), `title` what the head says, None hides it."""

    name: str
    title: str | None
    width: int | None = None
    unit: str | None = None
    links: tuple[Link, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """Turns a table of (row, column, value) into one with a column for each value of the label `columns`."""

    rows: str
    columns: str


@dataclass(frozen=True, slots=True)
class Colour:
    """The fixed colour of the series whose name is `name`, or matches it where it is written /so/."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `description` says how to read it; `width` is of 24, `height` in Grafana's rows.

    `below` is the colour below the first of `limits`. `stacked` puts areas on each other, `bars`
    draws bars. Columns, `matrix` and `sort` (a column's title) are for tables.
    """

    kind: Kind
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    below: str = "text"
    limits: tuple[Limit, ...] = ()
    words: tuple[Word, ...] = ()
    colours: tuple[Colour, ...] = ()
    links: tuple[Link, ...] = ()
    columns: tuple[Column, ...] = ()
    matrix: Matrix | None = None
    sort: str = ""
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    nothing: str = "nothing"
    stacked: bool = False
    bars: bool = False
    lines_at_limits: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a common heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the head of a dashboard: values of `label` on the series of `metric`."""

    name: str
    title: str
    label: str
    metric: str
    description: str

    @property
    def query(self) -> str:
        return f"label_values({self.metric}, {self.label})"


@dataclass(frozen=True, slots=True)
class Text:
    """A choice that is written by hand, with what it holds at first."""

    name: str
    title: str
    value: str
    description: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `hours` is the time range it opens with."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    hours: int = 3
    links: tuple[Link, ...] = field(default_factory=tuple)

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in reading order."""
        return tuple(panel for row in self.rows for panel in row.panels)
