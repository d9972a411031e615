"""The sources with their streams: who carries them, whether they move, what went wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from orchbridge.ops.missed import MissedRun
from orchbridge.ops.page.html import Child, Html, el, said
from orchbridge.ops.page.parts import more, pill, row, runbook, section, table, wide_row
from orchbridge.ops.page.words import ago, span, took
from orchbridge.ops.status import (
    DONE,
    FENCED,
    LIVE,
    OWNER,
    PARKED,
    STARTING,
    STUMBLING,
    WAITING,
    CanaryStatus,
    Mishap,
    SourceStatus,
    Status,
    StreamStatus,
)

FORGOTTEN_S = 3_600.0  # a mishap that is over is told of for so long
HEADS = ("stream", "state", "where it is", "last look", "last commit", "records")
COLOURS = {
    LIVE: "good", DONE: "good", STARTING: "calm", WAITING: "calm", STUMBLING: "warn", FENCED: "warn", PARKED: "bad",
}  # fmt: skip
MISSED_SHOWN = 5


def sources(status: Status) -> Html:
    """Return all sources; and who else shares their streams."""
    return section("sources", "Sources", _workers(status), [_source(source, status) for source in status.sources])


def _workers(status: Status) -> Html | None:
    """Say who this worker is, and who shares the streams with it."""
    if status.group is None:
        return None
    others = [name for name in status.group.members if name != status.worker]
    beside = f", beside {', '.join(others[:8])}" if others else ", alone"
    if len(others) > 8:
        beside += f" and {len(others) - 8} more"
    joined = "outside" if status.group.trouble else "in"
    told = f"Worker {status.worker}, {joined} group {status.group.name}{'' if status.group.trouble else beside}. "
    return el("p", told, "Last shared out ", ago(status.group.since, status.now), ".", class_="soft")


def _source(source: SourceStatus, status: Status) -> Html:
    word, colour = {None: ("not asked", "calm"), True: ("up", "good"), False: ("does not answer", "bad")}[source.up]
    head = el("h3", said(source.name), " ", pill(word, colour), " ", el("small", said(source.host)))
    facts = [
        el("li", name, " ", el("b", value))
        for name, value in (*_facts(source, status.now), *_by_itself(source, status.now))
    ]
    rows = [each for stream in source.streams for each in _stream(stream, status)]
    told = [*_grounded(source.canary, status.now), *_missed(source, status.now)]
    listed = table(f"Streams of {source.name}", HEADS, rows)
    return el("div", head, el("ul", facts, class_="facts"), *told, listed, class_="source")


def _by_itself(source: SourceStatus, now: float) -> Iterable[tuple[str, str]]:
    """Yield what goes on without anybody: the token's renewal, the canary."""
    due, canary = source.token_renewal, source.canary
    if due is not None:
        yield "token is renewed", f"in {span(due - now)}" if due > now else f"not: due {span(now - due)} ago"
    if canary is not None:
        yield f"canary {canary.task}, every", span(canary.interval_s)
        if canary.landed is not None and canary.seconds is not None:
            yield "last canary arrived", f"{span(now - canary.landed)} ago, in {took(canary.seconds)}"
        elif canary.mishap is None:
            yield "last canary arrived", "none yet"


def _grounded(canary: CanaryStatus | None, now: float) -> Iterable[Html]:
    """Say of the last canary that it did not arrive, and what to do."""
    if canary is not None and canary.mishap is not None:
        yield _said("The last canary did not arrive, ", canary.mishap, now, "canary")


