"""What the simulators know, counted the way a panel counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from orchbridge.ops.catalogue import DURATIONS, JOB_STATES, PLAN_STATES, RESULTS, TRANSITIONS, WAITS
from tests.dashboards.expect import Key, Values, View
from tests.dashboards.story import Work

OUTCOMES = ("success", "failure", "stopped")


def number(count: Callable[[View], float]) -> Callable[[View], Values]:
    """Make a truth of one number."""
    return lambda view: {(): count(view)}


def ended(*by: str, of: str = "jobs") -> Callable[[View], Values]:
    """How many jobs (of the chosen environments) or plans ended, by labels: outcome, type, environment, name."""
    return lambda view: Counter(
        tuple(str(getattr(work, label)) for label in by) for work in getattr(view, of) if work.outcome
    )


def by_outcome(view: View) -> Values:
    return {(outcome,): sum(job.outcome == outcome for job in view.jobs) for outcome in OUTCOMES}


def tasks(view: View) -> Values:
    return Counter((job.name, str(job.outcome)) for job in view.all_jobs if job.name)


def failed(view: View) -> float:
    return sum(job.outcome == "failure" for job in view.jobs)


def share_failed(view: View) -> float:
    return failed(view) / sum(job.outcome is not None for job in view.jobs)


def results(view: View) -> Values:
    return {(result,): sum(job.results[result] for job in view.all_jobs) for result in RESULTS}


def failures(view: View) -> Values:
    """The rows of recently failed jobs: source, id, type, name, environment, console page; value: broken nodes.

    The simulator's deploys are called by their target, which is `nodes`.
    """
    rows: dict[Key, float] = {}
    for job in view.jobs:
        if job.outcome == "failure":
            page = f"https://pe.example.com/#/run/jobs/{job.id}"
            rows[job.source, str(job.id), job.type, job.name or "nodes", job.environment, page] = job.broken
    return rows


def states(view: View, at: float, of: str, known: tuple[str, ...]) -> Values:
    """Which unfinished jobs or plans are in each state, each by itself."""
    found = {(state, "none"): 0.0 for state in (*known, "other")}
    return found | {(state, work.source, str(work.id)): 1.0 for work in getattr(view, of) if (state := work.state(at))}


jobs_by_state = partial(states, of="all_jobs", known=JOB_STATES)
plans_by_state = partial(states, of="plans", known=PLAN_STATES)


def unfinished(view: View, at: float) -> list[Work]:
    return [job for job in view.all_jobs if job.created <= at < job.ended]


def oldest(view: View, at: float) -> Values:
    """The age of the oldest unfinished job of each source by PE's stamps, 0 without one."""
    ages = dict.fromkeys(view.sources, 0.0)
    for job in unfinished(view, at):
        ages[job.source] = max(ages[job.source], at - job.stamps["created"])
    return {(source,): age for source, age in ages.items()}


def since_success(view: View) -> Values:
    """How long ago, at the end, a job of each type last ended well, as PE's stamps tell it."""
    newest: dict[Key, float] = {}
    for job in view.all_jobs:
        if job.outcome == "success":
            newest[(job.type,)] = max(newest.get((job.type,), 0.0), job.stamps["finished"])
    return {key: view.stage.window.end - stamp for key, stamp in newest.items()}


def quantile(share: float, what: str, view: View) -> Values:
    """Prometheus's estimate of a percentile of what happened, for each type of job."""
    bounds, value = {"seconds": (DURATIONS, "seconds"), "waited": (WAITS, "waited")}[what]
    found: dict[Key, list[float]] = {}
    for job in view.all_jobs:
        if job.outcome:
            found.setdefault((job.type,), []).append(getattr(job, value))
    return {key: _quantile(share, bounds, values) for key, values in found.items()}


def _quantile(share: float, bounds: tuple[float, ...], values: list[float]) -> float:
    """Interpolate linearly within the bucket in which the rank lies, as histogram_quantile does."""
    rank, low, below = share * len(values), 0.0, 0
    for bound in bounds:
        upto = sum(value <= bound for value in values)
        if upto >= rank:
            return low + (bound - low) * (rank - below) / (upto - below)
        low, below = bound, upto
    return bounds[-1]


def heat(what: str, view: View) -> Values:
    """How many jobs took (waited) at most so long, for each bucket."""
    bounds = DURATIONS if what == "seconds" else WAITS
    values = [getattr(job, what) for job in view.all_jobs if job.outcome]
    buckets = {(f"{bound}",): float(sum(value <= bound for value in values)) for bound in bounds}
    return {**buckets, ("+Inf",): float(len(values))}


def nodes(view: View, at: float, *, connected: bool) -> float:
    return sum((broker is not None) is connected for story in view.stories for broker in story.nodes(at).values())


def connected(view: View, at: float) -> Values:
    return {(): nodes(view, at, connected=True)}


def disconnected(view: View, at: float) -> Values:
    return {(): nodes(view, at, connected=False)}


def at_end(truth: Callable[[View, float], Values]) -> Callable[[View], Values]:
    return lambda view: truth(view, view.stage.window.end)


def reachable(view: View) -> float:
    yes, no = (nodes(view, view.stage.window.end, connected=each) for each in (True, False))
    return yes / (yes + no)


def brokers(view: View, at: float) -> Values:
    """Connected nodes by broker; a broker that was ever seen stays."""
    found: Counter[Key] = Counter({(broker,): 0 for story in view.stories for *_, broker in story.moves})
    found.update((broker,) for story in view.stories for broker in story.nodes(at).values() if broker)
    return found


def gone(view: View) -> Values:
    """The nodes that are not connected at the end, by name."""
    return {
        (story.source, node): 0.0
        for story in view.stories
        for node, broker in story.nodes(view.stage.window.end).items()
        if broker is None
    }


def transitions(view: View) -> Values:
    total: Counter[str] = Counter()
    for story in view.stories:
        total.update(story.transitions())
    return {(to,): total[to] for to in TRANSITIONS}


def alarming(view: View) -> set[Key]:
    """The alert that every failed job raises, for each source that had one."""
    return {
        ("PuppetJobFailed", "warning", job.source)
        for story in view.stories
        for job in story.jobs
        if job.outcome == "failure"
    }


def firing(view: View) -> set[Key]:
    """What Prometheus's own list says fires, of the chosen sources or of none."""
    return {alert for alert in view.stage.firing if alert[2] in {*view.sources, ""}}


def each_source(view: View) -> list[Key]:
    return [(source,) for source in view.sources]


def environments_used(view: View) -> list[Key]:
    return sorted({(job.environment,) for job in view.jobs})


def just(*key: str) -> Callable[[View], list[Key]]:
    return lambda view: [key]
