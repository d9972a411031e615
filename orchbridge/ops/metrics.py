"""The metrics' values, and their text in the formats Prometheus reads."""

from __future__ import annotations

import bisect
import gzip
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from orchbridge.ops.catalogue import CATALOGUE, Metric

GZIP_LEVEL = 1  # the text is so repetitive that more effort saves little and holds up everybody
SERIES_MAX = 10_000  # of one metric; what would go beyond is not kept

Labels = tuple[str, ...]


class Seen(NamedTuple):
    """The job that a value comes from, and when it was counted (Unix seconds)."""

    job: str
    at: float


class _Spread:
    """One histogram series: how many observations fell into each bucket, the last one's job, and their sum."""

    __slots__ = ("counts", "exemplars", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.exemplars: dict[int, Exemplar] = {}
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
        self._exemplars: dict[str, dict[Labels, Exemplar]] = {m.name: {} for m in CATALOGUE if m.exemplars}
        self._buckets = {metric.name: metric.buckets for metric in CATALOGUE}
        self._labels = {metric.name: len(metric.labels) for metric in CATALOGUE}
        self.registry.register(self)

    def add(self, name: str, *labels: str, by: float = 1, seen: Seen | None = None) -> None:
        """Count up; `by` 0 exports the series before anything happened, so that an alert sees the first change."""
        series = self._values[name]
        if labels in series or self._room(name, labels, series):
            series[labels] = series.get(labels, 0) + by
            if seen is not None and by and name in self._exemplars:
                self._exemplars[name][labels] = Exemplar({"job_id": seen.job}, float(by), seen.at)

    def set(self, name: str, *labels: str, to: float) -> None:
        """Set a gauge."""
        series = self._values[name]
        if labels in series or self._room(name, labels, series):
            series[labels] = to

    def raised(self, name: str, *labels: str, to: float) -> None:
        """Set a counter to the highest it has been told of; it never goes back."""
        self._values[name][labels] = max(to, self._values[name].get(labels, 0))

    def level(self, name: str, *labels: str, to: float) -> None:
        """Set all series whose labels begin so."""
        series = self._values[name]
        for found in series:
            if found[: len(labels)] == labels:
                series[found] = to

    def observe(self, name: str, *labels: str, value: float, times: int = 1, seen: Seen | None = None) -> None:
        """Put an observation into its bucket; `times` 0 exports the series empty."""
        series = self._spreads[name]
        spread = series.get(labels)
        if spread is None:
            if not self._room(name, labels, series):
                return
            spread = series[labels] = _Spread(len(self._buckets[name]))
        place = bisect.bisect_left(self._buckets[name], value)
        spread.counts[place] += times
        spread.total += value * times
        if seen is not None and times and name in self._exemplars:
            spread.exemplars[place] = Exemplar({"job_id": seen.job}, value, seen.at)

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

    def answer(self, accept: str, accept_encoding: str) -> tuple[bytes, dict[str, str]]:
        """Return the text as a scrape asks for it, and the headers that say what it is."""
        body, content_type = self.text(accept)
        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if not _takes_gzip(accept_encoding):
            return body, headers
        return gzip.compress(body, GZIP_LEVEL, mtime=0), headers | {"content-encoding": "gzip"}

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
                    family.add_metric(labels, _buckets(metric, spread), spread.total)
            else:
                exemplars = self._exemplars.get(metric.name, {})
                for labels, value in self._values[metric.name].items():
                    if labels in exemplars and isinstance(family, CounterMetricFamily):
                        family.add_metric(labels, value, exemplar=exemplars[labels])
                    else:
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


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is among the codings asked for and not refused with a weight of 0."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _buckets(metric: Metric, spread: _Spread) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Return (bound, how many up to it), with an exemplar where there is one."""
    bounds = (*map(str, metric.buckets), "+Inf")
    told = zip(bounds, itertools.accumulate(spread.counts), strict=True)
    return [
        (bound, count, spread.exemplars[place]) if place in spread.exemplars else (bound, count)
        for place, (bound, count) in enumerate(told)
    ]


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    if metric.kind == "gauge":
        return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
