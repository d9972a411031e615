"""What the simulators and the files know of the bridge itself, counted the way a panel counts it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

from orchbridge.ops.catalogue import CHANNELS
from tests.dashboards.expect import Key, Values, View


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


def certificates(view: View) -> Values:
    return {(name,): view.stage.expiry[name] - view.stage.window.end for name in view.sources}


def streams_like(*kinds: str) -> Callable[[View], list[Key]]:
    """Every chosen stream of these kinds."""
    return lambda view: [each for each in view.carried() if each[1] in kinds]


def endpoints(view: View) -> list[Key]:
    return sorted(requests(view))
