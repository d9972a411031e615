"""The judge can say no: whatever is done to what a consumer saw is found, and only that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.stage import Noted
from tests.chaos.verdict import WRONGS, delays, found
from tests.e2e.worlds import Case, lived
from tests.oracle import Seen, judge

SCENARIO = "demo:nodes=16,shortest=0.1,longest=0.4"
SEED = random.SystemRandom().randrange(1 << 30)

Truth = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lives() -> tuple[Truth, list[Seen], float]:
    """What happened in a world, what came of it in a sink, and until when it has to be there."""
    life = asyncio.run(
        lived(Case(scenario=SCENARIO, seed=SEED), lambda life: judge(life.truth, life.seen(), until=life.until))
    )
    assert life.until is not None
    return life.truth, life.seen(), life.until - 1.0  # what happened since may have been told after the last look


def some(seen: list[Seen], wanted: Callable[[Seen], bool], settled: set[str]) -> int:
    """Return the place of one record of a job that is over and done with."""
    places = [n for n, record in enumerate(seen) if wanted(record) and "/".join(record.id.split("/")[:2]) in settled]
    return random.Random(SEED).choice(places)


def event(record: Seen) -> bool:
    return "job/" in record.id and "/event/" in record.id


def certificate(record: Seen) -> bool:
    return record.type.endswith("job.summary.v1")


def dropped(seen: list[Seen], settled: set[str]) -> list[Seen]:
    place = some(seen, event, settled)
    return seen[:place] + seen[place + 1 :]


def state_dropped(seen: list[Seen], settled: set[str]) -> list[Seen]:
    place = some(seen, lambda record: record.type.endswith("job.state.changed.v1"), settled)
    return seen[:place] + seen[place + 1 :]


def repeated(seen: list[Seen], settled: set[str]) -> list[Seen]:
    place = some(seen, event, settled)
    return [*seen[: place + 1], *seen[place:]]


def swapped(seen: list[Seen], settled: set[str]) -> list[Seen]:
    first = some(seen, lambda record: event(record) and record.sequence is not None, settled)
    of = [n for n, each in enumerate(seen) if event(each) and each.key == seen[first].key]
    one, other = of[0], of[-1]
    changed = list(seen)
    changed[one], changed[other] = changed[other], changed[one]
    return changed


def uncertified(seen: list[Seen], settled: set[str]) -> list[Seen]:
    gone = seen[some(seen, certificate, settled)].key
    return [record for record in seen if not (certificate(record) and record.key == gone)]


def miscounted(seen: list[Seen], settled: set[str]) -> list[Seen]:
    place = some(seen, certificate, settled)
    data = dict(seen[place].data or {})
    data["delivered"] = {**data["delivered"], "events": data["delivered"]["events"] - 1}
    return [*seen[:place], replace(seen[place], data=data), *seen[place + 1 :]]


def invented(seen: list[Seen], settled: set[str]) -> list[Seen]:
    one = seen[some(seen, event, settled)]
    return [*seen, replace(one, id=f"{one.id}999999", sequence=9_999_999)]


def node_forgotten(seen: list[Seen], settled: set[str]) -> list[Seen]:
    place = next(n for n, record in enumerate(seen) if record.channel == "node-state")
    data = {**(seen[place].data or {}), "connected": not (seen[place].data or {})["connected"]}
    of = [n for n, record in enumerate(seen) if record.channel == "node-state" and record.key == seen[place].key]
    changed = list(seen)
    changed[of[-1]] = replace(seen[of[-1]], data={**data, "connected": not (seen[of[-1]].data or {})["connected"]})
    return changed


TAMPERED: dict[str, tuple[Callable[[list[Seen], set[str]], list[Seen]], set[str]]] = {
    "an event dropped": (dropped, {"missing", "untrue"}),
    "a state dropped": (state_dropped, {"missing"}),
    "an event repeated": (repeated, {"duplicated"}),
    "two events swapped": (swapped, {"disordered"}),
    "a certificate dropped": (uncertified, {"uncertified"}),
    "a certificate that counts wrongly": (miscounted, {"untrue"}),
    "an event that never was": (invented, {"invented", "untrue"}),
    "a node in the wrong state": (node_forgotten, {"untrue"}),
}


def test_what_is_well_is_called_well(lives: tuple[Truth, list[Seen], float]) -> None:
    truth, seen, until = lives
    finding = found(truth, seen, until=until)
    assert finding.well, finding.words
    assert finding.events > 20
    assert finding.records == len(seen)


@pytest.mark.parametrize("name", TAMPERED)
def test_what_is_wrong_is_found(name: str, lives: tuple[Truth, list[Seen], float]) -> None:
    print(f"seed {SEED}")
    truth, seen, until = lives
    settled = {record.id.partition("/summary/")[0] for record in seen if certificate(record)}
    early = {f"e1:job/{fact['id']}" for fact in truth if fact["fact"] == "job" and fact["at"] < until - 2.0}
    tamper, expected = TAMPERED[name]
    finding = found(truth, tamper(seen, settled & early), until=until)
    wrong = {name for name in WRONGS if getattr(finding, name)}
    assert wrong, "nothing was found"
    assert wrong <= expected, finding.words
    assert finding.words


@pytest.mark.parametrize(("services", "missing"), [((), 0), (("rbac",), 2)])
def test_activity_and_schedules_are_judged_where_they_are_carried(services: tuple[str, ...], missing: int) -> None:
    commit = {"fact": "activity", "at": 1.0, "id": 1, "service": "rbac", "subject": "ada", "object": "users/7"}
    plan = {"fact": "schedule", "at": 1.0, "id": 7, "change": "created", "environment": "production", "description": ""}
    truth: Truth = [commit | {"time": "2026-01-01T00:00:01Z"}, plan]
    assert found(truth, [], until=2.0, services=services).missing == missing


def test_delays_are_of_the_events_that_happened_during_a_fault() -> None:
    start = 1_700_000_000.0
    truth: Truth = [{"fact": "world", "start": "2023-11-14T22:13:20.000Z"}]
    truth += [{"fact": "job_event", "job": 1, "id": n, "at": 10.0 * n, "type": "node_running"} for n in range(1, 5)]
    arrivals = {f"e1:job/1/event/{n}": start + 10.0 * n + n for n in range(1, 5)}
    noted = [Noted("kill", "a", start + 19.0, start + 31.0), Noted("kill", "b", start + 39.0, start + 41.0)]
    found_ = delays(truth, arrivals, noted, "a", start + 15.0)
    assert sorted(found_.all) == [2.0, 3.0, 4.0], "the first was before the beginning"
    assert found_.during == {"kill": 3.0}, "the other house's fault is none of its business"
    assert found_.summary()["max"] == 4.0


def test_the_certificate_of_a_job_that_lacks_a_nodes_end_is_judged_as_well(
    lives: tuple[Truth, list[Seen], float],
) -> None:
    truth, seen, until = lives
    settled = {record.id.partition("/summary/")[0] for record in seen if certificate(record)}
    early = {f"e1:job/{fact['id']}" for fact in truth if fact["fact"] == "job" and fact["at"] < until - 2.0}
    place = some(seen, lambda record: event(record) and record.type.startswith("job.node.finished"), settled & early)
    verdict = judge(truth, seen[:place] + seen[place + 1 :], until=until)
    assert len(verdict.missing) == 1
    assert any("counts" in line for line in verdict.untrue), verdict
    assert any("is called complete without the end" in line for line in verdict.untrue), verdict
