"""Our own levers below /sim, for tests and demos: knobs, pruning, restoring, lost ids, nodes, request counts."""

from __future__ import annotations

import dataclasses
from typing import Any

from orchbridge.core.errors import ConfigError
from orchbridge.sim.answers import Answer, Ask, Problem, Route, invalid, reply

MOST = 1_000_000


def _whole_number(ask: Ask, key: str) -> int | Problem:
    value: Any = ask.body.get(key) if isinstance(ask.body, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        return invalid(f'The body must be {{"{key}": <whole number, at most {MOST}>}}')
    return value


def knobs(ask: Ask) -> Answer:
    """GET /sim/knobs"""
    return reply(dataclasses.asdict(ask.knobs))


def turn(ask: Ask) -> Answer:
    """POST /sim/knobs {name: value}: answers with all knobs."""
    if not isinstance(ask.body, dict):
        return invalid("The body must be {knob: value}")
    try:
        ask.world.turn({name: str(value) for name, value in ask.body.items()}, ask.now)
    except ConfigError as error:
        return invalid(error.line())
    return reply(dataclasses.asdict(ask.world.knobs))


def prune(ask: Ask) -> Answer:
    """POST /sim/prune {"oldest": n}: answers with the ids of the jobs that are gone."""
    oldest = _whole_number(ask, "oldest")
    return oldest if isinstance(oldest, Problem) else reply({"pruned": ask.world.prune(oldest, ask.now)})


def skip(ask: Ask) -> Answer:
    """POST /sim/skip {"jobs": n}: so many ids will never be a job's; answers with them."""
    jobs = _whole_number(ask, "jobs")
    return jobs if isinstance(jobs, Problem) else reply({"skipped": ask.world.skip(jobs, ask.now)})


def crash(ask: Ask) -> Answer:
    """POST /sim/crash {"seconds": n}: the service is away for so long, and has forgotten what it did."""
    seconds = _whole_number(ask, "seconds")
    if isinstance(seconds, Problem):
        return seconds
    ask.world.crash(float(seconds), ask.now)
    return reply({"back_in": seconds})


def restore(ask: Ask) -> Answer:
    """POST /sim/restore {"to_job": id}: jobs above it never were."""
    to_job = _whole_number(ask, "to_job")
    if isinstance(to_job, Problem):
        return to_job
    ask.world.restore(to_job, ask.now)
    return reply({"newest": ask.world.job_ids.last})


def inventory(ask: Ask) -> Answer:
    """POST /sim/inventory {"node": certname, "connected": bool}: connect, disconnect or reconnect."""
    match ask.body:
        case {"node": str(node), "connected": bool(connected)}:
            ask.world.connect(node, connected, ask.now)
            return reply({"node": node, "connected": connected})
    return invalid('The body must be {"node": <certname>, "connected": true or false}')


def requests(ask: Ask) -> Answer:
    """GET /sim/requests: how many requests each endpoint had."""
    return reply({"total": ask.world.requests.total(), "requests": dict(ask.world.requests)})


def reset_requests(ask: Ask) -> Answer:
    """POST /sim/requests: answers with the counts so far, and begins anew."""
    answer = requests(ask)
    ask.world.requests.clear()
    return answer


ROUTES = (
    Route("GET", "knobs", knobs),
    Route("POST", "knobs", turn, lasting=True),
    Route("POST", "prune", prune, lasting=True),
    Route("POST", "crash", crash, lasting=True),
    Route("POST", "restore", restore, lasting=True),
    Route("POST", "skip", skip, lasting=True),
    Route("POST", "inventory", inventory, lasting=True),
    Route("GET", "requests", requests),
    Route("POST", "requests", reset_requests),
)
