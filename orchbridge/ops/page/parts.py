"""Pieces that every part of the page is built from: cards, pills, tables, bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchbridge.ops.page.html import Child, Html, el, join, said, web
from orchbridge.ops.page.words import many

# Node states in the order in which a bar shows them, with what a person calls them; what is left is waiting.
BAR = {"finished": "finished", "failed": "failed", "errored": "errored", "skipped": "skipped", "running": "running"}
OVER = ("finished", "failed", "errored", "skipped")
WAITING = "waiting"
# What the page leads to where something is wrong; a test sees that each is there.
RUNBOOKS = {
    "parked": "OrchbridgeStreamParked",
    "stumbling": "OrchbridgeSinkUnstable",
    "stuck": "OrchbridgeStreamStalled",
    "source": "PuppetOrchestratorUnreachable",
    "canary": "OrchbridgeCanaryFailing",
    "missed": "PuppetScheduledRunMissed",
    "failures": "PuppetJobFailed",
    "nodes": "PuppetNodesUnreachable",
}


def section(id_: str, title: str, *children: Child, note: str = "") -> Html:
    """Return a landmark with its heading; it is also the unit that refreshes."""
    head = el("h2", title, " ", el("small", note) if note else None, id=f"{id_}-title")
    return el("section", head, *children, id=id_, aria_labelledby=f"{id_}-title")


def pill(word: str, colour: str = "") -> Html:
    """Return a word in a colour: good, warn, bad, calm."""
    return el("span", word, class_=f"pill {colour}".strip())


def table(caption: str, heads: Sequence[str], rows: Iterable[Html]) -> Html:
    """Return a table; on narrow screens its rows become cards, so the roles are spelled out."""
    cells = [el("th", name, scope="col", role="columnheader") for name in heads]
    return el(
        "table",
        el("caption", caption, class_="unseen"),
        el("thead", el("tr", *cells, role="row"), role="rowgroup"),
        el("tbody", list(rows), role="rowgroup"),
        role="table",
    )


def row(heads: Sequence[str], *cells: Child) -> Html:
    """Return a row whose first cell names it; each cell also carries its column's name, for the cards."""
    first, *rest = zip(heads, cells, strict=True)
    inner = [el("th", first[1], scope="row", role="rowheader")]
    inner += [el("td", el("span", cell), role="cell", data_name=name) for name, cell in rest]
    return el("tr", *inner, role="row")


def wide_row(heads: Sequence[str], *children: Child) -> Html:
    """Return a row that is one cell, told of the row above."""
    return el("tr", el("td", *children, role="cell", colspan=len(heads)), role="row", class_="wide")


def runbook(about: str) -> Html:
    """Return a link to the page that says more about what is wrong."""
    return el("a", "runbook", href=f"runbooks/{RUNBOOKS[about]}", aria_label=f"runbook: {RUNBOOKS[about]}")


def job_link(kind: str, id_: int, url: str | None) -> Html:
    """Return the name of a job or plan, leading to its page in the console where there is one."""
    name = f"{kind} {id_}"
    address = web(url)
    return el("b", name) if address is None else el("a", name, href=address, rel="noreferrer")


def more(shown: int, total: int, noun: str) -> Html | None:
    """Say how many are not shown; nothing where all are."""
    return el("p", f"and {many(total - shown, f'more {noun}')}", class_="soft more") if total > shown else None


def shares(nodes: dict[str, int], targets: int | None) -> dict[str, int]:
    """Return nodes by what a bar shows of them, in its order; states of any other name are waiting."""
    told = {word: nodes.get(state, 0) for state, word in BAR.items()}
    total = max(targets or 0, sum(nodes.values()))
    told[WAITING] = total - sum(told.values())
    return {word: count for word, count in told.items() if count > 0}


def bar(label: str, counts: dict[str, int], done: int, told: str, role: str = "progressbar") -> Html:
    """Return a bar of coloured parts, and the same for those who do not see it; `done` of all, `told` in words."""
    total = sum(counts.values())
    rects, at = [], 0.0
    for word, count in counts.items():
        width = 100 * count / total if total else 0.0
        rects.append(el("rect", class_=f"s-{word}", x=round(at, 3), width=round(width, 3), height=10))
        at += width
    picture = el("svg", rects, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true", focusable="false")
    return el(
        "div", picture, class_="bar", role=role, aria_label=label, aria_valuemin=0, aria_valuemax=total,
        aria_valuenow=done, aria_valuetext=told,
    )  # fmt: skip


def legend(counts: dict[str, int]) -> Html:
    """Return what the colours of a bar mean, in numbers."""
    items = [
        el("li", el("i", class_=f"dot s-{word}", aria_hidden="true"), f"{n:,} {word}") for word, n in counts.items()
    ]
    return el("ul", items, class_="legend")


def words(*told: str | None) -> Html:
    """Return small words of others, those that there are, with a dot between them."""
    parts = [said(each) for each in told if each]
    return el("small", join(parts, " · "))
