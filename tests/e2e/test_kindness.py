"""Kindness measured: what the orchestrator is asked, counted by the simulator itself over real sockets."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from itertools import pairwise

import httpx

from tests.e2e.worlds import Case, Life, bridged

STORM = "storm:jobs=60,rate=12,nodes=120,per_job=8,shortest=0.4,longest=2.0"


async def until(what: str, life: Life, true: object, limit_s: float = 25.0) -> None:
    """Wait until it is so, looking often."""
    ends = life.now + limit_s
    while not true():  # type: ignore[operator]
        assert life.now < ends, f"{what} did not come within {limit_s} s"
        await asyncio.sleep(0.05)


def following(life: Life) -> int:
    """Return how many jobs and plans are followed."""
    return sum(len(life.watch.states[kind].tracks) for kind in ("jobs", "plans"))


async def counted(life: Life, http: httpx.AsyncClient) -> dict[str, int]:
    """Return the simulator's own counts so far, and let it begin anew."""
    answer = await http.post(f"{life.url}/sim/requests")
    return dict(answer.json()["requests"])


async def test_idle_costs_exactly_one_request_a_tick_and_stream() -> None:
    case = Case(scenario="quiet", poll_s=0.2, inventory_s=0.2, settings={"late_window_s": 2.0, "grace_s": 0.5})
    async with bridged(case) as life, httpx.AsyncClient(trust_env=False) as http:
        await until("everything", life, lambda: len(life.watch.states) == 3 and life.truth and certified(life) >= 4)
        await until("the end of the late window", life, lambda: following(life) == 0)
        await counted(life, http)
        since = life.now
        await asyncio.sleep(20 * case.poll_s)
        ticks = (life.now - since) / case.poll_s
        requests = await counted(life, http)
    assert set(requests) == {"GET jobs", "GET plan_jobs", "GET inventory"}
    for name, count in requests.items():
        assert 0.75 * ticks <= count <= ticks + 1, f"{name}: {count} in {ticks:.1f} ticks"


def certified(life: Life) -> int:
    return sum(record.type == "job.summary.v1" for record in life.store.records)


async def test_a_storm_costs_at_most_one_question_for_each_job_that_moves_and_two_more() -> None:
    case = Case(scenario=STORM, poll_s=0.5, streams=("jobs",))
    async with bridged(case) as life:
        await until("all certificates", life, lambda: certified(life) == 60)
        await asyncio.sleep(3 * case.poll_s)
    lists = [at for at, endpoint in life.answered if endpoint == "/jobs"]
    events = sorted(at for at, endpoint in life.answered if endpoint == "/jobs/:id/events")
    moves = sorted((fact["at"], fact["job"]) for fact in life.truth if fact["fact"] in {"job_state", "job_event"})
    total = moved_total = 0
    for number, (begun, ended) in enumerate(pairwise(lists)):
        asked = bisect_right(events, ended) - bisect_right(events, begun)
        # A job counts as moved until the events delivered explain it: its page and nodes take a tick of their own,
        # and ticks of a busy machine are longer.
        since = min(begun - 3 * case.poll_s, lists[max(0, number - 3)])
        moved = {job for at, job in moves if since < at <= ended}
        assert asked + 1 <= len(moved) + 2, f"{asked} at {begun:.2f}, moved {len(moved)}"
        total, moved_total = total + asked, moved_total + len({job for at, job in moves if begun < at <= ended})
    print(f"{total} questions about events in {len(lists)} ticks, {moved_total} moves seen by tick")
    assert total <= moved_total + 2 * len(lists)
