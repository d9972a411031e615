"""The overview: what a person on call wants to know in ten seconds."""

from __future__ import annotations

from deploy.grafana.boards.model import Board, Column, Limit, Link, Panel, Query, Row, Word
from deploy.grafana.boards.parts import (
    ANY,
    BAD,
    CONNECTION,
    ENVIRONMENT,
    GOOD,
    LASTING,
    OF_SOURCE,
    OUTCOMES,
    PER_MINUTE,
    RUNBOOKS,
    SOURCE,
    STATUS_PAGE,
    WARN,
    born_in_range,
    once,
    per_minute,
    pick,
    runbook,
)  # fmt: skip

ENDED = pick("pe_jobs_finished_total", OF_SOURCE, 'environment=~"$environment"')
FAILED = pick("pe_jobs_finished_total", OF_SOURCE, 'environment=~"$environment"', 'outcome="failure"')
FAILED_NODES = pick("pe_failed_job_nodes", OF_SOURCE, 'environment=~"$environment"')
# Some alerts are about no source.
FIRING = pick("ALERTS", 'alertstate="firing"', 'alertname=~"Puppet.*|Orchbridge.*"', 'source=~"$source|"')
NODES = pick("pe_nodes", OF_SOURCE)
UNREACHABLE = pick("pe_nodes", OF_SOURCE, 'connected="false"')
REACHABLE = pick("pe_nodes", OF_SOURCE, 'connected="true"')
JOBS_BOARD = Link("Jobs", "/d/orchbridge-jobs?${__url_time_range}&${source:queryparam}", new_tab=False)
NODES_BOARD = Link("Nodes", "/d/orchbridge-nodes?${__url_time_range}&${source:queryparam}", new_tab=False)
BRIDGE_BOARD = Link("Bridge", "/d/orchbridge-bridge?${__url_time_range}&${source:queryparam}", new_tab=False)

