"""What the simulators know, counted the way a panel counts it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from orchbridge.ops.catalogue import CHANNELS, DURATIONS, JOB_STATES, PLAN_STATES, RESULTS, TRANSITIONS, WAITS
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


def positions(view: View) -> Values:
    """The newest id of each stream; the inventory counts its nodes, history ends with the past."""
    found: dict[Key, float] = {}
    for story in view.stories:
        past = story.past
        ids = {
            "jobs": past["jobs"] + len(story.jobs) + len(story.skipped),
            "plans": past["plans"] + len(story.plans),
            "inventory": len(story.nodes(view.stage.window.end)),
            "jobs-backfill": past["jobs"],
            "plans-backfill": past["plans"],
        }
        found |= {(story.source, stream): ids[stream] for stream in view.streams}
    return found


def parked(view: View) -> float:
    """All streams of `lab` that go on for ever, among the chosen ones."""
    return sum(source == "lab" and not stream.endswith("-backfill") for source, stream in view.carried())


def parked_everywhere(view: View) -> float:
    return 3.0 if "lab" in view.sources else 0.0


def tracked(view: View) -> Values:
    """Finished jobs stay watched for 15 minutes, pruned ones not, and the inventory watches every node."""
    found: dict[Key, float] = {}
    for story in view.stories:
        watched = {"jobs": sum(job.outcome is not None for job in story.jobs), "plans": len(story.plans)}
        watched["inventory"] = len(story.nodes(view.stage.window.end))
        found |= {(story.source, stream): watched.get(stream, 0) for stream in view.streams}
    return found


def zero(view: View) -> Values:
    """Nothing for every chosen stream."""
    return dict.fromkeys(view.carried(), 0.0)


def lasting(view: View) -> Values:
    """One for every chosen stream that goes on for ever, with the worker that carries it."""
    worker = view.stage.instance
    return {(*each, worker): 1.0 for each in view.carried() if not each[1].endswith("-backfill")}


def history(view: View) -> Values:
    """All of it, for every backfill that had something to deliver."""
    past = {
        (story.source, f"{kind}-backfill"): story.past[kind] for story in view.stories for kind in ("jobs", "plans")
    }
    return {key: 1.0 for key, count in past.items() if count and key[1] in view.streams}


def written(view: View) -> Values:
    """Lines that came into the files of the channels that the chosen streams write to."""
    channels = set(itertools.chain.from_iterable(CHANNELS[stream] for stream in view.streams))
    return {(channel,): sum(_new_lines(view, channel)) for channel in channels}


def _new_lines(view: View, channel: str) -> Iterable[int]:
    stage = view.stage
    return (stage.lines[name][channel] - stage.lines_before[name][channel] for name in view.sources)


def hidden(view: View) -> float:
    """Places that the files say were redacted."""
    return sum(_new_lines(view, "redacted"))


def late(view: View) -> float:
    """Records that the files say were late."""
    return sum(_new_lines(view, "late"))


def gaps(view: View) -> float:
    """Ids declared empty; the skipped ones are, once the bridge has been patient for half a minute."""
    return sum(_new_lines(view, "notice gap"))


def notices(view: View) -> Values:
    """Notices in the files, by kind. Those of this story are about jobs."""
    kinds = {what for counts in view.stage.lines.values() for what in counts if what.startswith("notice ")}
    counts = {(what.removeprefix("notice "),): sum(_new_lines(view, what)) for what in kinds}
    return {kind: count for kind, count in counts.items() if count}


def complete(view: View) -> float:
    """Certificates in the files that prove a job whole: one for each that ended, more for those with late events."""
    told = sum(_new_lines(view, "complete"))
    assert told >= sum(job.outcome is not None for job in view.all_jobs)
    return told


def incomplete(view: View) -> float:
    """Jobs that were pruned before they ended, for certain; and what the files certify as incomplete."""
    told = sum(_new_lines(view, "incomplete"))
    assert told >= sum(job.outcome is None for job in view.all_jobs)
    return told


def refusals(view: View) -> Values:
    """The 503 of `lab`, asked for its plans."""
    there = "lab" in view.sources and "plans" in view.streams
    return {("server",): view.stage.refused} if there else {}


def requests(view: View) -> Values:
    """Requests by the bridge's names of endpoints; the simulator's have braces: `GET jobs/{id}/events`."""
    total: Counter[Key] = Counter()
    for name in view.sources:
        before, after = view.stage.requests[name]
        for what, count in (after - before).items():
            path = what.partition(" ")[2].replace("{", ":").replace("}", "")
            if not path.startswith(("command/", "auth/")):  # these are the test's own, and RBAC's once an hour
                total[(f"/{path}",)] += count
    return total


def answers(view: View) -> Values:
    refused = view.stage.refused if "lab" in view.sources else 0.0
    return {("200",): sum(requests(view).values()) - refused} | ({("503",): refused} if refused else {})


def events_read(view: View) -> Values:
    """Each event is read once at least; much of the rest is read again and again."""
    counts = {"jobs": "job_event", "plans": "plan_event"}
    return {
        (story.source, stream): sum(fact["fact"] == counts.get(stream) and fact["at"] >= 0 for fact in story.facts[1:])
        for story in view.stories
        for stream in view.streams
    }


def history_left(view: View) -> Values:
    return {key: 0.0 for key in view.carried() if key[1].endswith("-backfill")}


def tokens(view: View) -> Values:
    """The simulator's tokens live for a year from its start, by its own clock."""
    return {(story.source,): story.nominal_start + 365 * 86_400 - view.stage.window.end for story in view.stories}


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


def certificates(view: View) -> Values:
    return {(name,): view.stage.expiry[name] - view.stage.window.end for name in view.sources}


def each_source(view: View) -> list[Key]:
    return [(source,) for source in view.sources]


def environments_used(view: View) -> list[Key]:
    return sorted({(job.environment,) for job in view.jobs})


def just(*key: str) -> Callable[[View], list[Key]]:
    return lambda view: [key]


def streams_like(*kinds: str) -> Callable[[View], list[Key]]:
    """Every chosen stream of these kinds."""
    return lambda view: [each for each in view.carried() if each[1] in kinds]


def endpoints(view: View) -> list[Key]:
    return sorted(requests(view))
