"""What a replay says before it begins and when it is over, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchbridge.cli.replay.showing import span
from orchbridge.cli.replay.survey import Survey
from orchbridge.cli.replay.tally import Tally
from orchbridge.cli.replay.task import Replay
from orchbridge.cli.replay.wanted import Span
from orchbridge.core.head import Head
from orchbridge.core.records import NOTICES, QUARANTINE

SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Leg:
    """The jobs or the plans of a replay: what the server shows of them, and what an earlier run has done.

    `head` is what is remembered of an earlier run; `ahead` counts what there is to read now.
    """

    survey: Survey
    head: Head | None
    ahead: int

    @property
    def kind(self) -> str:
        return self.survey.kind

    @property
    def done(self) -> int:
        return 0 if self.head is None else self.head.passage.done

    @property
    def expected(self) -> set[int]:
        """The ids to be read from their beginning by this run, should those that run be over by then."""
        high = 0 if self.head is None else self.head.high
        return {id_ for id_ in (*self.survey.over, *self.survey.running) if id_ > high}


def over_already(replay: Replay, heads: Mapping[str, Head]) -> Iterator[str]:
    """Yield that an earlier run has done all of it, and how to do it again."""
    told = ", ".join(f"{head.passage.done} {kind} up to {head.high}" for kind, head in heads.items())
    yield f"replay {replay.id} was done before: {told}; nothing was done now"
    yield f"  to deliver them once more: {replay.command('--again')}"
    for kind, head in heads.items():
        if replay.wanted.spans(kind)[-1].last is None and replay.wanted.since is None:
            option = "--jobs" if kind == "jobs" else "--plan-jobs"
            yield f"  for what came later: {option} {head.high + 1}.."


def before(replay: Replay, legs: Sequence[Leg], about_s: float) -> Iterator[str]:
    """Yield what will be read, where it goes, and how long that will take."""
    what = "; ".join(replay.wanted.words(kind) for kind in replay.kinds)
    where = f" in {replay.options.directory}" if replay.elsewhere else ""
    yield f"replay {replay.id}: {replay.source.name} {what} to {replay.prefix}.*{where}"
    for leg in legs:
        yield f"  {leg.kind:<9} {_readable(leg.survey)}"
        if leg.head is not None and leg.ahead:
            yield f"  resuming  {leg.done} were done before, {leg.ahead} are left"
        yield from _left_out(leg.survey, leg.survey.running)
    if any(leg.ahead for leg in legs):
        part = f"{replay.options.share:.0%} of the requests allowed to {replay.source.name}"
        yield f"  time      about {span(about_s)}, with {part}"


def _readable(survey: Survey) -> str:
    if not survey.over:
        return "none to read"
    first, last = survey.over[0], survey.over[-1]
    ids = f"{first}" if first == last else f"{first} to {last}"
    return f"{len(survey.over)} to read: {ids}"


def _left_out(survey: Survey, running: Sequence[int]) -> Iterator[str]:
    if running:
        yield f"  skipped   {len(running)} still running: {ids(running)}"
    if survey.gone:
        yield f"  skipped   {survey.gone_count} not visible (pruned, or never given out): {ranges(survey.gone)}"


def after(replay: Replay, legs: Sequence[Leg], tallies: Mapping[str, Tally], seconds: float) -> Iterator[str]:
    """Yield what was done, what was left out, and what is missing."""
    for leg in legs:
        tally = tallies[leg.kind]
        done = tally.progress.done
        records = sum(count for channel, count in tally.records.items() if channel != NOTICES)
        yield f"  {leg.kind:<9} {done} replayed; {records} records in this run"
        running = tally.progress.running  # as the replay itself saw it: some have ended since the first look
        yield from _left_out(leg.survey, running)
        vanished = sorted(leg.expected.difference(tally.ids, running))
        if vanished:
            yield f"  skipped   {len(vanished)} that were pruned before they were read: {ids(vanished)}"
        if tally.complete:
            yield f"  certified {_certificates(tally.complete)}"
        if tally.records[QUARANTINE]:
            yield f"  set aside {tally.records[QUARANTINE]} records in the quarantine topic, each with its reason"
        if tally.records[NOTICES]:
            yield f"  notices   {tally.records[NOTICES]} in the notices topic"
        if tally.repeated:
            yield f"  repeated  {tally.repeated} requests that failed"
    if any(tally.progress.running for tally in tallies.values()):
        yield "  what still runs can be replayed when it is over"
    yield f"replay {replay.id}: done in {span(seconds)}"


def _certificates(complete: Mapping[str, bool]) -> str:
    jobs = [job for job, well in complete.items() if not well]
    whole = f"{len(complete) - len(jobs)} complete"
    return f"{whole}, {len(jobs)} INCOMPLETE: {_listed(jobs)}" if jobs else whole


def ids(numbers: Sequence[int]) -> str:
    """Return some ids, and how many there are besides."""
    return _listed([str(number) for number in numbers])


def ranges(spans: Sequence[Span]) -> str:
    """Return some ranges, and how many there are besides."""
    return _listed([str(span) for span in spans])


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN_MAX
    return ", ".join(texts[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
