"""Activity and scheduled jobs of a simulated server over real sockets: each is told once, and true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.sim import schedules
from orchbridge.sim.schedules import DAY_S, Schedule
from orchbridge.sim.world import World
from tests.e2e.worlds import Case, Life, Worlds, bridged
from tests.oracle import Seen, Verdict
from tests.oracle_lists import judge_activity, judge_schedules
from tests.orchestrator.servers import answering
from tests.orchestrator.servers import served as door_of

SERVICES = ("rbac", "classifier", "pe-console", "code-manager")
STREAMS = (*(f"activity-{service}" for service in SERVICES), "schedules")
LIVELY = "demo:nodes=12,shortest=0.2,longest=0.6"
SCOPE: Mapping[str, Any] = {"scope": {"nodes": ["web01.example.com"]}}
FACTS: Mapping[str, Any] = {"name": "facts", "parameters": {}, **SCOPE}


def paperwork(world: World, now: float) -> None:
    """People do what only the activity log tells of, some of it twice in a second."""
    people = world.people.users
    for login, service in (("ada", "classifier"), ("ada", "classifier"), ("admin", "rbac"), ("ops", "code-manager")):
        world.note(service, people[login], ("node_groups", "7", "Web tier"), "edit", "Edited the rules", now)


def purge(world: World, now: float) -> None:
    paperwork(world, now)
    world.purge(5, now)
    paperwork(world, now)


def rewind(world: World, now: float) -> None:
    paperwork(world, now)
    world.course.at(now + 1.0, lambda at: world.rewind(3, at))
    world.course.at(now + 1.1, lambda at: paperwork(world, at))


def restore(world: World, now: float) -> None:
    paperwork(world, now)
    world.restore(max(0, world.job_ids.last - 3), now)


def when_seen(world: World, now: float, act: Callable[[float], None]) -> None:
    """Act once the schedules were asked for again, however long that takes."""

    def looks() -> int:
        return sum(count for endpoint, count in world.requests.items() if "scheduled_jobs" in endpoint)

    def soon(at: float) -> None:
        if looks() >= enough:
            act(at)
        else:
            world.course.at(at + 0.1, soon)

    enough = looks() + 4
    world.course.at(now + 0.1, soon)


def plans(world: World, now: float) -> None:
    """Schedules are made, run, fail for want of their environment, and are switched off."""
    ahead = (("production", 0.5, None), ("staging", 0.6, None), ("production", 1.0, 2), ("staging", 1.5, 600))
    for environment, seconds, every in ahead:
        made = Schedule(0, "task", FACTS, environment, "ops", now + seconds, every, description=f"in {seconds}")
        schedules.create(world, made, now)
    off = schedules.create(world, Schedule(0, "deploy", SCOPE, "production", "ada", now + DAY_S), now)
    named = schedules.create(world, Schedule(0, "deploy", SCOPE, "production", "ada", now + DAY_S), now)
    world.course.at(now + 0.1, lambda at: world.place("staging", False, at))
    when_seen(world, now, lambda at: schedules.change(world, named, {"description": "renamed"}, at))
    when_seen(world, now, lambda at: schedules.change(world, off, {"enabled": False}, at))


def case(knobs: Mapping[str, str] | None = None, levers: Any = purge, scenario: str = LIVELY, **more: Any) -> Case:
    return Case(knobs or {}, scenario, levers=levers, **{"streams": STREAMS, "poll_s": 0.2, **more})


CASES: dict[str, Case] = {
    "well": case(levers=paperwork),
    "plans": case(levers=plans, seconds=8.0),
    "plans-of-the-older-api": case({"scheduled": "old"}, plans, seconds=8.0),
    "plans-on-2021.0": case({"shape_version": "2021.0"}, plans, seconds=8.0),
    "scheduled-on-2019.8": case({"shape_version": "2019.8"}, plans, "scheduled:every=2", seconds=8.0),
    "older-api-always-empty": case({"scheduled": "old-empty"}, plans, seconds=8.0),
    "purged": case(),
    "purged-on-2018.1.5": case({"shape_version": "2018.1.5"}),
    "purged-newest-first": case({"shape_version": "2019.8"}),
    "restored": case(levers=restore),
    "rewound": case(levers=rewind),
    "rewound-newest-first": case({"shape_version": "2019.8"}, rewind),
    "counts-are-text": case({"activity_totals": "string"}),
    "commits-at-the-start": case({"activity": "at-start"}),
    "wire": case({"faults": "reset,p=0.1+truncated,p=0.1+503,p=0.1+html-200,p=0.05"}),
    "wire-and-plans": case({"faults": "reset,p=0.1+truncated,p=0.1+503,p=0.1"}, plans, seconds=8.0),
}


def verdict_of(name: str, life: Life) -> Verdict:
    return judged(name, life, plain(life))


def judged(name: str, life: Life, seen: list[Seen]) -> Verdict:
    knobs = CASES[name].knobs
    old = knobs.get("scheduled") == "old" or knobs.get("shape_version", "2025") < "2021.7"
    found = Verdict(events=len(seen))
    unordered = "2018.1.5" < knobs.get("shape_version", "2025") < "2021.6"  # the very first may be turned
    found.take(judge_activity(life.truth, seen, services=SERVICES, until=life.until, whole=not unordered))
    found.take(judge_schedules(life.truth, seen, until=life.until, patient="faults" not in knobs, old=old))
    changes = {fact["change"] for fact in life.truth if fact["fact"] == "schedule"}
    if CASES[name].levers is plans and not changes >= {"changed", "disabled"}:
        found.missing.append("what was to be done")
    return found


def plain(life: Life) -> list[Seen]:
    """Return what was delivered as its reader sees it."""
    return [replace(each, data=msgspec.json.decode(msgspec.json.encode(each.data))) for each in life.seen()]


@pytest.fixture(scope="module")
def worlds(request: pytest.FixtureRequest) -> Iterator[Worlds]:
    """The worlds of the rows that are to be tested, all under way from the first test on."""
    wanted = {item.callspec.params.get("name", "plans") for item in request.session.items
              if hasattr(item, "callspec") and item.path == request.path}  # fmt: skip
    with Worlds({name: case for name, case in CASES.items() if name in wanted}, verdict_of) as found:
        yield found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_whatever_the_source_does(name: str, worlds: Worlds) -> None:
    life = worlds.result(name)
    assert life.verdict.well, f"{life.verdict}\n{dict(life.asked)}"
    assert {commit["subject"] for commit in life.truth if commit["fact"] == "activity"}.isdisjoint({"bridge"})
    assert life.watch.count("claimed") == len(STREAMS)
    assert life.watch.count("parked") == life.watch.count("released") == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["audit.activity.v1", "schedule.changed.v1", "schedule.disabled.v1",
                                  "schedule.run.missed.v1"])  # fmt: skip
def test_the_judge_misses_what_is_not_there_and_what_is_there_twice(kind: str, worlds: Worlds) -> None:
    life = worlds.result("plans")
    seen = plain(life)
    at = next(at for at, record in enumerate(seen) if record.type.endswith(kind))
    for wrong in (seen[:at] + seen[at + 1 :], [*seen, replace(seen[at], id="e2" + seen[at].id[2:])]):
        assert not judged("plans", life, wrong).well


@pytest.mark.timeout(60)
async def test_a_service_that_may_not_be_read_parks_alone() -> None:
    def refusing(request: Request) -> Response:
        if request.query_params["service_id"] != "rbac":
            return answering({"commits": [], "pagination": {"total": 0}})
        return answering({"kind": "puppetlabs.activity/not-permitted", "msg": "no"}, 403)

    async with door_of(refusing) as console, bridged(case(console=console.url)) as life:
        await life.watch.wait_for("parked", kind="activity-rbac")
        new = Schedule(0, "deploy", SCOPE, "production", "ops", life.now + DAY_S)
        made = schedules.create(life.world, new, life.now)
        while f"e1:schedule/{made.id}/revision/1" not in life.store.ids:
            await life.watch.wait_for("committed", life.watch.count("committed", "schedules") + 1, "schedules")
        assert [kind for what, kind, _ in life.watch.told if what == "parked"] == ["activity-rbac"]
        assert judge_schedules(life.truth, plain(life)).well
