"""Faults of the source: the simulator's knobs turned for a while, and its levers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from orchbridge.sim.knobs import AUTH_FAULTS, Knobs
from tests.chaos.faults import Act, Fault
from tests.chaos.house import House
from tests.chaos.stage import TOKEN, Stage

FALLS = 4  # a restore forgets at most so many jobs

# name -> (what the table says, knobs)
TURNED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "resets": ("requests reset", {"faults": "reset,p=0.2"}),
    "lost": ("requests done, answers lost", {"faults": "lost,p=0.2"}),
    "torn": ("answers torn", {"faults": "truncated,p=0.2"}),
    "stalls": ("requests stalled, then reset", {"faults": "stall:1.5,p=0.15"}),
    "5xx": ("500, 502 and 503, some with Retry-After", {"faults": "500,p=0.1+502,p=0.1+503,p=0.1,retry-after=1"}),
    "down": ("nothing but 503", {"faults": "503"}),
    "429": ("429 with Retry-After", {"faults": "429,p=0.2,retry-after=1"}),
    "html": ("a sign-in page with status 200", {"faults": "html-200,p=0.2"}),
    "events-500": ("500 for events only", {"faults": "500,p=0.5,on=events"}),
    "latency": ("slow answers", {"latency": "seconds:1,p=0.5"}),
    "auth-layer": ("authentication layer broken", {"auth_fault": "server-error-503,p=0.4"}),
    "auth-layer-401": ("authentication layer broken, as a 401", {"auth_fault": "server-error-401,p=0.3"}),
    "events-late": ("events visible late, by time", {"event_visibility": "seconds:2,p=0.3"}),
    "events-late-ids": ("events visible late, out of order of ids", {"event_visibility": "ids:9,p=0.3"}),
    "jobs-late": ("jobs visible late, by time", {"job_visibility": "seconds:2,p=0.4"}),
    "jobs-late-ids": ("jobs visible late, out of order of ids", {"job_visibility": "ids:2,p=0.4"}),
    "last-event-lags": ("the last event visible after the end", {"event_lag_after_terminal": "polls:2"}),
    "no-job-finished": ("job_finished missing", {"job_finished_event": "missing,p=0.5"}),
    "job-aborted": ("job_aborted instead of job_finished", {"job_finished_event": "job_aborted,p=0.5"}),
    "id-gaps": ("gaps between ids", {"id_gaps": "some,p=0.3"}),
    "next-events-echo": ("next-events echoes the request", {"next_events": "echo-start"}),
    "next-events-global": ("next-events counts other jobs' events", {"next_events": "global-next"}),
    "next-events-missing": ("next-events missing", {"next_events": "missing"}),
    "next-events-first": ("next-events points at the first event", {"next_events": "first-item"}),
    "next-events-keyless": ("next-events without its number", {"next_events": "event-key-missing"}),
    "past-end-404": ("404 for a start past the end", {"start_past_end": "404"}),
    "past-end-400": ("400 for a start past the end", {"start_past_end": "400"}),
    "limit-clamped": ("limits clamped", {"limit_max": "clamp:7"}),
    "limit-refused": ("large limits refused", {"limit_max": "400:20"}),
    "empty-total": ("total null where a list is empty", {"empty_total": "null"}),
    "odd-errors": ("errors without a body", {"error_body": "empty", "faults": "503,p=0.1"}),
    "html-errors": ("errors as HTML", {"error_body": "html", "faults": "500,p=0.1"}),
    "curt-errors": (
        "errors of the other spelling, without details",
        {"error_body": "without-details", "validation_kind": "validators", "start_past_end": "400"},
    ),
    "owner-changing": ("owners that differ on every read", {"owner": "changing"}),
    "owner-short": ("owners with id and login alone", {"owner": "id+login"}),
    "odd-nodes": ("node rows with parts missing", {"nodes": "null-result+no-latest-event-id"}),
    "big-nodes": ("node results of 100 KB", {"nodes": "big:0.1"}),
    "error-text": ("errors of nodes as plain text", {"nodes": "error-string"}),
    "stopped-nodes": ("nodes that a stop leaves say so", {"stopped_nodes": "stopped"}),
    "odd-types": (
        "durations as text, other names of the times, none where a job runs",
        {"duration_type": "string", "timestamps_key": "started_timestamp", "finished_when_running": "absent"},
    ),
    "odd-links": ("links to another host", {"id_host": "localhost"}),
    "pruned-soon": ("jobs pruned seconds after their end", {"prune": "after:3"}),
    "inventory-500": ("inventory answers 500", {"inventory": "500,p=0.5"}),
    "inventory-flaps": ("nodes missing from single inventories", {"inventory": "flapping,p=0.2"}),
    "inventory-empty": ("inventory empty, broker starting", {"inventory": "empty", "broker_status": "starting"}),
    "inventory-false": ("inventory with false and blank rows", {"inventory": "false-rows+blank+unknown-404"}),
    "inventory-stale": ("inventory that lags two seconds", {"inventory": "stale-true:2"}),
    "broker-unwell": ("inventory empty, broker out of order", {"inventory": "empty", "broker_status": "error"}),
}
_MIXTURE = ("resets", "torn", "5xx", "429", "latency", "events-late", "jobs-late", "id-gaps", "owner-changing",
            "limit-clamped", "inventory-flaps", "last-event-lags")  # fmt: skip


def turned(knobs: Mapping[str, str]) -> Act:
    """Return the fault of turning these knobs for some seconds; then they are as they were born."""

    async def act(stage: Stage, house: House, chance: Random) -> None:
        seconds = chance.uniform(3.0, 9.0)
        await _turn(stage, knobs, seconds)

    return act


async def _turn(stage: Stage, knobs: Mapping[str, str], seconds: float) -> None:
    await stage.turn("knobs", dict(knobs))
    await asyncio.sleep(seconds)
    await stage.turn("knobs", {knob: getattr(Knobs(), knob) for knob in knobs})


def _together(names: tuple[str, ...]) -> dict[str, str]:
    """Return the knobs of all these; those that take several forms at once take all of them."""
    knobs = {knob: value for name in names for knob, value in TURNED[name][1].items()}
    for knob in knobs:
        values = [TURNED[name][1][knob] for name in names if knob in TURNED[name][1]]
        knobs[knob] = "+".join(values) if knob in {"faults", "inventory", "nodes"} else values[-1]
    return knobs


async def several(stage: Stage, house: House, chance: Random) -> None:
    """Three to six of them at the same time."""
    names = tuple(chance.sample(_MIXTURE, chance.randint(3, 6)))
    await _turn(stage, _together(names), chance.uniform(4.0, 10.0))


async def restore(stage: Stage, house: House, chance: Random) -> None:
    """The database of an hour ago: the newest jobs never were, their ids are given out again."""
    back = chance.randint(1, FALLS)
    jobs = [fact["id"] for fact in stage.truth()[-2_000:] if fact["fact"] == "job"]
    if not jobs:
        return
    await stage.turn("restore", {"to_job": max(0, jobs[-1] - back)})
    await asyncio.sleep(5.0)


async def prune(stage: Stage, house: House, chance: Random) -> None:
    """The oldest jobs go, whether anybody read them or not."""
    await stage.turn("prune", {"oldest": chance.randint(1, 20)})


async def revoke(stage: Stage, house: House, chance: Random) -> None:
    """The token is revoked; a person puts a new one into the file when it works again."""
    word, seconds = chance.choice(AUTH_FAULTS), chance.uniform(1.0, 4.0)
    await stage.turn("knobs", {"auth_fault": word})
    await asyncio.sleep(seconds)
    await stage.turn("knobs", {"auth_fault": "none"})
    draft = stage.folder / "token.draft"
    draft.write_text(TOKEN + "\n" * chance.randint(1, 3))
    draft.replace(stage.token)
    await asyncio.sleep(3.0)


async def forbid(stage: Stage, house: House, chance: Random) -> None:
    """The newest job may not be read for a while."""
    seconds = chance.uniform(2.0, 8.0)
    jobs = [fact["id"] for fact in stage.truth()[-2_000:] if fact["fact"] == "job"]
    if not jobs:
        return
    stage.unreadable.add(jobs[-1])
    await stage.turn("knobs", {"forbidden": f"job:{jobs[-1]}"})
    await asyncio.sleep(seconds)
    await stage.turn("knobs", {"forbidden": "none"})


def _fault(name: str, told: str, act: Act) -> tuple[str, Fault]:
    return f"pe-{name}", Fault(f"pe-{name}", f"PE: {told}", act)


KNOBS: Mapping[str, Fault] = dict(_fault(name, told, turned(knobs)) for name, (told, knobs) in TURNED.items())
LEVERS: Mapping[str, Fault] = dict(
    (
        _fault("several", "three to six of these at once", several),
        _fault("prune", "oldest jobs pruned", prune),
        _fault("revoke", "token revoked, later replaced", revoke),
        _fault("forbid", "a job forbidden for a while", forbid),
    )
)
RESTORE: Mapping[str, Fault] = dict([_fault("restore", "database restored to an earlier state", restore)])
SOURCE: Mapping[str, Fault] = {**KNOBS, **LEVERS, **RESTORE}
