"""The commands that start and stop things, as click shows them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import click

from orchbridge.cli.exits import code_of
from orchbridge.cli.pe.options import AS_JSON, ENVIRONMENT, YES, Options, carried_out, manners, place, scope
from orchbridge.core.errors import ConfigError

if TYPE_CHECKING:
    from orchbridge.orchestrator import Client

ID = click.IntRange(min=1)
PARAMS_FILE = click.option(
    "--params-file", metavar="FILE.json", help="More parameters, as one JSON object; - is standard input."
)


@click.command("run-task", short_help="Run a task on nodes.")
@click.argument("task")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@place
@scope
@ENVIRONMENT
@click.option("--noop", is_flag=True, help="Only say what would be done; for tasks that support it.")
@click.option("--targets", metavar="FILE.json", help="How those of the nodes are reached that have no agent.")
@PARAMS_FILE
@manners
def run_task(
    task: str,
    parameters: tuple[str, ...],
    options: Options,
    nodes: tuple[str, ...],
    query: str | None,
    node_group: str | None,
    params_file: str | None,
    targets: str | None,
    *,
    noop: bool,
    **how: Any,
) -> None:
    """Run a task on nodes; it says what and on how many, and asks.

    Values are what the task declares: text stays text where it takes text, anything else is JSON, such as
    5, true, '["a", "b"]'. A sensitive parameter is best given as KEY=@FILE, or as KEY=-, which asks for it
    without showing it, or reads standard input. `orchbridge pe task TASK` shows what it takes.

    With --follow it stays to the end: exit code 0 where the job finished, 3 where it failed or was stopped.
    With --at it starts later, as a scheduled job.

    \b
        orchbridge pe run-task package name=openssl action=status --nodes a.example.com,b.example.com --follow
    """
    from orchbridge.cli.pe.agentless import targets_of
    from orchbridge.cli.pe.manners import Manners
    from orchbridge.cli.pe.params import Given
    from orchbridge.cli.pe.scopes import scope_of
    from orchbridge.cli.pe.start import run_task as work

    try:
        given, where = Given.parse(parameters, params_file), scope_of(nodes, query, node_group)
        reached, manner = targets_of(targets, where), Manners.of(**how)
    except ConfigError as error:
        raise SystemExit(code_of(error)) from None
    carried_out(
        options, lambda client: work(client, task, given, where, reached, manner, noop=noop), starts=True,
        yes=manner.yes,
    )  # fmt: skip


@click.command("run-plan", short_help="Run a plan.")
@click.argument("plan")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@place
@ENVIRONMENT
@click.option(
    "--query", "queries", metavar="KEY=PQL", multiple=True, help="This parameter is the nodes that a query finds."
)
@click.option(
    "--node-group", "groups", metavar="KEY=UUID", multiple=True, help="This parameter is the nodes of a node group."
)
@PARAMS_FILE
@manners
def run_plan(
    plan: str,
    parameters: tuple[str, ...],
    options: Options,
    queries: tuple[str, ...],
    groups: tuple[str, ...],
    params_file: str | None,
    **how: Any,
) -> None:
    """Run a plan; it says what, and asks. Parameters are given as for run-task.

    PE itself looks up the nodes for those given with --query or --node-group (2021.0 and later).

    With --follow it stays to the end: exit code 0 for a success, 3 for a failure.
    """
    from orchbridge.cli.pe.manners import Manners
    from orchbridge.cli.pe.params import Given, lookups_of
    from orchbridge.cli.pe.start import run_plan as work

    try:
        given, manner = Given.parse(parameters, params_file), Manners.of(**how)
        lookups = lookups_of(queries, groups)
    except ConfigError as error:
        raise SystemExit(code_of(error)) from None
    carried_out(options, lambda client: work(client, plan, given, lookups, manner), starts=True, yes=manner.yes)


@click.command(short_help="Run Puppet on nodes.")
@place
@scope
@click.option("--environment", metavar="NAME", default="", help="In this environment; each node's own otherwise.")
@click.option("--noop", is_flag=True, help="Only say what would change.")
@click.option("--no-noop", is_flag=True, help="Change things even on nodes that are set to noop.")
@click.option("--no-enforce-environment", is_flag=True, help="Leave nodes in their own environment all the same.")
@click.option("--concurrency", type=click.IntRange(min=1), help="So many nodes at a time.")
@click.option("--tags", metavar="TAG,TAG", help="Only resources with these tags.")
@click.option("--skip-tags", metavar="TAG,TAG", help="No resources with these tags.")
@click.option("--debug", is_flag=True, help="Have Puppet log at debug level.")
@click.option("--trace", is_flag=True, help="Have Puppet show stack traces.")
@manners
def deploy(
    options: Options,
    nodes: tuple[str, ...],
    query: str | None,
    node_group: str | None,
    environment: str,
    *,
    noop: bool,
    no_noop: bool,
    no_enforce_environment: bool,
    concurrency: int | None,
    tags: str | None,
    skip_tags: str | None,
    debug: bool,
    trace: bool,
    **how: Any,
) -> None:
    """Run Puppet on nodes; it says on how many, and asks.

    With --follow it stays to the end: exit code 0 where the job finished, 3 where it failed or was stopped.
    """
    from orchbridge.cli.pe.manners import Manners
    from orchbridge.cli.pe.scopes import scope_of
    from orchbridge.cli.pe.start import deploy as work
    from orchbridge.orchestrator.api.drafts import RunFlags

    if noop and no_noop:
        both = "--noop and --no-noop exclude each other; nothing was started"
        raise SystemExit(code_of(ConfigError(both, hint="give one of them")))
    try:
        where, manner = scope_of(nodes, query, node_group), Manners.of(environment=environment, **how)
    except ConfigError as error:
        raise SystemExit(code_of(error)) from None
    flags = RunFlags(
        noop=noop or None, no_noop=no_noop or None, concurrency=concurrency, tags=tags, skip_tags=skip_tags,
        debug=debug or None, trace=trace or None,
        enforce_environment=False if no_enforce_environment or not environment else None,
    )  # fmt: skip
    carried_out(options, lambda client: work(client, flags, where, manner), starts=True, yes=manner.yes)


@click.command(short_help="Stop a job.")
@click.argument("id_", metavar="JOB", type=ID)
@place
@click.option("--force", is_flag=True, help="End it at once, without waiting for nodes that are at it.")
@YES
@AS_JSON
def stop(id_: int, options: Options, *, force: bool, yes: bool, as_json: bool) -> None:
    """Stop a job: nodes that are at it finish, the others do not begin. It says how many, and asks."""
    from orchbridge.cli.pe.stop import stop_job

    carried_out(
        options, lambda client: stop_job(client, id_, force=force, yes=yes, as_json=as_json), starts=True, yes=yes
    )


@click.command("stop-plan", short_help="Stop a run of a plan.")
@click.argument("id_", metavar="PLAN-JOB", type=ID)
@place
@YES
@AS_JSON
def stop_plan(id_: int, options: Options, *, yes: bool, as_json: bool) -> None:
    """Stop a run of a plan (a plan job). Jobs that it started go on; `orchbridge pe stop` stops those."""
    from orchbridge.cli.pe.stop import stop_plan as work

    carried_out(options, lambda client: work(client, id_, yes=yes, as_json=as_json), starts=True, yes=yes)


@click.command(short_help="End a scheduled job.")
@click.argument("id_", metavar="SCHEDULE", type=ID)
@place
@YES
@AS_JSON
def unschedule(id_: int, options: Options, *, yes: bool, as_json: bool) -> None:
    """End a scheduled job. PE only disables it, which is for good: a new one has to be made instead."""
    from orchbridge.cli.pe.schedules import unschedule as work

    carried_out(options, lambda client: work(client, id_, yes=yes, as_json=as_json), starts=True, yes=yes)


@click.command("make-target", short_help="Make a task target.")
@click.argument("name")
@place
@click.option("--task", "tasks", metavar="NAME", multiple=True, help="A task that may be run there; repeat as needed.")
@click.option("--all-tasks", is_flag=True, help="Every task may be.")
@click.option("--nodes", metavar="NAME,NAME", multiple=True, help="These nodes; @FILE reads them from a file.")
@click.option("--node-group", "node_groups", metavar="UUID", multiple=True, help="Nodes of this group, too.")
@click.option("--query", metavar="PQL", help="Nodes that this query finds, too.")
@YES
@AS_JSON
def make_target(
    name: str,
    options: Options,
    tasks: tuple[str, ...],
    nodes: tuple[str, ...],
    node_groups: tuple[str, ...],
    query: str | None,
    *,
    all_tasks: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a task target: tasks on nodes, for a role's permission to be narrowed to. It says what, and asks."""
    from orchbridge.cli.pe.scopes import names_of
    from orchbridge.cli.pe.targets import make_target as work

    try:
        names = names_of(nodes) if nodes else ()
    except ConfigError as error:
        raise SystemExit(code_of(error)) from None

    def making(client: Client) -> Coroutine[Any, Any, int]:
        return work(client, name, tasks, names, node_groups, query, all_tasks=all_tasks, yes=yes, as_json=as_json)

    carried_out(options, making, starts=True, yes=yes)


COMMANDS: tuple[click.Command, ...] = (run_task, run_plan, deploy, stop, stop_plan, unschedule, make_target)
