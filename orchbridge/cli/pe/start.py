"""Starting work: said first, asked, sent once, and followed where that is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from orchbridge.cli.exits import CHECK_FAILED, DONE, say
from orchbridge.cli.pe.follow import follow_job
from orchbridge.cli.pe.params import Gathered, Given, gather
from orchbridge.cli.pe.plan_jobs import follow_plan_job
from orchbridge.cli.pe.scopes import absent, words
from orchbridge.cli.pe.session import agreed, telling_if_cut
from orchbridge.cli.pe.telling import PLAIN, Veil, counted, json_line, short, value_of
from orchbridge.cli.pe.timing import Timing, timing_of
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.api.drafts import RunFlags
from orchbridge.orchestrator.api.inputs import DeployInput, Input, PlanInput, TaskInput
from orchbridge.orchestrator.models import Plan, Ref, Scope, Task

NOTHING = "nothing was started"
NAMES_MAX = 5


@dataclass(frozen=True, slots=True)
class Manners:
    """How a command is given: where, as what, and what comes after it."""

    environment: str
    description: str
    timeout: int | None
    follow: bool
    yes: bool
    as_json: bool
    timing: Timing | None = None

    @classmethod
    def of(cls, at: str | None, every: str | None, **how: Any) -> Manners:
        """Take what the options say; raise ConfigError where it contradicts itself."""
        timing = timing_of(at, every)
        if timing is not None and (how["follow"] or how["timeout"]):
            other = "--follow" if how["follow"] else "--timeout"
            raise ConfigError(f"--at and {other} exclude each other; {NOTHING}", hint=f"leave {other} out")
        return cls(**how, timing=timing)


async def run_task(client: Client, name: str, given: Given, scope: Scope, manners: Manners, *, noop: bool) -> int:
    """Run a task on nodes; return the exit code."""
    task = await client.tasks.get(name, manners.environment)
    if noop and not task.supports_noop:
        raise ConfigError(
            f"task {task.name} does not support --noop; {NOTHING}", hint="leave --noop out, or its author can add it"
        )
    gathered = gather(task, given)
    warn(gathered)
    what = f"task {task.name}{' (noop)' if noop else ''}"
    lines = [f"run {what} in {manners.environment} on {words(scope)}{later(manners)}", *_parameters(task, gathered)]
    if not await _wanted(client, lines, scope, yes=manners.yes):
        return CHECK_FAILED
    if manners.timing is not None:
        planned = TaskInput(task.name, gathered.values, scope, noop=noop or None, sensitive=_hidden(task))
        return await _scheduled(client, planned, manners, what)
    made = await _sent(
        lambda: client.commands.task(
            task.name, gathered.values, scope, environment=manners.environment, description=manners.description,
            noop=noop or None, timeout=manners.timeout, sensitive=_hidden(task),
        )
    )  # fmt: skip
    return await _job_begun(client, made, f"{what} on {_size(scope)}", manners, gathered.veil)


async def deploy(client: Client, flags: RunFlags, scope: Scope, manners: Manners) -> int:
    """Run Puppet on nodes; return the exit code."""
    if manners.timing is not None and not manners.environment:
        raise ConfigError(f"a deploy for later needs an environment; {NOTHING}", hint="give --environment NAME")
    how = " (noop)" if flags.noop else ""
    where = f"in {manners.environment}" if manners.environment else "in each node's own environment"
    if not await _wanted(
        client, [f"run Puppet{how} {where} on {words(scope)}{later(manners)}"], scope, yes=manners.yes
    ):
        return CHECK_FAILED
    if manners.timing is not None:
        return await _scheduled(client, DeployInput(scope, flags), manners, f"Puppet{how}")
    made = await _sent(
        lambda: client.commands.deploy(
            manners.environment, scope, flags, description=manners.description, timeout=manners.timeout
        )
    )
    return await _job_begun(client, made, f"Puppet{how} on {_size(scope)}", manners, PLAIN)


async def run_plan(client: Client, name: str, given: Given, manners: Manners) -> int:
    """Run a plan; return the exit code."""
    plan = await client.plans.get(name, manners.environment)
    gathered = gather(plan, given)
    warn(gathered)
    lines = [
        f"run plan {plan.name} in {manners.environment}{later(manners)};"
        " which nodes it works on, its parameters and its code decide",
        *_parameters(plan, gathered),
    ]
    if not agreed(lines, yes=manners.yes, nothing=NOTHING):
        return CHECK_FAILED
    if manners.timing is not None:
        planned = PlanInput(plan.name, gathered.values, sensitive=_hidden(plan))
        return await _scheduled(client, planned, manners, f"plan {plan.name}")
    made = await _sent(
        lambda: client.commands.plan_run(
            plan.name, gathered.values, environment=manners.environment, description=manners.description,
            timeout=manners.timeout, sensitive=_hidden(plan),
        )
    )  # fmt: skip
    begun(made, "plan_job", f"plan {plan.name}", manners)
    if manners.follow:
        return await follow_plan_job(client, made.id, as_json=manners.as_json, veil=gathered.veil, begun=True)
    return DONE


def later(manners: Manners) -> str:
    """Return when it is to be, "" for now."""
    return f", {manners.timing.words()}" if manners.timing is not None else ""


async def _scheduled(client: Client, planned: Input, manners: Manners, what: str) -> int:
    assert manners.timing is not None
    timing = manners.timing
    made = await _sent(
        lambda: client.schedules.create(
            planned, timing.at, environment=manners.environment, interval_s=timing.every_s,
            description=manners.description,
        ),
        "schedules",
    )  # fmt: skip
    begun(made, "schedule", f"{what}, {timing.words()}", manners)
    return DONE


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


async def _wanted(client: Client, lines: list[str], scope: Scope, *, yes: bool) -> bool:
    away = () if yes else await absent(client, scope)
    if away:
        named = ", ".join(away[:NAMES_MAX]) + (f" and {len(away) - NAMES_MAX} more" if len(away) > NAMES_MAX else "")
        lines = [*lines, f"  {len(away)} of them not connected now, which will fail: {named}"]
    return agreed(lines, yes=yes, nothing=NOTHING)


async def _sent(command: Callable[[], Awaitable[Ref]], look: str = "jobs") -> Ref:
    told = (
        f"cut short while the command was on its way, so it may have been carried out: look at `orchbridge pe {look}`"
    )
    with telling_if_cut(told):
        return await command()


async def _job_begun(client: Client, made: Ref, what: str, manners: Manners, veil: Veil) -> int:
    begun(made, "job", what, manners)
    if manners.follow:
        return await follow_job(client, made.id, nodes=False, as_json=manners.as_json, veil=veil, begun=True)
    return DONE


def begun(made: Ref, kind: str, what: str, manners: Manners) -> None:
    """Say what was started, and that it had to be looked for where its answer was lost."""
    noun = kind.replace("_", " ")
    line = f"{noun} {made.id} {'made' if kind == 'schedule' else 'started'}: {what}"
    with telling_if_cut(line):
        if manners.as_json:
            told: dict[str, Any] = {"kind": "started", kind: made.id, "recovered": made.recovered}
            json_line(told)
        else:
            print(line, flush=True)
    if made.recovered:
        say(f"orchbridge: the server's answer was lost; {noun} {made.id} was found by the mark it carries")
    if kind != "schedule" and not manners.follow and not manners.as_json:
        say(f"follow it with `orchbridge pe {kind.replace('_', '-')} {made.id} --follow`")