_NOW = (
    Panel(
        kind="stat",
        title="Puppet Enterprise",
        description=(
            "Whether each orchestrator answered well within the last 30 s. While it is down nothing below gets newer; "
            "jobs that run meanwhile are caught up with later."
        ),
        unit="none",
        queries=(Query(f"min by (source) ({pick('pe_up', OF_SOURCE)})", "{{source}}", now=True),),
        words=(Word(0, "down", BAD), Word(1, "up", GOOD)),
        below=BAD,
        limits=(Limit(1, GOOD),),
        nothing="no bridge",
        width=4,
        height=4,
        links=(runbook("PuppetOrchestratorUnreachable"), STATUS_PAGE),
    ),
    Panel(
        kind="stat",
        title="Jobs failed, last 15 min",
        description=(
            "Jobs that ended in failure within the last 15 minutes, whatever the time range. Stopped ones do not count."
        ),
        unit="none",
        queries=(Query(born_in_range(FAILED, window="15m"), now=True),),
        below=GOOD,
        limits=ANY,
        nothing="no bridge",
        width=4,
        height=4,
        links=(runbook("PuppetJobFailed"), JOBS_BOARD),
    ),
    Panel(
        kind="stat",
        title="Jobs running",
        description="Jobs that have begun and not ended, waiting ones included.",
        unit="none",
        queries=(Query(f"sum({once(pick('pe_jobs', OF_SOURCE), 'source', 'state')})", now=True),),
        nothing="unknown",
        width=4,
        height=4,
        links=(JOBS_BOARD,),
    ),
    Panel(
        kind="stat",
        title="Oldest unfinished job",
        description=(
            "Age of the job that has been going on for longest; 0 without one. Far beyond what your jobs usually take "
            "means that one is stuck: the status page names it."
        ),
        unit="s",
        queries=(Query(f"max({pick('pe_oldest_running_job_age_seconds', OF_SOURCE)})", now=True),),
        below=GOOD,
        limits=(Limit(3600, WARN), Limit(4 * 3600, BAD)),
        nothing="unknown",
        decimals=0,
        width=4,
        height=4,
        links=(runbook("PuppetJobStuck"), STATUS_PAGE),
    ),
    Panel(
        kind="stat",
        title="Nodes unreachable",
        description=(
            "Nodes that the inventory knows and no broker is connected to. A job on such a node fails at once. "
            "Many at once usually means a broker or a network, not the nodes."
        ),
        unit="none",
        queries=(Query(f"sum({once(UNREACHABLE, 'source')})", now=True),),
        below=GOOD,
        limits=(Limit(1, WARN),),
        nothing="unknown",
        width=4,
        height=4,
        links=(runbook("PuppetNodesUnreachable"), NODES_BOARD),
    ),
    Panel(
        kind="stat",
        title="Nodes reachable",
        description="Share of the known nodes that are connected to a broker.",
        unit="percentunit",
        queries=(Query(f"sum({once(REACHABLE, 'source')}) / sum({once(NODES, 'source', 'connected')})", now=True),),
        below=BAD,
        limits=(Limit(0.9, WARN), Limit(0.99, GOOD)),
        nothing="unknown",
        decimals=1,
        width=4,
        height=4,
        links=(NODES_BOARD,),
    ),
    Panel(
        kind="stat",
        title="Streams nobody carries",
        description=(
            "Streams (tails of a source) that no worker owns. For some seconds after a worker went away that is "
            "normal; "
            "longer means that no worker is left or that Kafka does not let them join."
        ),
        unit="none",
        queries=(
            Query(
                f"sum(1 - max by (source, stream) ({pick('orchbridge_stream_owned', OF_SOURCE, LASTING)}))",
                now=True,
            ),
        ),
        below=GOOD,
        limits=ANY,
        nothing="no bridge",
        width=4,
        height=4,
        links=(runbook("OrchbridgeStreamNotOwned"), BRIDGE_BOARD),
    ),
    Panel(
        kind="stat",
        title="Streams waiting for a person",
        description=(
            "Parked streams: the token was refused, a topic is wrong, or a cursor cannot be read. They go on by "
            "themselves once that is mended; the status page says what to do."
        ),
        unit="none",
        queries=(Query(f"sum({pick('orchbridge_stream_parked', OF_SOURCE)})", now=True),),
        below=GOOD,
        limits=ANY,
        nothing="no bridge",
        width=4,
        height=4,
        links=(runbook("OrchbridgeStreamParked"), STATUS_PAGE),
    ),
    Panel(
        kind="stat",
        title="How old the news is",
        description=(
            "Time since the slowest stream last read everything and committed it: what you see here and what your "
            "consumers have is as old as this. A few seconds is normal."
        ),
        unit="s",
        queries=(Query(f"max({pick('orchbridge_lag_seconds', OF_SOURCE)})", now=True),),
        below=GOOD,
        limits=(Limit(60, WARN), Limit(300, BAD)),
        nothing="no bridge",
        decimals=1,
        width=4,
        height=4,
        links=(runbook("OrchbridgeStreamStalled"), BRIDGE_BOARD),
    ),
    Panel(
        kind="stat",
        title="Workers",
        description=(
            "Bridge processes that Prometheus reaches. One carries everything; a second takes over when it goes."
        ),
        unit="none",
        queries=(Query("sum(max by (instance) (orchbridge_build_info))", now=True),),
        below=BAD,
        limits=(Limit(1, GOOD),),
        nothing="none",
        width=4,
        height=4,
        links=(runbook("OrchbridgeDown"), BRIDGE_BOARD),
    ),
    Panel(
        kind="stat",
        title="Jobs that failed",
        description="Jobs of the time range that ended in failure.",
        unit="none",
        queries=(Query(born_in_range(FAILED), now=True),),
        below=GOOD,
        limits=(Limit(1, WARN),),
        nothing="no bridge",
        width=4,
        height=4,
        links=(JOBS_BOARD,),
    ),
    Panel(
        kind="stat",
        title="Share that failed",
        description="Failed jobs of the time range by all jobs that ended in it, stopped ones included.",
        unit="percentunit",
        queries=(Query(f"{born_in_range(FAILED)} / ({born_in_range(ENDED)} > 0)", now=True),),
        below=GOOD,
        limits=(Limit(0.05, WARN), Limit(0.25, BAD)),
        nothing="no job ended",
        decimals=1,
        width=4,
        height=4,
        links=(runbook("PuppetJobFailureRatioHigh"), JOBS_BOARD),
    ),
)

