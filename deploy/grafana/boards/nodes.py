"""Nodes: which can be reached, through which broker, and what changes."""

from __future__ import annotations

from deploy.grafana.boards.model import Board, Column, Limit, Panel, Query, Row
from deploy.grafana.boards.parts import (
    BAD,
    CONNECTION,
    GOOD,
    OF_SOURCE,
    PER_MINUTE,
    RUNBOOKS,
    SOURCE,
    STATUS_PAGE,
    WARN,
    in_range,
    once,
    per_minute,
    pick,
    runbook,
)  # fmt: skip

NODES = pick("pe_nodes", OF_SOURCE)
CONNECTED = pick("pe_nodes", OF_SOURCE, 'connected="true"')
DISCONNECTED = pick("pe_nodes", OF_SOURCE, 'connected="false"')
FLAPPING = pick("pe_nodes_flapping", OF_SOURCE)
AGE = pick("pe_inventory_age_seconds", OF_SOURCE)
MOVES = pick("pe_node_transitions_total", OF_SOURCE)
BROKERS = pick("pe_broker_nodes", OF_SOURCE)


def _stat(title: str, description: str, expr: str, below: str, limits: tuple[Limit, ...], unit: str = "none") -> Panel:
    return Panel(
        kind="stat",
        title=title,
        description=description,
        unit=unit,
        queries=(Query(expr, now=True),),
        below=below,
        limits=limits,
        decimals=1 if unit == "percentunit" else 0,
        nothing="unknown",
        width=4 if unit == "percentunit" else 5,
        height=4,
    )


_NOW = (
    _stat("Connected", "Nodes that are connected to a broker now.", f"sum({once(CONNECTED, 'source')})", "text", ()),
    _stat(
        "Disconnected",
        "Nodes that were connected once and are not now. After `forget_after` (30 days) such a node counts as removed.",
        f"sum({once(DISCONNECTED, 'source')})",
        GOOD,
        (Limit(1, WARN),),
    ),
    _stat(
        "Reachable",
        "Connected nodes by all known nodes.",
        f"sum({once(CONNECTED, 'source')}) / sum({once(NODES, 'source', 'connected')})",
        BAD,
        (Limit(0.9, WARN), Limit(0.99, GOOD)),
        "percentunit",
    ),
    _stat(
        "Flapping",
        "Nodes that lost their connection at least three times within an hour: look at the node's pxp-agent, its clock "
        "and whether another machine uses its certificate.",
        f"sum({once(FLAPPING, 'source')})",
        GOOD,
        (Limit(1, WARN),),
    ),
    _stat(
        "Age of the inventory",
        "Time since a list of the inventory was last believed; every other number here is as old. Normal is up to the "
        "interval between looks (30 s). An empty list is not believed while the broker is unwell.",
        f"max({AGE})",
        GOOD,
        (Limit(120, WARN), Limit(600, BAD)),
        "s",
    ),
)

_COURSE = (
    Panel(
        kind="timeseries",
        title="Nodes over time",
        description="Known nodes by connection. A step down of many nodes is a broker, a network or a certificate.",
        unit="none",
        queries=(
            Query(f"sum({once(CONNECTED, 'source')})", "connected"),
            Query(f"sum({once(DISCONNECTED, 'source')})", "disconnected"),
        ),
        colours=CONNECTION,
        stacked=True,
        least=0,
        nothing="unknown",
        links=(runbook("PuppetNodesUnreachable"),),
    ),
    Panel(
        kind="timeseries",
        title="Nodes by broker",
        description=(
            "Connected nodes of each PCP broker (the primary or a compiler). One that falls while another rises "
            "has been "
            "restarted or drained; one at 0 has lost all its nodes."
        ),
        unit="none",
        queries=(Query(f"sum by (broker) ({once(BROKERS, 'source', 'broker')})", "{{broker}}"),),
        stacked=True,
        least=0,
        nothing="unknown",
        links=(runbook("PuppetBrokerLostNodes"),),
    ),
    Panel(
        kind="timeseries",
        title="Coming and going",
        description=(
            "Nodes that connected, disconnected or were removed, a minute. A reconnect between two looks counts "
            "as connected."
        ),
        unit=PER_MINUTE,
        queries=(Query(per_minute(MOVES, "to"), "{{to}}"),),
        colours=CONNECTION,
        bars=True,
        least=0,
        nothing="no bridge",
    ),
    Panel(
        kind="timeseries",
        title="Flapping nodes",
        description="Nodes that lost their connection at least three times within the hour before, for each source.",
        unit="none",
        queries=(Query(once(FLAPPING, "source"), "{{source}}"),),
        least=0,
        nothing="unknown",
        links=(runbook("PuppetNodesFlapping"),),
    ),
)

_DETAIL = (
    Panel(
        kind="bargauge",
        title="Brokers now",
        description="Connected nodes of each broker now; at most 50 brokers are told apart, the rest is `other`.",
        unit="none",
        queries=(Query(f"sum by (broker) ({once(BROKERS, 'source', 'broker')})", "{{broker}}", now=True),),
        below=BAD,
        limits=(Limit(1, "#0072B2"),),
        least=0,
        nothing="unknown",
        width=8,
    ),
    Panel(
        kind="bargauge",
        title="Changes in the time range",
        description="How often nodes connected, disconnected or were removed in the time range.",
        unit="none",
        queries=(Query(in_range(MOVES, "to"), "{{to}}", now=True),),
        colours=CONNECTION,
        least=0,
        nothing="no bridge",
        width=8,
    ),
    Panel(
        kind="table",
        title="Disconnected nodes by name",
        description=(
            "Only where the bridge was told to export a series for each node (`[metrics] node_series`); "
            "otherwise the status page and the topic `.reachability` name them."
        ),
        unit="none",
        queries=(
            Query(f"{once(pick('pe_node_connected', OF_SOURCE), 'source', 'certname')} == 0", now=True, shown="table"),
        ),
        columns=(Column("Time", None), Column("Value", None), Column("certname", "Node"), Column("source", "Source")),
        sort="Node",
        nothing="none, or node_series is 0",
        width=8,
    ),
)

BOARD = Board(
    uid="orchbridge-nodes",
    title="Puppet orchestrator: nodes",
    description="Which nodes the orchestrator can reach, through which broker, and what comes and goes.",
    rows=(Row("Now", _NOW), Row("Over time", _COURSE), Row("In detail", _DETAIL)),
    variables=(SOURCE,),
    links=(STATUS_PAGE, RUNBOOKS),
)
