"""What `check` says of a source's canary: whether it could be sent. None is."""

from __future__ import annotations

from collections.abc import Iterator

from orchbridge.cli import wiring
from orchbridge.cli.canary import Errand
from orchbridge.config import Source
from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import Finding
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Task

SUBJECT = "canary"


async def inspect(source: Source) -> list[Finding]:
    """Ask for the task it runs: one request, and one for its nodes."""
    if source.canary is None:
        return []
    try:
        errand = wiring.errand_of(source.name, source.canary)
        async with Client(wiring.access_of(source)) as client:
            task = await client.tasks.get(errand.task, errand.environment)
            return [_permitted(errand, task), *_fitting(errand, task), *await _reached(client, errand)]
    except errors.NotFound as error:
        hint = "name a task and an environment that are there; it should change nothing on the nodes"
        return [Finding(SUBJECT, "failed", str(error), hint)]
    except OrchbridgeError as error:
        return [Finding(SUBJECT, "failed", str(error), error.hint)]


def _permitted(errand: Errand, task: Task) -> Finding:
    needed = f"tasks:run:{errand.task}"
    if task.permitted:
        return Finding(SUBJECT, "ok", f"the token's user may run {errand.task}")
    if task.permitted is None:
        said = f"this version does not tell whether the token's user may run {errand.task}"
        return Finding(SUBJECT, "warning", said, f"it needs the permission {needed}")
    hint = f"give one of its roles the permission {needed} (Tasks: Run tasks, for this task and these nodes alone)"
    return Finding(SUBJECT, "failed", f"the token's user may not run {errand.task}", hint)


def _fitting(errand: Errand, task: Task) -> Iterator[Finding]:
    """Names alone are told: a value may be a secret."""
    if task.parameters is None:
        return
    declared = {each.name for each in task.parameters}
    strange = sorted(errand.params.keys() - declared)
    lacking = sorted(each.name for each in task.parameters if not each.optional and each.name not in errand.params)
    for names, what in ((strange, "does not take"), (lacking, "needs")):
        if names:
            said = f"{errand.task} {what} {', '.join(names)}"
            yield Finding("canary parameters", "failed", said, "correct canary.params")


async def _reached(client: Client, errand: Errand) -> list[Finding]:
    found = {node.name for node in await client.inventory.of(errand.nodes) if node.connected}
    away = [node for node in errand.nodes if node not in found]
    if not away:
        return [Finding("canary nodes", "ok", f"{len(errand.nodes)} connected")]
    hint = "name nodes that are always there, a server rather than a laptop"
    return [Finding("canary nodes", "warning", f"not connected: {', '.join(away)}", hint)]
