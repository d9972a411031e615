"""A hostile source, row by row: whatever the simulator's knobs do, every record arrives once, in order, certified."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from orchbridge.sim import releases
from orchbridge.sim.world import World
from tests.e2e.worlds import Case, Life, Worlds
from tests.oracle import OLD_STATES, Verdict, hasty, judge, judge_nodes

STORM = "storm:jobs=40,rate=12,nodes=60,per_job=5,shortest=0.2,longest=1.0"
SMALL = "demo:nodes=12,shortest=0.2,longest=0.6"
SEED = random.SystemRandom().randrange(1 << 30)


def prune(world: World, now: float) -> None:
    world.prune(4, now)


def restore(world: World, now: float) -> None:
    world.restore(max(0, world.job_ids.last - 3), now)


CASES: dict[str, Case] = {
    "well": Case(),
    "well-storm": Case(scenario=STORM),
    **{f"version-{row}": Case({"shape_version": row}, SMALL, seconds=2.0) for row in releases.ROWS},
    **{
        f"next-events-{word}": Case({"next_events": word})
        for word in ("echo-start", "first-item", "global-next", "missing", "event-key-missing")
    },
    "start-past-end-404": Case({"start_past_end": "404"}),
    "start-past-end-400": Case({"start_past_end": "400"}),
    "events-late-by-seconds": Case({"event_visibility": "seconds:1.5,p=0.3"}),
    "events-late-by-ids": Case({"event_visibility": "ids:7,p=0.3"}),
    "events-late-by-a-lot": Case({"event_visibility": "seconds:5,p=0.1"}, settle_s=40.0),
    "jobs-late-by-seconds": Case({"job_visibility": "seconds:2,p=0.4"}),
    "jobs-late-by-ids": Case({"job_visibility": "ids:2,p=0.4"}, settle_s=30.0),
    "jobs-late-in-a-storm": Case({"job_visibility": "seconds:1.5,p=0.3"}, STORM),
    "job-finished-missing": Case({"job_finished_event": "missing"}),
    "job-finished-missing-sometimes": Case({"job_finished_event": "missing,p=0.5"}),
    "job-aborted": Case({"job_finished_event": "job_aborted,p=0.5"}),
    "last-event-lags-1": Case({"event_lag_after_terminal": "polls:1"}),
    "last-event-lags-3": Case({"event_lag_after_terminal": "polls:3"}, settle_s=40.0),
    "id-gaps": Case({"id_gaps": "some,p=0.3"}),
    "id-gaps-in-a-storm": Case({"id_gaps": "some,p=0.2"}, STORM),
    "restored-by-knob": Case({"id_restart": "at:3,back=3"}),
    "restored": Case(levers=restore, seconds=6.0),
    "restored-in-a-storm": Case(scenario=STORM, levers=restore),
    "pruned-soon-after-the-end": Case({"prune": "after:2"}),
    "pruned-at-once": Case({"prune": "after:0.1"}),
    "pruned": Case(levers=prune),
    "limit-clamped": Case({"limit_max": "clamp:5"}),
    "limit-clamped-in-a-storm": Case({"limit_max": "clamp:3"}, STORM),
    "limit-refused": Case({"limit_max": "400:20"}),
    "empty-total-null": Case({"empty_total": "null"}),
    **{
        f"unknown-refused-on-{row}": Case({"unknown_query_params": "400", "shape_version": row}, SMALL, seconds=2.0)
        for row in ("2016.4", "2018.1", "2019.8", "2021.0", "2025")
    },
    "durations-are-text": Case({"duration_type": "string", "finished_when_running": "absent"}),
    "started-timestamp": Case({"timestamps_key": "started_timestamp"}),
    "validators": Case({"validation_kind": "validators", "error_body": "without-details"}),
    "errors-html": Case({"error_body": "html", "id_gaps": "some,p=0.3", "prune": "after:3"}),
    "errors-empty": Case({"error_body": "empty", "faults": "503,p=0.1"}),
    "auth-layer-401": Case({"auth_fault": "server-error-401,p=0.3"}),
    "auth-layer-503": Case({"auth_fault": "server-error-503,p=0.3"}),
    "auth-layer-down": Case({"auth_fault": "server-error-503"}, seconds=4.0),
    "owner-id-login": Case({"owner": "id+login"}),
    "owner-changing": Case({"owner": "changing"}),
    "nodes-big": Case({"nodes": "big:2"}, "storm:jobs=4,rate=8,nodes=10,per_job=6,shortest=0.2,longest=0.8"),
    "nodes-odd": Case({"nodes": "null-result+no-latest-event-id"}),
    "nodes-error-text": Case({"nodes": "error-string"}),
    "stopped-nodes": Case({"stopped_nodes": "stopped"}),
    "latency": Case({"latency": "seconds:0.5,p=0.5"}),
    "latency-of-events": Case({"latency": "seconds:1.5,p=0.3,on=events"}),
    "reset": Case({"faults": "reset,p=0.2"}),
    "truncated": Case({"faults": "truncated,p=0.2"}),
    "stall": Case({"faults": "stall:1,p=0.1"}),
    "502-503": Case({"faults": "502,p=0.1+503,p=0.1,retry-after=1"}),
    "429": Case({"faults": "429,p=0.15,retry-after=1"}),
    "500-of-events": Case({"faults": "500,p=0.4,on=events"}),
    "html-200": Case({"faults": "html-200,p=0.2"}),
    "everything-fails": Case({"faults": "500"}, seconds=3.0),
    "forbidden-job": Case({"forbidden": "job:2+job:5"}),
    "inventory-500": Case({"inventory": "500,p=0.4"}),
    "inventory-flapping": Case({"inventory": "flapping,p=0.3"}),
    "inventory-false-rows": Case({"inventory": "false-rows+blank"}),
    "inventory-malformed": Case({"inventory": "malformed-timestamp"}, mended={"inventory": "malformed-timestamp"}),
    "inventory-empty": Case({"inventory": "empty", "broker_status": "starting"}),
    "inventory-empty-but-well": Case({"inventory": "empty"}),
    "inventory-stale": Case({"inventory": "stale-true:2"}),
    "mixed": Case(
        {
            "faults": "reset,p=0.05+502,p=0.05+truncated,p=0.05+html-200,p=0.03+429,p=0.02,retry-after=1",
            "event_visibility": "seconds:1,p=0.2", "job_visibility": "ids:2,p=0.2", "id_gaps": "some,p=0.1",
            "inventory": "500,p=0.1+flapping,p=0.2", "limit_max": "clamp:20", "latency": "seconds:0.2,p=0.3",
            "job_finished_event": "missing,p=0.2", "owner": "changing", "next_events": "global-next",
        },
        seconds=8.0, settle_s=40.0, seed=SEED,
    ),
    "mixed-storm": Case(
        {"faults": "reset,p=0.1+503,p=0.1+truncated,p=0.1", "event_visibility": "ids:9,p=0.2",
         "id_gaps": "some,p=0.1", "event_lag_after_terminal": "polls:1"},
        STORM, seconds=6.0, settle_s=40.0, seed=SEED,
    ),
}  # fmt: skip

PROMPT = ("well", "version-2021.0", "next-events-missing", "id-gaps", "nodes-odd")  # reachability is looked at in time


def malformed(stamp: str) -> str:
    return f"{stamp[:5]}0{stamp[5:]}"


def verdict_of(name: str, life: Life) -> Verdict:
    """Judge a world by its truth, as far as its row can be held to it."""
    knobs = CASES[name].knobs
    release = knobs.get("shape_version", releases.NEWEST)
    renamed = None if releases.has(release, releases.STOPPING) else OLD_STATES
    if not releases.has(release, releases.PENDING):
        renamed = {**(renamed or {}), "pending": "running"}
    unreadable = frozenset({2, 5}) if "forbidden" in knobs else frozenset[int]()
    seen = life.seen()
    truth = [fact for fact in life.truth if fact["fact"] != "plan_event" or releases.has(release, releases.PLAN_EVENTS)]
    found = judge(
        truth,
        seen,
        until=life.until,
        renamed=renamed,
        plans=releases.has(release, releases.PLAN_JOBS),
        unreadable=unreadable,
    )
    found.untrue += hasty(life.truth, seen)
    if releases.has(release, releases.INVENTORY):
        found.untrue += judge_nodes(
            life.truth, seen, quiet_since=life.now - 2.5, stamp=malformed if name == "inventory-malformed" else str,
            lasting_s=5.0 if name in PROMPT else None,
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def worlds(request: pytest.FixtureRequest) -> Iterator[Worlds]:
    """The worlds of the rows that are to be tested, all under way from the first test on."""
    wanted = {item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
              and item.path == request.path and "worlds" in getattr(item, "fixturenames", ())}  # fmt: skip
    with Worlds({name: case for name, case in CASES.items() if name in wanted}, verdict_of) as found:
        yield found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", CASES)
def test_whatever_the_source_does(name: str, worlds: Worlds) -> None:
    print(f"seed {CASES[name].seed}")
    life = worlds.result(name)
    shown: Any = {what: life.watch.count(what) for what in ("claimed", "stumbled", "parked", "released", "troubled")}
    assert life.verdict.well, f"{life.verdict}\n{shown}\n{dict(life.asked)}"
    assert shown["claimed"] == len(CASES[name].streams)
    assert shown["parked"] == shown["released"] == 0
