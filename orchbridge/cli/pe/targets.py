"""Task targets for people and programs: listed, shown, and made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.cli.pe.manners import sent
from orchbridge.cli.pe.session import agreed
from orchbridge.cli.pe.telling import counted, facts, json_line, printable, table
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import TaskTarget


async def list_targets(client: Client, *, as_json: bool) -> int:
    """Print task targets."""
    found = await client.scopes.task_targets()
    if as_json:
        for each in found:
            json_line(_shape(each))
        return DONE
    rows = []
    for each in found:
        nodes = [counted(len(each.nodes), "node")] if each.nodes else []
        nodes += [counted(len(each.node_groups), "node group")] if each.node_groups else []
        nodes += [f"query {printable(each.pql_query)}"] if each.pql_query else []
        rows.append((str(each.id), printable(each.display_name), _tasks(each), ", ".join(nodes) or "none"))
    table(("target", "name", "tasks", "nodes"), rows, none="no task targets")
    return DONE


async def show_target(client: Client, number: int, *, as_json: bool) -> int:
    """Print one task target."""
    target = await client.scopes.task_target(number)
    if as_json:
        json_line(_shape(target))
        return DONE
    facts(
        (
            (f"target {target.id}", printable(target.display_name)),
            ("tasks", _tasks(target)),
            ("nodes", ", ".join(target.nodes)),
            ("node groups", ", ".join(target.node_groups)),
            ("query", printable(target.pql_query or "")),
        )
    )
    return DONE


async def make_target(
    client: Client,
    name: str,
    tasks: Sequence[str],
    nodes: Sequence[str],
    node_groups: Sequence[str],
    query: str | None,
    *,
    all_tasks: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Make a task target."""
    if bool(tasks) == all_tasks:
        both = "--task and --all-tasks both say which tasks" if tasks else "which tasks?"
        raise ConfigError(f"{both}; nothing was made", hint="give --task NAME, repeated, or --all-tasks")
    which = "all tasks" if all_tasks else f"{counted(len(tasks), 'task')}: {', '.join(tasks)}"
    where = [f"{counted(len(nodes), 'node')}: {', '.join(nodes)}"] if nodes else []
    where += [f"{counted(len(node_groups), 'node group')}: {', '.join(node_groups)}"] if node_groups else []
    where += [f"query {query}"] if query else []
    lines = [f"make task target {name!r}: {which}, on {'; '.join(where) or 'no node yet'}"]
    lines.append("  it cannot be changed or deleted by this API, and permissions are given in the console")
    if not agreed(lines, yes=yes, nothing="nothing was made"):
        return CHECK_FAILED
    made = await sent(
        lambda: client.commands.task_target(
            name, nodes=nodes, node_groups=node_groups, tasks=tasks, all_tasks=all_tasks, pql_query=query
        ),
        "targets",
    )
    if as_json:
        json_line({"kind": "started", "task_target": made.id, "recovered": made.recovered})
    else:
        print(f"task target {made.id} made: {name}")
    return DONE


def _tasks(target: TaskTarget) -> str:
    return "all" if target.all_tasks else ", ".join(target.tasks)


def _shape(each: TaskTarget) -> dict[str, Any]:
    told = {"id": each.id, "name": each.display_name, "all_tasks": each.all_tasks, "tasks": each.tasks}
    more = {"nodes": each.nodes, "node_groups": each.node_groups, "query": each.pql_query}
    return {"kind": "task_target", **told, **more}