_FAILURES = (
    Panel(
        kind="table",
        title="Recently failed jobs",
        description=(
            "The newest failures, at most 20 of each source and none older than an hour. The number is how many nodes "
            "failed. Click the job for the PE console, where the bridge was told its address (`job_url`)."
        ),
        unit="none",
        queries=(
            Query(
                f"max by (source, job_id, type, name, environment, console_url) ({FAILED_NODES})",
                now=True,
                shown="table",
            ),
        ),
        columns=(
            Column("Time", None),
            Column("console_url", None),
            Column(
                "job_id",
                "Job",
                width=110,
                links=(
                    Link("Open in the PE console", "${__data.fields.console_url}"),
                    Link("Runbook", "${bridge:raw}/runbooks/PuppetJobFailed"),
                ),
            ),
            Column("name", "Task or plan"),
            Column("type", "Type"),
            Column("environment", "Environment"),
            Column("source", "Source"),
            Column("Value", "Nodes failed", width=130, limits=(Limit(1, BAD),)),
        ),
        sort="Job",
        nothing="no job failed within the last hour",
        width=14,
        height=10,
    ),
    Panel(
        kind="table",
        title="Alerts firing",
        description=(
            "Alerts of the bridge's rules that Prometheus sees firing now. Click one for its runbook. "
            "Empty also where the rules are not loaded."
        ),
        unit="none",
        queries=(
            Query(
                f"max by (alertname, severity, source) ({FIRING})",
                now=True,
                shown="table",
            ),
        ),
        columns=(
            Column("Time", None),
            Column("Value", None),
            Column(
                "alertname",
                "Alert",
                links=(Link("Runbook", "${bridge:raw}/runbooks/${__value.raw}"),),
            ),
            Column("severity", "Severity", width=110),
            Column("source", "Source"),
        ),
        nothing="no alert fires",
        width=10,
        height=10,
    ),
)

_COURSE = (
    Panel(
        kind="timeseries",
        title="Jobs ended",
        description="Jobs that ended, a minute, by outcome. A wide red area is a broken task or a broken environment.",
        unit=PER_MINUTE,
        queries=(Query(per_minute(ENDED, "outcome"), "{{outcome}}"),),
        colours=OUTCOMES,
        stacked=True,
        least=0,
        nothing="no bridge",
    ),
    Panel(
        kind="timeseries",
        title="Nodes by connection",
        description=(
            "Known nodes, connected to a broker or not. A step is a broker or a network; a slope is an upgrade or "
            "a shift."
        ),
        unit="none",
        queries=(
            Query(f"sum({once(REACHABLE, 'source')})", "connected"),
            Query(f"sum({once(UNREACHABLE, 'source')})", "disconnected"),
        ),
        colours=CONNECTION,
        stacked=True,
        least=0,
        nothing="unknown",
    ),
)

BOARD = Board(
    uid="orchbridge-overview",
    title="Puppet orchestrator: overview",
    description=(
        "For the person on call: is Puppet Enterprise up, what fails now, can the nodes be reached, is the bridge well."
    ),
    rows=(Row("Now", _NOW), Row("What failed", _FAILURES), Row("Over time", _COURSE)),
    variables=(SOURCE, ENVIRONMENT),
    links=(STATUS_PAGE, RUNBOOKS),
)
