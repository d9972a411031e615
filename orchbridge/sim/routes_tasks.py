"""The tasks there are, and what their authors say about them (reference 8)."""

from __future__ import annotations

from typing import Any

from orchbridge.sim import releases
from orchbridge.sim.answers import Answer, Ask, Problem, Route, invalid, missing, params, reply
from orchbridge.sim.catalogue import TASKS, Task
from orchbridge.sim.orders import may_run_task
from orchbridge.sim.routes_plans import envelope_of, environment_of, named


def tasks(ask: Ask) -> Answer:
    """GET /tasks"""
    environment = environment_of(ask)
    if isinstance(environment, Problem):
        return environment
    items = [_task(ask, task) for task in TASKS.values() if task.metadata is not None]
    return reply({"environment": envelope_of(environment), "items": items})


def task(ask: Ask) -> Answer:
    """GET /tasks/:module/:task; a module's own task is called init."""
    environment = environment_of(ask)
    if isinstance(environment, Problem):
        return environment
    module, word = ask.path["module"], ask.path["task"]
    if not named(module, word):
        return invalid(f"{module}::{word} cannot be the name of a task")
    name = module if word == "init" else f"{module}::{word}"
    found = TASKS.get(name)
    if found is None or found.metadata is None:
        return missing("task", name, environment=environment)
    file = {
        "filename": found.file,
        "uri": {"path": f"/{module}/tasks/{found.file}", "params": {"environment": environment}},
        "sha256": "5be1" * 16,
        "size_bytes": 812,
    }
    whole = {"environment": envelope_of(environment), "metadata": found.metadata, "files": [file]}
    return reply({**_task(ask, found), **whole})


def _task(ask: Ask, found: Task) -> dict[str, Any]:
    module, _, word = found.name.partition("::")
    fields: dict[str, Any] = {"id": ask.url("tasks", module, word or "init"), "name": found.name}
    return {**fields, "permitted": may_run_task(ask.by, found.name)} if ask.knobs.has(releases.PERMITTED) else fields


ROUTES = (
    Route("GET", "tasks", tasks, params("environment"), releases.TASKS),
    Route("GET", "tasks/{module}/{task}", task, params("environment"), releases.TASKS),
)
