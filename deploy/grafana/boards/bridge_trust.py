"""Part of the bridge's dashboard: what is missing or was set aside; the process; what expires."""

from __future__ import annotations

from deploy.grafana.boards.model import Limit, Panel, Query
from deploy.grafana.boards.parts import (
    ANY,
    BAD,
    BLUE,
    GOOD,
    OF_SOURCE,
    OF_STREAM,
    SOME,
    WARN,
    in_range,
    per_second,
    pick,
    runbook,
)  # fmt: skip

DAY = 24 * 3600.0


def _count(title: str, counter: str, description: str, limits: tuple[Limit, ...], alert: str = "") -> Panel:
    return Panel(
        kind="stat",
        title=title,
        description=description,
        unit="none",
        queries=(Query(in_range(counter), now=True),),
        below=GOOD if limits else "text",
        limits=limits,
        nothing="no bridge",
        width=4,
        height=4,
        links=(runbook(alert),) if alert else (),
    )


COMPLETE = (
    _count(
        "Jobs proven whole",
        pick("orchbridge_jobs_complete_total", OF_SOURCE),
        "Certificates of the time range that prove a job was delivered with all its events.",
        (),
    ),
    _count(
        "Jobs incomplete",
        pick("orchbridge_jobs_incomplete_total", OF_SOURCE),
        "Certificates that name what is missing of a job: pruned before it was read, forbidden, or too large.",
        ANY,
        "OrchbridgeJobIncomplete",
    ),
    _count(
        "Gaps",
        pick("orchbridge_gaps_total", OF_SOURCE),
        "Ids that never became visible and were declared empty: usually rolled back transactions of PE.",
        SOME,
        "OrchbridgeGap",
    ),
    _count(
        "Resets",
        pick("orchbridge_resets_total", OF_SOURCE),
        "The source's ids went back, as after a restore from a backup: a new epoch began and was read anew.",
        SOME,
        "OrchbridgeSourceReset",
    ),
    _count(
        "Quarantined",
        pick("orchbridge_quarantined_total", OF_STREAM),
        "Records that could not be understood or written; they are in the quarantine topic with the reason.",
        ANY,
        "OrchbridgeQuarantine",
    ),
    _count(
        "Late events",
        pick("orchbridge_late_events_total", OF_STREAM),
        "Records that became visible after a higher id of the same job; delivered, and marked as late.",
        (),
    ),
    Panel(
        kind="bargauge",
        title="Notices",
        description=(
            "What the bridge wrote to the notices topic in the time range, by kind: each is meant for a person."
        ),
        unit="none",
        queries=(Query(in_range(pick("orchbridge_notices_total", OF_STREAM), "kind") + " > 0", "{{kind}}", now=True),),
        below=BLUE,
        least=0,
        nothing="no notice",
        width=8,
        height=7,
    ),
    Panel(
        kind="timeseries",
        title="Stumbles and fences",
        description=(
            "How often the sink was lost and the stream claimed again, and how often a newer owner was met, in a "
            "minute. "
            "Some during a broker's restart are normal; nothing is lost by them."
        ),
        unit="suffix: /min",
        queries=(
            Query(f"60 * {per_second(pick('orchbridge_stumbles_total', OF_STREAM))}", "stumbles"),
            Query(f"60 * {per_second(pick('orchbridge_stream_fenced_total', OF_STREAM))}", "fences"),
        ),
        least=0,
        nothing="no bridge",
        width=8,
        height=7,
        links=(runbook("OrchbridgeSinkUnstable"), runbook("OrchbridgeStreamContested")),
    ),
    Panel(
        kind="stat",
        title="Values hidden",
        description="Secrets redacted in the time range, before anything was written or logged.",
        unit="short",
        queries=(Query(in_range(pick("orchbridge_redacted_total", OF_SOURCE)), now=True),),
        nothing="no bridge",
        width=8,
        height=7,
    ),
)


def _expiry(title: str, metric: str, description: str, limits: tuple[Limit, ...], nothing: str, alert: str) -> Panel:
    return Panel(
        kind="stat",
        title=title,
        description=description,
        unit="s",
        queries=(Query(f"min by (source) ({pick(metric, OF_SOURCE)}) - time()", "{{source}}", now=True),),
        below=BAD,
        limits=limits,
        nothing=nothing,
        width=6,
        height=6,
        links=(runbook(alert),),
    )


PROCESS = (
    Panel(
        kind="bargauge",
        title="Watchdog",
        description=(
            "Times something of a worker hung in the time range: a commit or task beyond its own bound, a "
            "question, the "
            "event loop. `/healthz` fails meanwhile, so that a supervisor restarts the worker."
        ),
        unit="none",
        queries=(Query(in_range("orchbridge_watchdog_total", "kind") + " > 0", "{{kind}}", now=True),),
        below=BAD,
        least=0,
        nothing="nothing hung",
        width=4,
        height=6,
        links=(runbook("OrchbridgeWatchdog"),),
    ),
    Panel(
        kind="stat",
        title="Beyond a label's budget",
        description=(
            "Counted under `other` in the time range, because a label had too many values: names, environments, "
            "brokers. Nodes beyond `node_series` are not meant."
        ),
        unit="none",
        queries=(Query(in_range(pick("orchbridge_series_overflow_total", OF_SOURCE, 'label!="certname"')), now=True),),
        below=BLUE,
        limits=(Limit(1, WARN),),
        nothing="0",
        width=4,
        height=6,
        links=(runbook("OrchbridgeSeriesOverflow"),),
    ),
    Panel(
        kind="stat",
        title="Group shared out anew",
        description=(
            "Times the workers' group shared out the streams in the time range, as the worker counted that saw most "
            "of them. Many without deployments: a worker comes and goes."
        ),
        unit="none",
        queries=(Query("round(max(increase(orchbridge_group_rebalances_total[$__range])))", now=True),),
        nothing="no group",
        width=4,
        height=6,
        links=(runbook("OrchbridgeGroupUnstable"),),
    ),
    _expiry(
        "Token expires in",
        "orchbridge_token_expiry_timestamp_seconds",
        "Life left to the RBAC token, where the server tells it; of several workers' the one that ends first. At 0 the "
        "streams park until a new one lies in `token_file`.",
        (Limit(3 * DAY, WARN), Limit(14 * DAY, GOOD)),
        "not told by the server",
        "OrchbridgeTokenExpiring",
    ),
    _expiry(
        "Certificate expires in",
        "orchbridge_certificate_expiry_timestamp_seconds",
        "Life left to the orchestrator's own certificate. At 0 no request is accepted any more, ours included.",
        (Limit(14 * DAY, WARN), Limit(60 * DAY, GOOD)),
        "unknown",
        "OrchbridgeCertificateExpiring",
    ),
)
