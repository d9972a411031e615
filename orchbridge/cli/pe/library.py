"""Tasks and plans for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.telling import PLAIN, facts, json_line, printable, table, value_of
from orchbridge.core.redact import REDACTED
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import Listed, Parameter, Plan, Task

PERMITTED = {True: "yes", False: "no", None: ""}


async def list_tasks(client: Client, environment: str, name: str, *, as_json: bool) -> int:
    """Print the tasks of an environment."""
    return _listed("task", await client.tasks.list(environment), name, as_json=as_json)


async def list_plans(client: Client, environment: str, name: str, *, as_json: bool) -> int:
    """Print the plans of an environment."""
    return _listed("plan", await client.plans.list(environment), name, as_json=as_json)


def _listed(kind: str, found: Sequence[Listed], name: str, *, as_json: bool) -> int:
    wanted = sorted((each for each in found if name in each.name), key=lambda each: each.name)
    if as_json:
        for each in wanted:
            json_line({"kind": kind, "name": each.name, "permitted": each.permitted})
    else:
        rows = [(each.name, PERMITTED[each.permitted]) for each in wanted]
        table((kind, "may be run"), rows, state="may be run", none=f"no such {kind}s")
    return DONE


async def show_task(client: Client, name: str, environment: str, *, as_json: bool) -> int:
    """Print one task."""
    task = await client.tasks.get(name, environment)
    if as_json:
        more = {"supports_noop": task.supports_noop, "private": task.private, "input_method": task.input_method}
        json_line({"kind": "task", **_described(task), **more})
        return DONE
    marks = [word for word, there in (("noop", task.supports_noop), ("private", task.private)) if there]
    facts(((f"task {task.name}", printable(task.description)), *_where(task), ("marks", ", ".join(marks))))
    print()
    _tell_parameters(task)
    return DONE


async def show_plan(client: Client, name: str, environment: str, *, as_json: bool) -> int:
    """Print one plan."""
    plan = await client.plans.get(name, environment)
    if as_json:
        json_line({"kind": "plan", **_described(plan)})
        return DONE
    facts(((f"plan {plan.name}", printable(plan.description)), *_where(plan)))
    print()
    _tell_parameters(plan)
    return DONE


def _where(what: Task | Plan) -> tuple[tuple[str, str], ...]:
    return ("environment", what.environment or ""), ("may be run", PERMITTED[what.permitted])


def _described(what: Task | Plan) -> dict[str, Any]:
    """Return what JSON tells of it; `parameters` null is that it declares none and takes anything."""
    return {
        "name": what.name,
        "environment": what.environment,
        "description": what.description,
        "permitted": what.permitted,
        "parameters": None if what.parameters is None else [_parameter(each) for each in what.parameters],
    }


def _parameter(told: Parameter) -> dict[str, Any]:
    return {
        "name": told.name,
        "type": told.type,
        "required": not told.optional,
        "sensitive": told.sensitive,
        "default": REDACTED if told.sensitive and told.default is not None else PLAIN.value(told.default),
        "description": told.description,
    }


def _tell_parameters(what: Task | Plan) -> None:
    if what.parameters is None:
        print("declares no parameters: it takes any")
        return
    rows = []
    for each in sorted(what.parameters, key=lambda each: each.optional):
        told = _parameter(each)
        default = "" if told["default"] is None else f"default {value_of(told['default'])}"
        notes = ["required" if told["required"] else default or "optional", "sensitive" if each.sensitive else ""]
        rows.append((each.name, each.type or "Any", ", ".join(filter(None, notes)), printable(each.description)))
    table(("parameter", "type", "needed", "what it is"), rows, none="it takes no parameters")
