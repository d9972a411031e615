"""What an answer has to be: the kinds of expectation, each saying what is wrong with an answer."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from tests.dashboards.grafana import Series
from tests.dashboards.stage import Stage
from tests.dashboards.story import Story, Work

Key: TypeAlias = tuple[str, ...]
Values: TypeAlias = Mapping[Key, float]

SLACK_S = 4.0  # poll, commit, scrape, and a machine that is busy with other tests
TICK_S = 0.03  # some states last a tenth of a second


@dataclass(frozen=True)
class View:
    """What the reader chose at the head of the dashboard."""

    stage: Stage
    sources: tuple[str, ...]
    environments: tuple[str, ...]
    streams: tuple[str, ...]

    @cached_property
    def stories(self) -> list[Story]:
        return [self.stage.stories[name] for name in self.sources]

    @property
    def all_jobs(self) -> list[Work]:
        return [job for story in self.stories for job in story.jobs]

    @property
    def jobs(self) -> list[Work]:
        """Those of the chosen environments."""
        return [job for job in self.all_jobs if job.environment in self.environments]

    @property
    def plans(self) -> list[Work]:
        return [plan for story in self.stories for plan in story.plans]

    def carried(self) -> list[tuple[str, str]]:
        """Source and name of every chosen stream."""
        return [(source, stream) for source in self.sources for stream in self.streams]


@dataclass(frozen=True)
class Exact:
    """Exactly these values, for the labels in `by`; of a curve its last points.

    Series of 0 may be there beside them, since counters begin as 0; where 0 is left out by the
    query itself (`sparse`) it may be missing. `at` is the moment to ask for. Large numbers that `increase`
    `stretched` from its samples to both ends of the range differ by up to two scrapes at each end.
    """

    by: Sequence[str]
    truth: Callable[[View], Values]
    within: float = 1e-6
    sparse: bool = False
    stretched: bool = False
    at: Literal["end", "busy", "parked"] = "end"

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        told = {key: series.last for key, series in _keyed(answer, self.by).items()}
        truth, window = self.truth(view), view.stage.window
        share = 4.4 * window.scrape / (window.end - window.start) if self.stretched else 0.0
        for key in sorted(truth.keys() | told.keys()):
            if key not in told:
                if truth[key] or not self.sparse:
                    yield f"{key} is missing, it is {truth[key]}"
            elif not abs(told[key] - truth.get(key, 0.0)) <= self.within + share * truth.get(key, 0.0):
                yield f"{key} is said to be {told[key]}, but is {truth.get(key, 0.0)}"


@dataclass(frozen=True)
class Follows:
    """A curve of something that is: at every point a value that can be true, given the slack before it.

    The truth's keys may go on with what is counted, such as a job's id: of each the bridge may know
    another moment, so the sum lies between the sums of the least and of the most each of them was.
    Where nothing changed for that long, that is exactly the one value that is true. An age that
    `grows` does so until the bridge has seen the end.
    """

    by: Sequence[str]
    truth: Callable[[View, float], Values]
    within: float = 1e-6
    grows: bool = False

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        told = _keyed(answer, self.by)
        keys = {key[: len(self.by)] for key in self.truth(view, view.stage.window.end)}
        yield from (f"{key} is missing" for key in keys - told.keys())
        known: dict[int, Values] = {}
        for key, series in told.items():
            for at, value in series.points:
                ticks = range(round((at - SLACK_S) / TICK_S), round((at + 0.2) / TICK_S))
                for tick in ticks:
                    if tick not in known:
                        known[tick] = self.truth(view, tick * TICK_S)
                low, high = _bounds(key, [known[tick] for tick in ticks])
                high += SLACK_S if self.grows and high else 0.0
                if not low - self.within <= value <= high + self.within:
                    yield f"{key} is said to be {value} at {at:.1f}, but was {low} to {high}"
                    break


def _bounds(key: Key, truths: Sequence[Values]) -> tuple[float, float]:
    items = {item for truth in truths for item in truth if item[: len(key)] == key}
    values = [[truth.get(item, 0.0) for truth in truths] for item in items]
    return sum(map(min, values)), sum(map(max, values))


@dataclass(frozen=True)
class Adds:
    """A rate over time: over the whole window it adds up to a count. `unit_s` is the time it is a rate of.

    A rate is what a few samples say, stretched to its window: a series that leaves 0 is stretched less
    (by a quarter at most), so a sum may be that much too low; and 10 % too high where scrapes come unevenly.
    """

    by: Sequence[str]
    truth: Callable[[View], Values]
    unit_s: float = 60.0
    low: float = 0.7
    high: float = 1.15
    plus: float = 0.35
    at_least: bool = False

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        step, told = view.stage.window.step, _keyed(answer, self.by)
        sums = {
            key: sum(value for _, value in series.points if not math.isnan(value)) * step / self.unit_s
            for key, series in told.items()
        }
        truth = self.truth(view)
        for key in sorted(truth.keys() | sums.keys()):
            true = truth.get(key, 0.0)
            if key not in sums:
                yield f"{key} is missing, it happened {true} times"
            elif sums[key] < true * self.low - self.plus or (
                not self.at_least and sums[key] > true * self.high + self.plus
            ):
                yield f"{key} adds up to {sums[key]:.2f}, but happened {true} times"


@dataclass(frozen=True)
class Between:
    """Every value between two bounds, each of these keys with at least one number; `why` no exact value is known.

    Each of the keys' curves rises to its `peak` at least once, and is as low as its `dip`.
    """

    by: Sequence[str]
    keys: Callable[[View], Iterator[Key] | Sequence[Key]]
    low: float
    high: float
    why: str
    peak: float = 0.0
    dip: float = math.inf

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        told = _keyed(answer, self.by)
        for key in self.keys(view):
            values = [value for _, value in told[key].points if not math.isnan(value)] if key in told else []
            if not values:
                yield f"{key} has no value"
            elif max(values) < self.peak or min(values) > self.dip:
                yield f"{key} is {min(values)} to {max(values)}, never {self.peak}, or never as low as {self.dip}"
        for key, series in told.items():
            values = [value for _, value in series.points if not math.isnan(value)]
            if values and not (self.low <= min(values) and max(values) <= self.high):
                yield f"{key} is {min(values)} to {max(values)}, not within {self.low} to {self.high}"


@dataclass(frozen=True)
class Quantile:
    """A percentile of how long jobs took (or waited), over time: not below the jobs that ended just then.

    And not above all that ended until then: buckets that were 0 are stretched less than others, which
    makes a rate see something of earlier, longer jobs where few have ended.
    """

    what: Literal["seconds", "waited"]
    bounds: Sequence[float]

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        told = _keyed(answer, ()).get((), Series({}, ()))
        points = [(at, value) for at, value in told.points if not math.isnan(value)]
        if not points:
            yield "no value at any time"
        for at, value in points:
            ended = [job for job in view.all_jobs if job.outcome and at - 2 * SLACK_S <= job.ended <= at + 0.2]
            buckets = [bisect_left(self.bounds, getattr(job, self.what)) for job in ended]
            if not buckets:
                yield f"{value} at {at:.1f}, when no job ended"
                continue
            low = self.bounds[min(buckets) - 1] if min(buckets) else 0.0
            until = (job for job in view.all_jobs if job.outcome and job.ended <= at + 0.2)
            high = self.bounds[max(bisect_left(self.bounds, getattr(job, self.what)) for job in until)]
            if not low <= value <= high:
                yield f"{value} at {at:.1f}, but the jobs that ended took {low} to {high}"


@dataclass(frozen=True)
class Includes:
    """These keys for sure; others only where they are `allowed`."""

    by: Sequence[str]
    sure: Callable[[View], set[Key]]
    allowed: Callable[[View], set[Key]]

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        told = _keyed(answer, self.by).keys()
        yield from (f"{key} is missing" for key in self.sure(view) - told)
        yield from (f"{key} is not true" for key in told - self.sure(view) - self.allowed(view))


@dataclass(frozen=True)
class Nothing:
    """No series at all, and why that is right here."""

    why: str

    def wrong(self, answer: Sequence[Series], view: View) -> Iterator[str]:
        yield from (f"{dict(series.labels)} is {series.last}" for series in answer)


Expectation: TypeAlias = Exact | Follows | Adds | Between | Includes | Nothing | Quantile


def _keyed(answer: Sequence[Series], by: Sequence[str]) -> dict[Key, Series]:
    found: dict[Key, Series] = {}
    for series in answer:
        key = tuple(series.labels.get(label, "") for label in by)
        assert key not in found, f"two series are {key}: {series.labels}"
        assert set(series.labels) <= {*by, "__name__"}, f"{series.labels} are told apart by more than {by}"
        found[key] = series
    return found
