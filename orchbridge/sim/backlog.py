"""A past of finished jobs, ready to be served: for catch-up benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from orchbridge.sim.catalogue import OWNERS
from orchbridge.sim.eventlog import EventLog, JobEventWire
from orchbridge.sim.play_jobs import job_fact
from orchbridge.sim.rows import Job, JobNode, Stretch
from orchbridge.sim.script import message_of

if TYPE_CHECKING:
    from orchbridge.sim.world import World

SPACING_S = 2.0
LASTS_S = 1.5


def install(world: World, jobs: int, events: int) -> None:
    """Write `jobs` finished task jobs with `events` events each into the world's past."""
    begin = -SPACING_S * (jobs + 1)

    def write(_: float) -> None:
        for number in range(jobs):
            _write(world, begin + number * SPACING_S, max(events, 1))

    world.course.at(begin, write)


def _write(world: World, created: float, events: int) -> None:
    pairs, odd = divmod(events - 1, 2)
    first = world.event_ids.last + 1
    world.event_ids.last += events
    world.job_ids.last += 1
    nodes = tuple(f"node{number:05d}.example.com" for number in range(pairs + odd))
    rows = partial(_rows, nodes, pairs, first, created)
    end = "failed" if odd else "finished"
    counts = {state: count for state, count in (("finished", pairs), ("errored", odd)) if count}
    moments = _moments(nodes, pairs, created)
    job = Job(
        id=world.job_ids.last,
        type="task",
        created=created,
        options={
            "task": "facts",
            "description": "",
            "transport": "pxp",
            "noop": False,
            "params": {},
            "sensitive": [],
            "scheduled-job-id": None,
            "scope": {"nodes": nodes},
            "environment": "production",
        },
        owner=OWNERS[0],
        environment="production",
        description="",
        userdata={},
        nodes={},
        counts=counts,
        status=[
            Stretch("ready", created, created + 0.1),
            Stretch("running", created + 0.1, created + LASTS_S),
            Stretch(end, created + LASTS_S),
        ],
        log=EventLog.packed(first, _encoded(world, moments, first, end)),
        seen_at=created,
        node_rows=rows,
    )
    world.jobs[job.id] = job
    job_fact(world, job, nodes)
    for stretch in job.status:
        states = {"new": len(nodes)} if stretch.left is not None else counts
        world.course.fact("job_state", stretch.entered, job=job.id, state=stretch.state, node_states=states)
    for number, (kind, node, at) in enumerate(moments, first):
        world.course.fact("job_event", at, job=job.id, id=number, type=kind, node=node)


def _moments(nodes: tuple[str, ...], pairs: int, created: float) -> list[tuple[str, str | None, float]]:
    """Return the events as (type, node, time): offline nodes, then starts, then ends, then the job's own."""
    plan: list[tuple[str, str | None, float]] = [("node_errored", node, created + 0.1) for node in nodes[pairs:]]
    plan += [("node_running", node, created + 0.2) for node in nodes[:pairs]]
    plan += [("node_finished", node, created + 1.2) for node in nodes[:pairs]]
    return [*plan, ("job_finished", None, created + LASTS_S)]


def _encoded(world: World, moments: list[tuple[str, str | None, float]], first: int, end: str) -> list[bytes]:
    encode = msgspec.json.Encoder().encode
    made = []
    for number, (kind, node, at) in enumerate(moments, first):
        details: dict[str, object] = {"node": node, "detail": _detail(kind, node)} if node else {"state": end}
        message = message_of(kind, node, deploy=False) if node else f"Job {end}"
        made.append(encode(JobEventWire(str(number), kind, world.course.text(at), details, message)))
    return made


def _detail(kind: str, node: str) -> dict[str, object]:
    if kind == "node_finished":
        return {"os": {"family": "RedHat", "release": {"full": "9.3"}}, "uptime_s": 86_400}
    if kind == "node_errored":
        return {"msg": f"{node} is not connected to the PCP broker", "details": {"node": node}}
    return {}


def _rows(nodes: tuple[str, ...], pairs: int, first: int, created: float) -> Mapping[str, JobNode]:
    odd = len(nodes) - pairs
    rows = {}
    for place, name in enumerate(nodes):
        kind = "node_finished" if place < pairs else "node_errored"
        ended = created + (1.2 if place < pairs else 0.1)
        started = created + 0.2 if place < pairs else None
        ids = (first + odd + place, first + odd + pairs + place) if place < pairs else (first + place - pairs,)
        details = {"message": message_of(kind, name, deploy=False)}
        rows[name] = JobNode(name, kind[5:], started, ended, ended, ids, details, _detail(kind, name))
    return rows
