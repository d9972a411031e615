"""The metrics' values, and their text in the formats Prometheus reads."""

from __future__ import annotations

import bisect
import itertools
import sys
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from orchbridge.ops.catalogue import CATALOGUE, OURS, PE, Metric

SERIES_MAX = 10_000  # of one metric; what would go beyond is not kept

Labels = tuple[str, ...]


class _Spread:
    """One histogram series: how many observations fell into each bucket, and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Metrics(Collector):
    """All metrics of the catalogue, in one registry of their own.

    Labels are given in the catalogue's order. A collector of ours rather than the library's
    metric objects, because series of a released stream must go, batches are counted at once,
    and no `_created` series are wanted. All calls come from the event loop's thread.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.refresh: Callable[[], None] | None = None  # called before values are read: ages, gauges of a state
        self._values: dict[str, dict[Labels, float]] = {m.name: {} for m in CATALOGUE if m.kind != "histogram"}
        self._spreads: dict[str, dict[Labels, _Spread]] = {m.name: {} for m in CATALOGUE if m.kind == "histogram"}
        self._buckets = {metric.name: metric.buckets for metric in CATALOGUE}
        self._labels = {metric.name: len(metric.labels) for metric in CATALOGUE}
        self.registry.register(self)

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Count up; `by` 0 exports the series before anything happened, so that an alert sees the first change."""
        series = self._values[name]
        if labels in series or self._room(name, labels, series):
            series[labels] = series.get(labels, 0) + by

    def set(self, name: str, *labels: str, to: float) -> None:
        """Set a gauge."""
        series = self._values[name]
        if labels in series or self._room(name, labels, series):
            series[labels] = to

    def observe(self, name: str, *labels: str, value: float, times: int = 1) -> None:
        """Put an observation into its bucket; `times` 0 exports the series empty."""
        series = self._spreads[name]
        spread = series.get(labels)
        if spread is None:
            if not self._room(name, labels, series):
                return
            spread = series[labels] = _Spread(len(self._buckets[name]))
        spread.counts[bisect.bisect_left(self._buckets[name], value)] += times
        spread.total += value * times

    def forget(self, name: str, *labels: str) -> None:
        """Drop the series whose labels begin so."""
        series = self._values[name]
        for found in [each for each in series if each[: len(labels)] == labels]:
            del series[found]

    def value(self, name: str, *labels: str) -> float | None:
        """Return a counter's or gauge's value, None where it is not exported."""
        return self._values[name].get(labels)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return everything as text and its content type, OpenMetrics where `accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def describe(self) -> Iterator[Family]:
        """Tell the registry our names without reading values."""
        return (_family(metric) for metric in CATALOGUE)

    def collect(self) -> Iterator[Family]:
        """Yield every metric that has a series."""
        if self.refresh is not None:
            self.refresh()
        for metric in CATALOGUE:
            family = _family(metric)
            if isinstance(family, HistogramMetricFamily):
                for labels, spread in self._spreads[metric.name].items():
                    bounds = (*map(str, metric.buckets), "+Inf")
                    counts = itertools.accumulate(spread.counts)
                    family.add_metric(labels, list(zip(bounds, counts, strict=True)), spread.total)
            else:
                for labels, value in self._values[metric.name].items():
                    family.add_metric(labels, value)
            if family.samples:
                yield family

    def _room(self, name: str, labels: Labels, series: dict[Labels, float] | dict[Labels, _Spread]) -> bool:
        """Return whether a new series may be opened; a wrong number of labels is a bug."""
        if len(labels) != self._labels[name]:
            raise ValueError(f"{name} takes {self._labels[name]} labels, not {labels}")
        if len(series) < SERIES_MAX:
            return True
        overflow = self._values["orchbridge_series_overflow_total"]
        place = (labels[0], "every label")
        overflow[place] = overflow.get(place, 0) + 1
        return False


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)


def page() -> str:
    """Return `docs/metrics.md`."""
    return "\n".join(
        [
            "# Metrics",
            "",
            "Made from the catalogue by `python -m orchbridge.ops.metrics > docs/metrics.md`; do not edit.",
            "",
            "`/metrics` serves the Prometheus text format, and OpenMetrics to those who ask for it. No label ever",
            "holds a job number or a certname. A label with too many values (more than 100 environments of a source)",
            'continues as `"other"`, counted by `orchbridge_series_overflow_total`.',
            "",
            "Counters of every configured source and stream are exported as 0 before anything happens, so",
            "`increase()` sees the first change. When a stream is released to another worker its gauges go,",
            "except `orchbridge_stream_owned` and `orchbridge_stream_parked`, which fall to 0; counters stay.",
            "Replayed and backfilled records count in `orchbridge_records_committed_total` and nowhere in `pe_*`.",
            "",
            "## Puppet Enterprise",
            "",
            *_table(PE),
            "",
            "## orchbridge itself",
            "",
            *_table(OURS),
            "",
        ]
    )


def _table(metrics: tuple[Metric, ...]) -> Iterator[str]:
    yield "| name | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}." if metric.buckets else ""
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}.{buckets} |"


if __name__ == "__main__":
    sys.stdout.write(page())
