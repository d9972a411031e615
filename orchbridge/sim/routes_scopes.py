"""Task targets as they can be read (reference 12)."""

from __future__ import annotations

from typing import Any

from orchbridge.sim import releases
from orchbridge.sim.answers import Answer, Ask, Problem, Route, integer, missing, reply
from orchbridge.sim.task_targets import TaskTarget


def task_targets(ask: Ask) -> Answer:
    """GET /scopes/task_targets"""
    return reply({"items": [_shape(ask, target) for target in ask.world.task_targets.values()]})


def task_target(ask: Ask) -> Answer:
    """GET /scopes/task_targets/:id"""
    number = integer("task target id", ask.path["id"])
    if isinstance(number, Problem):
        return number
    found = ask.world.task_targets.get(number)
    return reply(_shape(ask, found)) if found else missing("task-target", str(number))


def _shape(ask: Ask, target: TaskTarget) -> dict[str, Any]:
    all_tasks: bool | str = target.all_tasks
    if ask.knobs.all_tasks == "string":
        all_tasks = str(all_tasks).lower()
    fields: dict[str, Any] = {
        "id": ask.url("scopes", "task_targets", target.id),
        "name": str(target.id),
        "display_name": target.display_name,
        "all_tasks": all_tasks,
        "nodes": target.nodes,
        "node_groups": target.node_groups,
    }
    if not target.all_tasks:
        fields["tasks"] = target.tasks
    if target.pql_query is not None:
        fields["pql_query"] = target.pql_query
    return fields


ROUTES = (
    Route("GET", "scopes/task_targets", task_targets, since=releases.TASK_TARGETS),
    Route("GET", "scopes/task_targets/{id}", task_target, since=releases.TASK_TARGETS),
)
