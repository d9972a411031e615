"""Starting work: said first, asked, sent once, and followed where that is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

from orchbridge.cli.exits import CHECK_FAILED, DONE, say
from orchbridge.cli.pe.agentless import hosts, secrets
from orchbridge.cli.pe.follow import follow_job
from orchbridge.cli.pe.later import scheduled
from orchbridge.cli.pe.manners import NOTHING, Manners, begun, later, sent
from orchbridge.cli.pe.params import Gathered, Given, Lookups, gather
from orchbridge.cli.pe.plan_jobs import follow_plan_job
from orchbridge.cli.pe.scopes import absent, words
from orchbridge.cli.pe.session import agreed
from orchbridge.cli.pe.telling import PLAIN, Veil, counted, short, value_of
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.api.drafts import RunFlags
from orchbridge.orchestrator.api.inputs import DeployInput, PlanInput, TaskInput
from orchbridge.orchestrator.models import Plan, Ref, Scope, Target, Task

NAMES_MAX = 5


async def run_task(
    client: Client, name: str, given: Given, scope: Scope, targets: Sequence[Target], manners: Manners, *, noop: bool
) -> int:
    """Run a task on nodes, those of `targets` without an agent; return the exit code."""
    task = await client.tasks.get(name, manners.environment)
    if noop and not task.supports_noop:
        raise ConfigError(
            f"task {task.name} does not support --noop; {NOTHING}", hint="leave --noop out, or its author can add it"
        )
    gathered = gather(task, given)
    warn(gathered)
    what = f"task {task.name}{' (noop)' if noop else ''}"
    lines = [f"run {what} in {manners.environment} on {words(scope)}{later(manners)}", *_parameters(task, gathered)]
    if not await _wanted(client, lines, scope, targets, yes=manners.yes):
        return CHECK_FAILED
    if manners.timing is not None:
        planned = TaskInput(
            task.name, gathered.values, scope, targets=targets, noop=noop or None, sensitive=_hidden(task)
        )
        return await scheduled(client, planned, manners, manners.timing, what)
    made = await sent(
        lambda: client.commands.task(
            task.name, gathered.values, scope, environment=manners.environment, description=manners.description,
            noop=noop or None, timeout=manners.timeout, sensitive=_hidden(task), targets=targets,
        )
    )  # fmt: skip
    veil = replace(gathered.veil, secrets=(*gathered.veil.secrets, *secrets(targets)))
    return await _job_begun(client, made, f"{what} on {_size(scope)}", manners, veil)


async def deploy(client: Client, flags: RunFlags, scope: Scope, manners: Manners) -> int:
    """Run Puppet on nodes; return the exit code."""
    if manners.timing is not None and not manners.environment:
        raise ConfigError(f"a deploy for later needs an environment; {NOTHING}", hint="give --environment NAME")
    how = " (noop)" if flags.noop else ""
    where = f"in {manners.environment}" if manners.environment else "in each node's own environment"
    if not await _wanted(
        client, [f"run Puppet{how} {where} on {words(scope)}{later(manners)}"], scope, (), yes=manners.yes
    ):
        return CHECK_FAILED
    if manners.timing is not None:
        return await scheduled(client, DeployInput(scope, flags), manners, manners.timing, f"Puppet{how}")
    made = await sent(
        lambda: client.commands.deploy(
            manners.environment, scope, flags, description=manners.description, timeout=manners.timeout
        )
    )
    return await _job_begun(client, made, f"Puppet{how} on {_size(scope)}", manners, PLAIN)


async def run_plan(client: Client, name: str, given: Given, lookups: Lookups, manners: Manners) -> int:
    """Run a plan; return the exit code. `lookups` are the parameters that become lists of nodes."""
    plan = await client.plans.get(name, manners.environment)
    gathered = gather(plan, given, frozenset(lookups))
    warn(gathered)
    lines = [
        f"run plan {plan.name} in {manners.environment}{later(manners)};"
        " which nodes it works on, its parameters and its code decide",
        *_parameters(plan, gathered),
        *(
            f"  {name}: the nodes of {how['type'].replace('_', ' ')} {short(how['value'], 200)}"
            for name, how in lookups.items()
        ),
    ]
    if not agreed(lines, yes=manners.yes, nothing=NOTHING):
        return CHECK_FAILED
    if manners.timing is not None:
        planned = PlanInput(plan.name, gathered.values, lookups, sensitive=_hidden(plan))
        return await scheduled(client, planned, manners, manners.timing, f"plan {plan.name}")
    made = await sent(lambda: _plan(client, plan, gathered, lookups, manners), "plan-jobs")
    begun(made, "plan_job", f"plan {plan.name}", manners)
    if manners.follow:
        return await follow_plan_job(client, made.id, as_json=manners.as_json, veil=gathered.veil, begun=True)
    return DONE


def _plan(client: Client, plan: Plan, gathered: Gathered, lookups: Lookups, manners: Manners) -> Awaitable[Ref]:
    how: dict[str, Any] = {
        "environment": manners.environment, "description": manners.description, "timeout": manners.timeout,
        "sensitive": _hidden(plan),
    }  # fmt: skip
    if not lookups:
        return client.commands.plan_run(plan.name, gathered.values, **how)
    wrapped = {name: {"value": value} for name, value in gathered.values.items()}
    return client.commands.environment_plan_run(plan.name, {**wrapped, **lookups}, **how)


def warn(gathered: Gathered) -> None:
    """Say where a secret stood on the command line."""
    for name in gathered.clear:
        say(
            f"orchbridge: warning: {name} is sensitive, and stood on the command line, where others on this machine"
            f" and the shell's history can see it; give {name}=@FILE, or {name}=- to be asked"
        )


def _hidden(what: Task | Plan) -> frozenset[str] | None:
    """Return whose values no error may repeat; None is all, where the author declares nothing."""
    return None if what.parameters is None else what.sensitive


def _parameters(what: Task | Plan, gathered: Gathered) -> list[str]:
    """Return the line that shows the parameters; those that are sensitive, or not declared, masked."""
    shown = gathered.veil.value(what.shown(gathered.values))
    return (
        [f"  with {', '.join(f'{name}={short(value_of(value), 60)}' for name, value in shown.items())}"]
        if shown
        else []
    )


def _size(scope: Scope) -> str:
    return counted(len(scope.nodes), "node") if scope.nodes is not None else "the nodes of its scope"


async def _wanted(client: Client, lines: list[str], scope: Scope, targets: Sequence[Target], *, yes: bool) -> bool:
    without = hosts(targets)
    lines = [
        *lines,
        *([f"  {len(without)} of them without an agent: {', '.join(sorted(without)[:NAMES_MAX])}"] if without else []),
    ]
    away = () if yes else tuple(name for name in await absent(client, scope) if name not in without)
    if away:
        named = ", ".join(away[:NAMES_MAX]) + (f" and {len(away) - NAMES_MAX} more" if len(away) > NAMES_MAX else "")
        lines = [*lines, f"  {len(away)} of them not connected now, which will fail: {named}"]
    return agreed(lines, yes=yes, nothing=NOTHING)


async def _job_begun(client: Client, made: Ref, what: str, manners: Manners, veil: Veil) -> int:
    begun(made, "job", what, manners)
    if manners.follow:
        return await follow_job(client, made.id, nodes=False, as_json=manners.as_json, veil=veil, begun=True)
    return DONE
