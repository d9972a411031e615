"""The bridge itself: who carries what, how far behind, what it asks of PE, what it had to leave out."""

from __future__ import annotations

from deploy.grafana.boards.bridge_beside import BESIDE
from deploy.grafana.boards.bridge_flow import BACKFILL, POSITION, SPEED
from deploy.grafana.boards.bridge_source import SOURCE_ROW
from deploy.grafana.boards.bridge_trust import COMPLETE, PROCESS
from deploy.grafana.boards.model import Board, Column, Limit, Panel, Query, Row
from deploy.grafana.boards.parts import (
    ANY,
    BAD,
    BLUE,
    GOOD,
    NAME,
    OF_STREAM,
    RUNBOOKS,
    SOURCE,
    STATUS_PAGE,
    STREAM,
    STREAMS,
    WARN,
    of_stream,
    pick,
    runbook,
)  # fmt: skip

_HEALTH = (
    Panel(
        kind="stat",
        title="Waiting for a person",
        description="Parked streams: see the status page for what to mend.",
        unit="none",
        queries=(Query(f"sum({of_stream('orchbridge_stream_parked')})", now=True),),
        below=GOOD,
        limits=ANY,
        nothing="no bridge",
        width=8,
        height=4,
        links=(runbook("OrchbridgeStreamParked"), STATUS_PAGE),
    ),
    Panel(
        kind="stat",
        title="Workers scraped",
        description=(
            "Bridge processes that Prometheus reaches, by version; two versions are normal during an upgrade only."
        ),
        unit="none",
        queries=(
            Query("sum by (version) (max by (version, instance) (orchbridge_build_info))", "{{version}}", now=True),
        ),
        below=BAD,
        limits=(Limit(1, BLUE),),
        nothing="none",
        width=8,
        height=4,
    ),
    Panel(
        kind="stat",
        title="Workers in the group",
        description=(
            "Workers that share the streams through Kafka, as the group last counted them. Fewer than you run "
            "means that "
            "one cannot join. With a file sink there is no group."
        ),
        unit="none",
        queries=(Query("max(orchbridge_group_workers)", now=True),),
        nothing="no group",
        width=8,
        height=4,
    ),
    Panel(
        kind="table",
        title="Who carries what",
        description=(
            "The worker that owns each stream. A stream that is missing here is carried by nobody; two workers for one "
            "stream are possible for seconds, and harmless: the older one is fenced."
        ),
        unit="none",
        queries=(
            Query(
                f"max by (source, stream, instance) ({pick('orchbridge_stream_owned', OF_STREAM)}) == 1",
                now=True,
                shown="table",
            ),
        ),
        columns=(
            Column("Time", None),
            Column("Value", None),
            Column("source", "Source"),
            Column("stream", "Stream"),
            Column("instance", "Worker"),
        ),
        nothing="nobody carries anything",
        width=10,
    ),
    Panel(
        kind="timeseries",
        title="Lag",
        description=(
            "Time since the last completed lap: the source answered and everything it said is committed. Each stream "
            "normally stays below a few times its poll interval. A line that climbs means that the source or the sink "
            "does not answer."
        ),
        unit="s",
        queries=(Query(of_stream("orchbridge_lag_seconds"), NAME),),
        colours=STREAMS,
        below=GOOD,
        limits=(Limit(60, WARN), Limit(300, BAD)),
        lines_at_limits=True,
        least=0,
        nothing="nobody carries anything",
        width=14,
        links=(runbook("OrchbridgeStreamStalled"),),
    ),
)

BOARD = Board(
    uid="orchbridge-bridge",
    title="Puppet orchestrator: bridge health",
    description=(
        "The bridge itself: who carries what, how old the news is, what it asks of PE, what it had to leave out."
    ),
    rows=(
        Row("Health", _HEALTH),
        Row("Speed", SPEED),
        Row("What it asks of Puppet Enterprise", SOURCE_ROW),
        Row("Position", POSITION),
        Row("Completeness", COMPLETE),
        Row("Backfill", BACKFILL),
        Row("Process and credentials", PROCESS),
        Row("Canary and renewal", BESIDE),
    ),
    variables=(SOURCE, STREAM),
    links=(STATUS_PAGE, RUNBOOKS),
)
