"""The API's index, services, connected nodes and usage, for people and programs."""

from __future__ import annotations

from datetime import date

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.cli.pe.telling import facts, json_line, printable, table, when
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import Day


async def show_root(client: Client, *, as_json: bool) -> int:
    """Print the API's index."""
    root = await client.root()
    if as_json:
        told = {"title": root.title, "version": root.version, "collections": root.collections}
        json_line({"kind": "root", **told, "commands": root.commands})
        return DONE
    facts(
        (
            ("title", printable(root.title)),
            ("version", root.version),
            ("collections", ", ".join(root.collections)),
            ("commands", ", ".join(root.commands)),
        )
    )
    return DONE


async def show_status(client: Client, *, as_json: bool) -> int:
    """Print the services; return 3 where one is not well."""
    services = (await client.status.services()).values()
    if as_json:
        for each in services:
            told = {"kind": "service", "name": each.name, "state": each.state, "version": each.version}
            json_line({**told, "alerts": [{"severity": severity, "message": text} for severity, text in each.alerts]})
    else:
        rows = [
            (each.name, each.state, each.version or "", "; ".join(printable(text) for _, text in each.alerts))
            for each in services
        ]
        table(("service", "state", "version", "alerts"), rows, none="the server tells of no service")
    return DONE if services and all(each.running for each in services) else CHECK_FAILED


async def show_inventory(client: Client, nodes: tuple[str, ...], *, as_json: bool) -> int:
    """Print connections; return 3 where a named node has none."""
    rows = await client.inventory.of(nodes) if nodes else await client.inventory.all()
    rows = tuple(sorted(rows, key=lambda row: row.name))
    if as_json:
        for row in rows:
            told = {"kind": "connection", "node": row.name, "connected": row.connected}
            json_line({**told, "broker": row.broker, "since": row.since})
    else:
        cells = [(row.name, "yes" if row.connected else "no", row.broker or "", when(row.since)) for row in rows]
        table(("node", "connected", "broker", "since (UTC)"), cells, state="connected", none="no node is connected")
    here = {row.name for row in rows if row.connected}
    return DONE if all(node in here for node in nodes) else CHECK_FAILED


async def show_usage(client: Client, since: date | None, until: date | None, *, as_json: bool) -> int:
    """Print days."""
    if since and until and until < since:
        raise ConfigError(f"--until {until} is before --since {since}", hint="give the earlier day as --since")
    days = await client.usage.days(since, until)
    if as_json:
        for day in days:
            json_line({"kind": "usage", **_day(day)})
        return DONE
    rows = [tuple("" if value is None else str(value) for value in _day(day).values()) for day in days]
    columns = ("day", "nodes", "agent", "agentless", "corrective", "intended", "by tasks", "by plans")
    table(columns, rows, none="no usage in these days")
    return DONE


def _day(day: Day) -> dict[str, object]:
    return {
        "date": day.date.isoformat() if day.date else None,
        "total_nodes": day.total_nodes,
        "nodes_with_agent": day.nodes_with_agent,
        "nodes_without_agent": day.nodes_without_agent,
        "corrective_agent_changes": day.corrective_agent_changes,
        "intentional_agent_changes": day.intentional_agent_changes,
        "nodes_affected_by_task_runs": day.nodes_affected_by_task_runs,
        "nodes_affected_by_plan_runs": day.nodes_affected_by_plan_runs,
    }
