"""`docs/metrics.md`, made from the catalogue: `make docs` writes it, a test keeps it fresh."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from orchbridge.ops.bounds import BROKERS_MAX, ENVIRONMENTS_MAX, NAMES_MAX, SERVICES_MAX, UNKNOWN_MAX
from orchbridge.ops.catalogue import OURS, PE, Metric
from orchbridge.ops.failures import RECENT_MAX, RECENT_S

PREAMBLE = f"""\
# Metrics

Made from the catalogue by `make docs`; do not edit.

`/metrics` serves the Prometheus text format, and OpenMetrics to those who ask for it, as Prometheus does;
packed with gzip where that is asked for. A scrape asks neither the orchestrator nor Kafka.

## What to rely on

- **Counters begin at 0 before anything happens**, so that `increase()` sees the first change: those of every
  configured source and stream when the process starts, those of a task, plan or environment as soon as a job of
  it is seen. A first job that begins and ends between two scrapes is all the same the first value of its series;
  `pe_failed_job_nodes` shows it if it failed.
- **Live facts only.** Replayed and backfilled records count in `orchbridge_records_committed_total`, those of
  them that are set aside in `orchbridge_quarantined_total`, and nowhere in `pe_*`; a backfill has
  `orchbridge_backfill_*`.
- **What is gone goes.** When a stream moves to another worker, its gauges leave this one, except
  `orchbridge_stream_owned` and `orchbridge_stream_parked`, which fall to 0, and
  `pe_job_last_success_timestamp_seconds`, which no later owner makes untrue, and
  `orchbridge_token_expiry_timestamp_seconds` and `orchbridge_token_renewal_due_timestamp_seconds`, which are of this
  worker's own token; counters stay where they are.
  So `sum` counters over the workers, and take `max` of gauges. A backfill that is done keeps its gauges until the
  process ends, for what it did to be seen, and is owned by nobody.
- No label is called `job`, `instance`, `namespace`, `pod`, `service`, `container` or `endpoint`: those are the
  scrape's own. There are no `_created` series.

## How many series

At most about 2,000 for each source, however large the site is: 10,000 jobs, 200 tasks, 50 environments and
100,000 nodes make some 1,800. Labels whose values others choose have budgets for each source; what comes first
stays, everything beyond is counted together as `"other"`, and `orchbridge_series_overflow_total` says by label
how much that was.

| label | values of a source |
|---|---|
| `task`, `plan` | {NAMES_MAX} each; `name_series` in `[metrics]` |
| `type` with `environment` | {ENVIRONMENTS_MAX} pairs, beside `production` |
| `broker` | {BROKERS_MAX}; one that lost all its nodes stays, as 0 |
| `service` | {SERVICES_MAX} |
| `type`, `kind`, `stage`, `reason` | those we know, and {UNKNOWN_MAX} that a newer server may add |

Two metrics have labels that would have no end, and limits of their own:

- `pe_failed_job_nodes` carries a job's number, for an alert's text: the newest {RECENT_MAX} failed jobs of a source,
  each for {RECENT_S / 60:.0f} minutes from when its failure was delivered. A worker that takes over or starts anew
  begins without them.
- `pe_node_connected` carries a certname, and is off by default. `node_series = 500` in `[metrics]` exports the
  first 500 nodes by name.

## Exemplars

Where the table says so, a value comes with the number of the job that moved it last, as `job_id`: in OpenMetrics
only, and stored by Prometheus with `--enable-feature=exemplar-storage`. They are no series.
"""


def page() -> str:
    """Return the document."""
    parts = (PREAMBLE, "## Puppet Enterprise", "", *_table(PE), "", "## orchbridge itself", "", *_table(OURS), "")
    return "\n".join(parts)


def _table(metrics: tuple[Metric, ...]) -> Iterator[str]:
    yield "| name | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}." if metric.buckets else ""
        exemplar = " With exemplars." if metric.exemplars else ""
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}.{buckets}{exemplar} |"


if __name__ == "__main__":
    sys.stdout.write(page())
