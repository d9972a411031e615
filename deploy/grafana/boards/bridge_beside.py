"""Part of the bridge's dashboard: what goes on by itself where it was asked for, the canary and the token's renewal."""

from __future__ import annotations

from deploy.grafana.boards.model import Limit, Panel, Query
from deploy.grafana.boards.parts import (
    BAD,
    BLUE,
    GOOD,
    OF_SOURCE,
    PERCENTILES,
    WARN,
    in_range,
    once,
    percentile,
    pick,
    runbook,
)  # fmt: skip

_SECONDS = pick("orchbridge_canary_seconds", OF_SOURCE)
_LANDED = once(pick("orchbridge_canary_last_success_timestamp_seconds", OF_SOURCE), "source")
_INTERVAL = once(pick("orchbridge_canary_interval_seconds", OF_SOURCE), "source")
_DUE = pick("orchbridge_token_renewal_due_timestamp_seconds", OF_SOURCE)
NO_CANARY = "no canary"

BESIDE = (
    Panel(
        kind="stat",
        title="Last canary, in intervals",
        description=(
            "How long ago a canary last arrived in the sink, counted in its own intervals. Below 2 all is well; from 3 "
            "on the chain from PE to the sink does not work, or too slowly."
        ),
        unit="none",
        queries=(Query(f"(time() - {_LANDED}) / {_INTERVAL}", "{{source}}", now=True),),
        below=GOOD,
        limits=(Limit(2, WARN), Limit(3, BAD)),
        nothing=NO_CANARY,
        decimals=1,
        width=4,
        height=7,
        links=(runbook("OrchbridgeCanaryStale"),),
    ),
    Panel(
        kind="timeseries",
        title="Canary, from command to commit",
        description=(
            "Half, and 95 of 100 canaries, were in the sink within this time of their command. Estimates within the "
            "histogram's buckets; gaps are times in which none arrived."
        ),
        unit="s",
        queries=tuple(
            Query(f"{percentile(share, _SECONDS)} >= 0", name) for share, name in ((0.5, "p50"), (0.95, "p95"))
        ),
        colours=PERCENTILES[:2],
        least=0,
        nothing=NO_CANARY,
        width=8,
        height=7,
    ),
    Panel(
        kind="bargauge",
        title="Canaries that did not arrive",
        description="In the time range, by reason; the log line `canary.failed` has the job, the error and what to do.",
        unit="none",
        queries=(
            Query(
                in_range(pick("orchbridge_canary_failures_total", OF_SOURCE), "reason") + " > 0",
                "{{reason}}",
                now=True,
            ),
        ),
        below=BAD,
        least=0,
        nothing="all arrived",
        width=4,
        height=7,
        links=(runbook("OrchbridgeCanaryFailing"),),
    ),
    Panel(
        kind="stat",
        title="Token is renewed in",
        description=(
            "Time until the first worker renews its token, at two thirds of its life (`renew_token`). Below 0 it is "
            "overdue: the log line `token.not_renewed` says why."
        ),
        unit="s",
        queries=(Query(f"min by (source) ({_DUE}) - time()", "{{source}}", now=True),),
        below=BAD,
        limits=(Limit(0, GOOD),),
        nothing="not renewed by the bridge",
        width=4,
        height=7,
        links=(runbook("OrchbridgeTokenNotRenewed"),),
    ),
    Panel(
        kind="bargauge",
        title="Renewals of tokens",
        description="Tries in the time range, by what came of them. All but `renewed` and `superseded` want a person.",
        unit="none",
        queries=(
            Query(
                in_range(pick("orchbridge_token_renewals_total", OF_SOURCE), "outcome") + " > 0",
                "{{outcome}}",
                now=True,
            ),
        ),
        below=BLUE,
        least=0,
        nothing="none was due",
        width=4,
        height=7,
    ),
)
