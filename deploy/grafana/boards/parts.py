"""What the dashboards share: colours with one meaning each, variables, links, pieces of PromQL."""

from __future__ import annotations

from deploy.grafana.boards.model import Colour, Limit, Link, Text, Variable

# Okabe and Ito's palette: told apart with every kind of colour vision. Each colour means one thing everywhere.
GREEN, RED, ORANGE, BLUE = "#009E73", "#D55E00", "#E69F00", "#0072B2"
SKY, PINK, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"
GOOD, BAD, WARN = GREEN, RED, ORANGE

OUTCOMES = (Colour("success", GOOD), Colour("failure", BAD), Colour("stopped", PINK))
RESULTS = (Colour("finished", GOOD), Colour("failed", BAD), Colour("errored", ORANGE), Colour("skipped", SKY))
STATES = (
    Colour("new", GREY), Colour("ready", SKY), Colour("pending", SKY), Colour("running", BLUE),
    Colour("stopping", PINK), Colour("other", YELLOW),
)  # fmt: skip
CONNECTION = (Colour("connected", GOOD), Colour("disconnected", BAD), Colour("removed", GREY))
STREAMS = (
    Colour(r"/ jobs$/", BLUE), Colour(r"/ plans$/", ORANGE), Colour(r"/ inventory$/", GREEN),
    Colour(r"/ jobs-backfill$/", SKY), Colour(r"/ plans-backfill$/", YELLOW), Colour(r"/ replay$/", PINK),
)  # fmt: skip
CODES = (Colour(r"/^2/", GOOD), Colour(r"/^3/", SKY), Colour(r"/^4/", ORANGE), Colour(r"/^5/", BAD))
PERCENTILES = (Colour("p50", BLUE), Colour("p95", ORANGE), Colour("p99", RED))

ANY = (Limit(1, BAD),)  # one is too many
SOME = (Limit(1, WARN),)  # one is worth a look
PER_MINUTE = "suffix: /min"

BRIDGE = Text(
    "bridge", "Bridge", "http://localhost:9640", "Address of the bridge's status page; links to it and the runbooks"
)
SOURCE = Variable(
    "source", "Source", "source", "orchbridge_stream_owned", "The orchestrators, by the name in the bridge's config"
)
ENVIRONMENT = Variable(
    "environment", "Environment", "environment", 'pe_jobs_finished_total{source=~"$source"}',
    "The jobs' Puppet environment; panels about nodes and plans do not know it",
)  # fmt: skip
STREAM = Variable(
    "stream", "Stream", "stream", 'orchbridge_stream_owned{source=~"$source"}',
    "The tails of a source: jobs, plans, inventory, and what reads history",
)  # fmt: skip

STATUS_PAGE = Link("Status page", "${bridge:raw}/")
RUNBOOKS = Link("Runbooks", "${bridge:raw}/runbooks/")

OF_SOURCE = 'source=~"$source"'
NAME = "{{source}} {{stream}}"  # what a stream's series are called
OF_STREAM = 'source=~"$source", stream=~"$stream"'
# A window's or a replay's stream ends for good: that nobody owns it is no fault.
LASTING = 'stream!~".*-backfill|replay"'


def pick(metric: str, *matchers: str) -> str:
    """Return a metric with label matchers in PromQL."""
    return f"{metric}{{{', '.join(matchers)}}}"


def runbook(alert: str) -> Link:
    """Return the way to an alert's runbook page."""
    return Link(f"Runbook {alert}", f"${{bridge:raw}}/runbooks/{alert}")


def in_range(counter: str, *by: str) -> str:
    """Return how often something happened in the time range, as a whole number; its series were there before.

    `increase` stretches what it saw to the range's ends; the rounding takes that away again.
    """
    return f"round(sum{_by(by)}(increase({counter}[$__range])))"


def born_in_range(counter: str, *by: str, window: str = "$__range") -> str:
    """Return the same for a counter whose series appear with the first job, task or environment they count.

    `increase` knows nothing of what was counted before a series was first scraped, so the one run of a short task would
    be missing. A series that was not there in the 10 minutes before the range has counted all it holds within it;
    unless nothing was scraped in those minutes, and it was there in the half day before.
    """
    before = f"last_over_time({counter}[10m] offset {window})"
    scraped = f"last_over_time(up[10m] offset {window})"
    missed = f"last_over_time({counter}[12h] offset {window}) unless on (job, instance) {scraped}"
    born = f"{counter} unless {before} unless ({missed})"
    return f"round(sum{_by(by)}(({born}) or increase({counter}[{window}])))"


def per_minute(counter: str, *by: str) -> str:
    """Return how often something happens in a minute, over time."""
    return f"60 * sum{_by(by)}(rate({counter}[$__rate_interval]))"


def per_second(counter: str, *by: str) -> str:
    """Return how often something happens in a second, over time."""
    return f"sum{_by(by)}(rate({counter}[$__rate_interval]))"


def percentile(share: float, histogram: str, *by: str) -> str:
    """Return a percentile of a histogram's observations over time; `histogram` is written without `_bucket`."""
    return f"histogram_quantile({share}, sum{_by(('le', *by))}(rate({buckets(histogram)}[$__rate_interval])))"


def percentile_in_range(share: float, histogram: str, *by: str) -> str:
    """Return a percentile of what was observed in the time range; see `born_in_range`."""
    return f"histogram_quantile({share}, {born_in_range(buckets(histogram), 'le', *by)})"


def buckets(histogram: str) -> str:
    """Return the buckets' series of a histogram that is written without `_bucket`."""
    name, brace, rest = histogram.partition("{")
    return f"{name}_bucket{brace}{rest}"


def once(gauge: str, *by: str) -> str:
    """Return a gauge that only a stream's owner exports; in the moment of a handover two may, so not their sum."""
    return f"max{_by(by)}({gauge})"


def of_stream(gauge: str) -> str:
    """Return a stream's gauge for the chosen sources and streams."""
    return once(pick(gauge, OF_STREAM), "source", "stream")


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""