def _missed(source: SourceStatus, now: float) -> Iterable[Html]:
    """Say which schedules had runs in the last hour that did not happen, a line for each reason, the newest few."""
    alike: dict[tuple[int, str, str], list[MissedRun]] = {}
    for run in sorted((run for stream in source.streams for run in stream.missed), key=lambda run: -run.at):
        alike.setdefault((run.schedule, run.reason, run.error), []).append(run)
    for (schedule, reason, error), runs in [*alike.items()][:MISSED_SHOWN]:
        run, why = runs[0], f"{reason}: {error}" if error else reason
        what = f"{run.type} {run.name}".rstrip()
        times = "planned for" if len(runs) == 1 else f"{len(runs)} times, the last planned for"
        told = f"{what} of schedule {schedule}, {times} {run.planned}: {why}"
        yield _said("Did not happen, ", Mishap(run.at, told), now, "missed")
    rest = more(MISSED_SHOWN, len(alike), "schedule")
    if rest is not None:
        yield rest


def _said(head: str, told: Mishap, now: float, about: str) -> Html:
    action = [" ", el("b", "What to do:"), " ", said(told.action), "."] if told.action else []
    what = [head, ago(told.at, now), ": ", said(told.message), "."]
    return el("p", *what, *action, " ", runbook(about), class_="mishap warning")


def _facts(source: SourceStatus, now: float) -> Iterable[tuple[str, str]]:
    if source.answers_s is not None:
        half, most = source.answers_s
        yield "answers in", f"{took(half)} (95 %: {took(most)})"
    yield "requests a second", f"{source.requests_per_s:g}"
    if source.budget_left is not None:
        yield "request budget left", f"{source.budget_left:g}"
    for name, at in (
        ("token expires in", source.token_expires),
        ("certificate expires in", source.certificate_expires),
    ):
        if at is not None:
            yield name, span(at - now) if at > now else "it has expired"
    for stream in source.streams:
        for state, count in sorted(stream.view.jobs_by_state.items()):
            yield f"{stream.kind} {state}", f"{count:,}"


def _stream(stream: StreamStatus, status: Status) -> Iterable[Html]:
    lag = stream.lapsed_s(status.now)
    slow = lag is not None and lag > stream.patience_s
    looked: Child = "–" if lag is None else el("span", f"{span(lag)} ago", class_="error" if slow else None)
    yield row(
        HEADS,
        stream.kind,
        _state(stream, status.worker),
        _place(stream),
        looked,
        ago(stream.last_commit, status.now),
        f"{stream.records:,}",
    )
    told = _mishap(stream, status.now)
    if told is not None:
        yield wide_row(HEADS, told)


def _state(stream: StreamStatus, worker: str) -> Html:
    told = pill(stream.state, COLOURS.get(stream.state, "calm"))
    if stream.owner and (stream.role != OWNER or stream.owner != worker):
        return el("span", told, " ", el("small", "carried by ", said(stream.owner)))
    return told


def _place(stream: StreamStatus) -> Html:
    """Return how far a stream is: its cursor, or that it is told of below."""
    if stream.view.progress is not None:
        return el("a", "see its progress", href="#history")
    ahead = stream.view.source_position - stream.view.position
    behind = f", {ahead:,} ahead of it at the source" if ahead > 0 else ""
    return el("span", said(stream.view.cursor), behind)


def _mishap(stream: StreamStatus, now: float) -> Html | None:
    """Return the last error and what to do: loudly while it lasts, softly for an hour, then not at all."""
    told = stream.mishap
    if told is None:
        return None
    stuck = (stream.lapsed_s(now) or 0.0) > stream.patience_s
    lasts = stuck or stream.state in {PARKED, STUMBLING} or (stream.last_lap or 0.0) < told.at
    if not lasts and now - told.at > FORGOTTEN_S:
        return None
    how = "error" if stuck or stream.state in {PARKED, STUMBLING} else "warning" if lasts else "soft"
    head = "Last error, " if lasts else "It moves again after an error, "
    what = [head, ago(told.at, now), ": ", said(told.message), "."]
    action = [" ", el("b", "What to do:"), " ", said(told.action), "."] if told.action else []
    about = stream.state if stream.state in {PARKED, STUMBLING} else "stuck" if stuck else "source"
    return el("p", *what, *action, *([" ", runbook(about)] if lasts else []), class_=f"mishap {how}")
