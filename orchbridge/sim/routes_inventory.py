"""Which nodes a broker can reach (reference 9)."""

from __future__ import annotations

import msgspec

from orchbridge.sim import releases, shapes
from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, invalid, missing, reply
from orchbridge.sim.moments import chance
from orchbridge.sim.people import VIEW_JOBS
from orchbridge.sim.rows import Agent


def _unreachable(ask: Ask) -> Problem | None:
    dose = ask.knobs.doses("inventory").get("500")
    if dose is None or chance(ask.world.seed, "inventory", ask.world.requests.total()) >= dose.p:
        return None
    return Problem(500, "unknown-error", "The PCP broker cannot be reached")


def inventory(ask: Ask) -> Answer:
    """GET /inventory: every connected node in one answer."""
    problem = _unreachable(ask)
    if problem is not None:
        return problem
    odd = ask.knobs.doses("inventory")
    if "empty" in odd:
        return reply({"items": []})
    if not odd.keys() <= {"connected-only", "500"}:
        return reply({"items": _odd_items(ask)})
    world = ask.world
    if world.inventory_body is None or world.inventory_body[0] != world.agents_version:
        rows = b",".join(_encoded(ask, agent) for agent in world.agents.values() if agent.connected)
        world.inventory_body = world.agents_version, b'{"items":[' + rows + b"]}"
    return Reply(world.inventory_body[1])


def _encoded(ask: Ask, agent: Agent) -> bytes:
    if agent.encoded is None:
        agent.encoded = msgspec.json.encode(shapes.connection(ask, agent.name, agent))
    return agent.encoded


def _odd_items(ask: Ask) -> list[dict[str, object]]:
    """Return the list under the knob's oddities; a flap hides a node for one answer, never for two in a row."""
    odd = ask.knobs.doses("inventory")
    rows = [shapes.connection(ask, agent.name, agent) for agent in ask.world.agents.values()]
    if "false-rows" not in odd:
        rows = [row for row in rows if row["connected"]]
    flapping = odd.get("flapping")
    if flapping is not None:
        ask.world.flaps += 1
        if ask.world.flaps % 2:
            rows = [row for row in rows if chance(ask.world.seed, row["name"], ask.world.flaps) >= flapping.p]
    return rows


def one(ask: Ask) -> Answer:
    """GET /inventory/:node"""
    problem = _unreachable(ask)
    if problem is not None:
        return problem
    name = ask.path["node"]
    agent = ask.world.agents.get(name)
    if agent is None and "unknown-404" in ask.knobs.doses("inventory"):
        return missing("node", name)
    return reply(shapes.connection(ask, name, agent))


def several(ask: Ask) -> Answer:
    """POST /inventory: one row per name asked, in no promised order."""
    problem = _unreachable(ask)
    if problem is not None:
        return problem
    if ask.body is None and not ask.knobs.has(releases.INVENTORY_BODY):
        return reply({"items": []})
    names = ask.body.get("nodes") if isinstance(ask.body, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return invalid('The body must be {"nodes": [certname, ...]}')
    rows = [shapes.connection(ask, name, ask.world.agents.get(name)) for name in reversed(names)]
    return reply({"items": rows})


ROUTES = (
    Route("GET", "inventory", inventory, since=releases.INVENTORY, right=VIEW_JOBS),
    Route("GET", "inventory/{node}", one, since=releases.INVENTORY, right=VIEW_JOBS),
    Route("POST", "inventory", several, since=releases.INVENTORY, right=VIEW_JOBS),
)
