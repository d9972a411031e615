"""Part of the bridge's dashboard: how fast records go through, how far each stream is."""

from __future__ import annotations

from deploy.grafana.boards.model import Column, Limit, Panel, Query
from deploy.grafana.boards.parts import (
    BAD,
    BLUE,
    GOOD,
    NAME,
    OF_STREAM,
    PERCENTILES,
    STREAMS,
    WARN,
    in_range,
    of_stream,
    per_second,
    percentile,
    pick,
    runbook,
)  # fmt: skip

_DELAY = pick("orchbridge_source_to_commit_seconds", OF_STREAM)
_COMMIT = pick("orchbridge_commit_seconds", OF_STREAM)
SPEED = (
    Panel(
        kind="timeseries",
        title="From the event in PE to the commit",
        description=(
            "Half, 95 and 99 of 100 live records were committed within this time after they happened. About one poll "
            "interval is as good as it gets. PE cuts times to whole seconds, which adds up to one."
        ),
        unit="s",
        queries=tuple(Query(percentile(share / 100, _DELAY), f"p{share}") for share in (50, 95, 99)),
        colours=PERCENTILES,
        below=GOOD,
        limits=(Limit(10, WARN), Limit(60, BAD)),
        least=0,
        nothing="no record",
        width=8,
        links=(runbook("OrchbridgeDeliverySlow"),),
    ),
    Panel(
        kind="timeseries",
        title="Duration of commits",
        description=(
            "How long 95 of 100 commits took. Slow ones are Kafka's: replication, a leader that moves, a full disk."
        ),
        unit="s",
        queries=(Query(percentile(0.95, _COMMIT, "source", "stream") + " >= 0", NAME),),
        colours=STREAMS,
        below=GOOD,
        limits=(Limit(1, WARN), Limit(5, BAD)),
        least=0,
        nothing="no commit",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Commits",
        description="Batches committed in a second, of each stream. Idle streams commit heartbeats only.",
        unit="ops",
        queries=(Query(per_second(pick("orchbridge_commits_total", OF_STREAM), "source", "stream"), NAME),),
        colours=STREAMS,
        least=0,
        nothing="no bridge",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Records committed",
        description=(
            "Records committed in a second, by channel (the topic's last word); replays and backfills included."
        ),
        unit="ops",
        queries=(Query(per_second(pick("orchbridge_records_committed_total", OF_STREAM), "channel"), "{{channel}}"),),
        least=0,
        nothing="no bridge",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Items read",
        description=(
            "Jobs, events, nodes and plans in the source's answers, a second. Much is read again to see what changed."
        ),
        unit="ops",
        queries=(Query(per_second(pick("orchbridge_records_read_total", OF_STREAM), "source", "stream"), NAME),),
        colours=STREAMS,
        least=0,
        nothing="no bridge",
        width=8,
    ),
    Panel(
        kind="bargauge",
        title="Records in the time range",
        description="Records committed in the time range, by channel.",
        unit="short",
        queries=(
            Query(in_range(pick("orchbridge_records_committed_total", OF_STREAM), "channel"), "{{channel}}", now=True),
        ),
        below=BLUE,
        least=0,
        nothing="no bridge",
        width=8,
    ),
)

POSITION = (
    Panel(
        kind="table",
        title="Cursor and source",
        description=(
            "The highest id that was taken up, and the highest that the source has shown. Equal means that "
            "nothing waits; "
            "ids that were skipped on the way are remembered beside it and looked for."
        ),
        unit="none",
        queries=(
            Query(of_stream("orchbridge_cursor_position"), now=True, shown="table"),
            Query(of_stream("orchbridge_source_position"), now=True, shown="table"),
            Query(of_stream("orchbridge_jobs_tracked"), now=True, shown="table"),
            Query(of_stream("orchbridge_jobs_behind"), now=True, shown="table"),
        ),
        columns=(
            Column("Time", None),
            Column("source", "Source"),
            Column("stream", "Stream"),
            Column("Value #A", "Cursor"),
            Column("Value #B", "Source's newest"),
            Column("Value #C", "Tracked"),
            Column("Value #D", "Behind"),
        ),
        nothing="nobody carries anything",
        width=12,
    ),
    Panel(
        kind="timeseries",
        title="Ids the cursor is behind",
        description=(
            "How many ids lie between the source's newest and the cursor: what is still to be taken up. After a "
            "pause it "
            "falls to 0; a line that rises means that more comes than is carried."
        ),
        unit="none",
        queries=(
            Query(f"{of_stream('orchbridge_source_position')} - {of_stream('orchbridge_cursor_position')}", NAME),
        ),
        colours=STREAMS,
        least=0,
        nothing="nobody carries anything",
        width=6,
    ),
    Panel(
        kind="timeseries",
        title="Jobs and plans behind",
        description=(
            "Tracked jobs or plans that may have events which are not delivered yet. It should return to 0 "
            "between bursts."
        ),
        unit="none",
        queries=(Query(of_stream("orchbridge_jobs_behind"), NAME),),
        colours=STREAMS,
        least=0,
        nothing="nobody carries anything",
        width=6,
        links=(runbook("OrchbridgeFallingBehind"),),
    ),
)


BACKFILL = (
    Panel(
        kind="bargauge",
        title="History delivered",
        description=(
            "How much of the history that a first start found has been read: 100 % is done. The bars stay while a "
            "worker "
            "carries the backfill."
        ),
        unit="percentunit",
        queries=(
            Query(
                f"({of_stream('orchbridge_backfill_done')} + {of_stream('orchbridge_backfill_skipped')}) / "
                f"({of_stream('orchbridge_backfill_size')} > 0)",
                NAME,
                now=True,
            ),
        ),
        below=BLUE,
        limits=(Limit(1, GOOD),),
        least=0,
        most=1,
        nothing="no backfill",
        height=6,
    ),
    Panel(
        kind="timeseries",
        title="History left to read",
        description=(
            "Finished jobs or plans that the backfill has still to deliver; the slope tells when it will be done."
        ),
        unit="none",
        queries=(
            Query(
                f"{of_stream('orchbridge_backfill_size')} - {of_stream('orchbridge_backfill_done')} "
                f"- {of_stream('orchbridge_backfill_skipped')}",
                NAME,
            ),
        ),
        colours=STREAMS,
        least=0,
        nothing="no backfill",
        height=6,
    ),
)
