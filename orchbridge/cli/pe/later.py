"""Work for later: a scheduled job, of the newer API or of the one before."""

from __future__ import annotations

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.manners import Manners, begun, sent
from orchbridge.cli.pe.timing import Timing
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.api.inputs import DeployInput, Input, PlanInput, TaskInput
from orchbridge.orchestrator.models import Ref


async def scheduled(client: Client, planned: Input, manners: Manners, timing: Timing, what: str) -> int:
    """Make a scheduled job; return the exit code."""
    made = await sent(lambda: _made(client, planned, manners, timing), "schedules")
    begun(made, "schedule", f"{what}, {timing.words()}", manners)
    return DONE


async def _made(client: Client, planned: Input, manners: Manners, timing: Timing) -> Ref:
    try:
        return await client.schedules.create(
            planned, timing.at, environment=manners.environment, interval_s=timing.every_s,
            description=manners.description,
        )  # fmt: skip
    except errors.Unsupported as newer:
        return await _of_old(client, planned, manners, timing, newer)


async def _of_old(client: Client, planned: Input, manners: Manners, timing: Timing, newer: errors.ApiError) -> Ref:
    """Make it by the commands that PE 2018.1 to 2021.6 have for it."""
    environment, at, every, said = manners.environment, timing.at, timing.every_s, manners.description
    match planned:
        case DeployInput(scope, flags):
            return await client.commands.schedule_deploy(
                environment, scope, at, flags, interval_s=every, description=said
            )
        case TaskInput():
            return await client.commands.schedule_task(
                planned.name, planned.parameters, planned.scope, at, environment=environment, interval_s=every,
                description=said, targets=planned.targets, noop=planned.noop, sensitive=planned.sensitive,
            )  # fmt: skip
        case PlanInput():
            if planned.lookups:
                raise newer
            return await client.commands.schedule_plan(
                planned.name, planned.parameters, at, environment=environment, interval_s=every, description=said,
                sensitive=planned.sensitive,
            )  # fmt: skip
