"""`pe jobs`, `job`, `plan-jobs` and `plan-job` as click shows them."""

from __future__ import annotations

import click

from orchbridge.cli.pe.options import AS_JSON, FOLLOW, Options, carried_out, place

LIMIT = click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
ID = click.IntRange(min=1)


@click.command(short_help="List jobs, newest first.")
@place
@LIMIT
@click.option("--state", metavar="STATE", help="Only jobs in this state: running, finished, failed, stopped, ...")
@click.option("--type", "type_", type=click.Choice(("deploy", "task", "plan_task")), help="Only jobs of this type.")
@click.option("--task", metavar="NAME", help="Only runs of tasks whose name contains this.")
@click.option("--environment", metavar="NAME", help="Only jobs of this environment.")
@click.option("--owner", metavar="LOGIN", help="Only jobs that this user started.")
@click.option("--plan-job", metavar="ID", type=ID, help="Only jobs that this plan job started.")
@AS_JSON
def jobs(
    options: Options,
    limit: int,
    state: str | None,
    type_: str | None,
    task: str | None,
    environment: str | None,
    owner: str | None,
    plan_job: int | None,
    *,
    as_json: bool,
) -> None:
    """List jobs, newest first, as far as the filters fit."""
    from orchbridge.cli.pe.jobs import Wanted, list_jobs

    wanted = Wanted(limit, state, type_, task, environment, owner, plan_job)
    carried_out(options, lambda client: list_jobs(client, wanted, as_json=as_json))


@click.command(short_help="Show a job; follow it to its end.")
@click.argument("id_", metavar="ID", type=ID)
@place
@FOLLOW
@click.option("--nodes", is_flag=True, help="Show every node of it, with what it said.")
@AS_JSON
def job(id_: int, options: Options, *, follow: bool, nodes: bool, as_json: bool) -> None:
    """Show a job.

    With --follow: its events from the first one, live, until it ends. Then the exit code is 0 where the
    job finished, and 3 where it failed or was stopped. Ctrl-C ends the following (75), not the job.
    """
    from orchbridge.cli.pe.follow import follow_job
    from orchbridge.cli.pe.jobs import show_job

    work = follow_job if follow else show_job
    carried_out(options, lambda client: work(client, id_, nodes=nodes, as_json=as_json))


@click.command(short_help="Show a job's report.")
@click.argument("id_", metavar="ID", type=ID)
@place
@AS_JSON
def report(id_: int, options: Options, *, as_json: bool) -> None:
    """Show the orchestrator's own report of a job: each node's state, and how many events it has."""
    from orchbridge.cli.pe.jobs import show_report

    carried_out(options, lambda client: show_report(client, id_, as_json=as_json))


@click.command("plan-jobs", short_help="List runs of plans, newest first.")
@place
@LIMIT
@click.option("--state", metavar="STATE", help="Only plan jobs in this state: running, success, failure.")
@click.option("--plan", metavar="NAME", help="Only runs of plans whose name contains this.")
@click.option("--owner", metavar="LOGIN", help="Only plan jobs that this user started.")
@AS_JSON
def plan_jobs(
    options: Options, limit: int, state: str | None, plan: str | None, owner: str | None, *, as_json: bool
) -> None:
    """List runs of plans (plan jobs), newest first. Their numbers are counted apart from those of jobs."""
    from orchbridge.cli.pe.plan_jobs import list_plan_jobs

    carried_out(options, lambda client: list_plan_jobs(client, limit, state, plan, owner, as_json=as_json))


@click.command("plan-job", short_help="Show a run of a plan; follow it to its end.")
@click.argument("id_", metavar="ID", type=ID)
@place
@FOLLOW
@AS_JSON
def plan_job(id_: int, options: Options, *, follow: bool, as_json: bool) -> None:
    """Show a run of a plan (a plan job), with the jobs it started and its result.

    With --follow: its events from the first one, live, until it ends. Then the exit code is 0 for a
    success, and 3 for a failure. Ctrl-C ends the following (75), not the plan.
    """
    from orchbridge.cli.pe.plan_jobs import follow_plan_job, show_plan_job

    work = follow_plan_job if follow else show_plan_job
    carried_out(options, lambda client: work(client, id_, as_json=as_json))


COMMANDS: tuple[click.Command, ...] = (jobs, job, report, plan_jobs, plan_job)
