"""The commands that only look, jobs aside, as click shows them."""

from __future__ import annotations

from datetime import datetime

import click

from orchbridge.cli.pe.options import AS_JSON, ENVIRONMENT, Options, carried_out, place

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command(short_help="Show the API's own index.")
@place
@AS_JSON
def root(options: Options, *, as_json: bool) -> None:
    """Show the API's own index. What it lists is not all that a server can do."""
    from orchbridge.cli.pe.service import show_root

    carried_out(options, lambda client: show_root(client, as_json=as_json))


@click.command(short_help="Show how the orchestrator's services are.")
@place
@AS_JSON
def status(options: Options, *, as_json: bool) -> None:
    """Show how the orchestrator's services are; ends with 3 where one of them is not running."""
    from orchbridge.cli.pe.service import show_status

    carried_out(options, lambda client: show_status(client, as_json=as_json))


@click.command(short_help="List the tasks of an environment.")
@place
@ENVIRONMENT
@click.option("--name", metavar="TEXT", default="", help="Only those whose name contains this.")
@AS_JSON
def tasks(options: Options, environment: str, name: str, *, as_json: bool) -> None:
    """List the tasks of an environment, and which of them the token's user may run."""
    from orchbridge.cli.pe.library import list_tasks

    carried_out(options, lambda client: list_tasks(client, environment, name, as_json=as_json))


@click.command(short_help="Show a task and its parameters.")
@click.argument("name", metavar="NAME")
@place
@ENVIRONMENT
@AS_JSON
def task(name: str, options: Options, environment: str, *, as_json: bool) -> None:
    """Show a task and its parameters: their types, which must be given, which are sensitive."""
    from orchbridge.cli.pe.library import show_task

    carried_out(options, lambda client: show_task(client, name, environment, as_json=as_json))


@click.command(short_help="List the plans of an environment.")
@place
@ENVIRONMENT
@click.option("--name", metavar="TEXT", default="", help="Only those whose name contains this.")
@AS_JSON
def plans(options: Options, environment: str, name: str, *, as_json: bool) -> None:
    """List the plans of an environment, and which of them the token's user may run."""
    from orchbridge.cli.pe.library import list_plans

    carried_out(options, lambda client: list_plans(client, environment, name, as_json=as_json))


@click.command(short_help="Show a plan and its parameters.")
@click.argument("name", metavar="NAME")
@place
@ENVIRONMENT
@AS_JSON
def plan(name: str, options: Options, environment: str, *, as_json: bool) -> None:
    """Show a plan and its parameters: their types, which must be given, which are sensitive."""
    from orchbridge.cli.pe.library import show_plan

    carried_out(options, lambda client: show_plan(client, name, environment, as_json=as_json))


@click.command(short_help="Show which nodes are connected.")
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@place
@AS_JSON
def inventory(nodes: tuple[str, ...], options: Options, *, as_json: bool) -> None:
    """Show the nodes that are connected now, or these nodes.

    Ends with 3 where one of the named nodes is not connected, and with 69 while PE's broker is away and
    nobody knows. A node can be gone for up to 15 minutes before PE notices.
    """
    from orchbridge.cli.pe.service import show_inventory

    carried_out(options, lambda client: show_inventory(client, nodes, as_json=as_json))


@click.command(short_help="List scheduled jobs.")
@place
@click.option("--type", "type_", type=click.Choice(("deploy", "task", "plan")), help="Only those of this type.")
@AS_JSON
def schedules(options: Options, type_: str | None, *, as_json: bool) -> None:
    """List scheduled jobs, the next one first, with how they went last."""
    from orchbridge.cli.pe.schedules import list_schedules

    carried_out(options, lambda client: list_schedules(client, type_, as_json=as_json))


@click.command(short_help="Show how many nodes were used, day by day.")
@place
@click.option("--since", metavar="YYYY-MM-DD", type=DAY, help="From this day on.")
@click.option("--until", metavar="YYYY-MM-DD", type=DAY, help="Up to this day.")
@AS_JSON
def usage(options: Options, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Show how many nodes were used, day by day (UTC), newest first. Slow on a real server."""
    from orchbridge.cli.pe.service import show_usage

    start, end = since.date() if since else None, until.date() if until else None
    carried_out(options, lambda client: show_usage(client, start, end, as_json=as_json))


@click.command(short_help="List task targets.")
@place
@AS_JSON
def targets(options: Options, *, as_json: bool) -> None:
    """List task targets: which tasks may be run on which nodes, for permissions to be narrowed to."""
    from orchbridge.cli.pe.targets import list_targets

    carried_out(options, lambda client: list_targets(client, as_json=as_json))


@click.command(short_help="Show a task target.")
@click.argument("id_", metavar="ID", type=click.IntRange(min=1))
@place
@AS_JSON
def target(id_: int, options: Options, *, as_json: bool) -> None:
    """Show a task target, with all its nodes."""
    from orchbridge.cli.pe.targets import show_target

    carried_out(options, lambda client: show_target(client, id_, as_json=as_json))


COMMANDS: tuple[click.Command, ...] = (
    root, status, tasks, task, plans, plan, inventory, schedules, usage, targets, target,
)  # fmt: skip
