"""Part of the bridge's dashboard: its requests to PE."""

from __future__ import annotations

from deploy.grafana.boards.model import Limit, Panel, Query
from deploy.grafana.boards.parts import (
    BAD,
    CODES,
    GOOD,
    OF_SOURCE,
    OF_STREAM,
    WARN,
    in_range,
    per_second,
    percentile,
    pick,
)  # fmt: skip

_REQUESTS = pick("orchbridge_requests_total", OF_SOURCE)
SOURCE_ROW = (
    Panel(
        kind="timeseries",
        title="Requests by endpoint",
        description=(
            "Requests to the orchestrator in a second. Idle it is about one a tick and stream; with K jobs that moved, "
            "at most K + 2 a tick beside the looks at finishing jobs."
        ),
        unit="reqps",
        queries=(Query(per_second(_REQUESTS, "api"), "{{api}}"),),
        stacked=True,
        least=0,
        nothing="no request",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Requests by answer",
        description=(
            "The same by HTTP code. 401 and 403 are the token's, 429 means slower please, 5xx is PE or its proxy."
        ),
        unit="reqps",
        queries=(Query(per_second(_REQUESTS, "code"), "{{code}}"),),
        colours=CODES,
        stacked=True,
        least=0,
        nothing="no request",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Duration of requests",
        description=(
            "95 of 100 requests to the endpoint were answered within this time. What rises here rises in every delay."
        ),
        unit="s",
        queries=(Query(percentile(0.95, pick("orchbridge_request_seconds", OF_SOURCE), "api") + " >= 0", "{{api}}"),),
        below=GOOD,
        limits=(Limit(1, WARN), Limit(10, BAD)),
        least=0,
        nothing="no request",
        width=8,
    ),
    Panel(
        kind="bargauge",
        title="Failed answers in the time range",
        description=(
            "Answers that were no use, by kind: unreachable, timeout, tls, server (5xx), throttled (429), missing and "
            "absent (404), forbidden, invalid, malformed, oversize. Each is asked again; single ones are normal."
        ),
        unit="none",
        queries=(Query(in_range(pick("orchbridge_troubles_total", OF_STREAM), "kind") + " > 0", "{{kind}}", now=True),),
        below=WARN,
        least=0,
        nothing="every answer was well",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Request budget left",
        description=(
            "Requests that could be sent at once without waiting (`requests_per_s`). Near 0 for long: the bridge "
            "is held back by its own limit."
        ),
        unit="none",
        queries=(Query(f"min by (source) ({pick('orchbridge_request_budget_left', OF_SOURCE)})", "{{source}}"),),
        least=0,
        nothing="unknown",
        width=8,
    ),
    Panel(
        kind="timeseries",
        title="Answers' size",
        description="Decoded bytes that the source answered with, a second.",
        unit="Bps",
        queries=(Query(per_second(pick("orchbridge_response_bytes_total", OF_SOURCE), "source"), "{{source}}"),),
        least=0,
        nothing="no request",
        width=8,
    ),
)
