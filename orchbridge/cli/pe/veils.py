"""What of a job or schedule may be shown, by what its task's author declares."""

from __future__ import annotations

from typing import Any

from orchbridge.cli.pe.telling import Veil
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Job, Schedule


class Veils:
    """Veils for jobs and schedules. Each task is asked about once; where that fails, its parameters are not shown."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], frozenset[str] | None] = {}

    async def of(self, job: Job, veil: Veil = Veil()) -> Veil:  # noqa: B008 - frozen
        """Return the veil for a job, over one that is there already."""
        return await self._over(veil, job.sensitive, job.task, job.environment, job.options.get("params"))

    async def of_schedule(self, schedule: Schedule) -> Veil:
        """Return the veil for a scheduled job."""
        task = schedule.name if schedule.type == "task" else None
        given = schedule.input.get("parameters")
        return await self._over(Veil(), schedule.sensitive, task, schedule.environment, given)

    async def _over(
        self, veil: Veil, sensitive: tuple[str, ...], task: str | None, environment: str | None, given: Any
    ) -> Veil:
        names = frozenset(sensitive)
        if task is None or not given:
            return veil.over(names)
        declared = await self._declared(task, environment or "production")
        return veil.over(names, unknown=True) if declared is None else veil.over(names | declared)

    async def _declared(self, task: str, environment: str) -> frozenset[str] | None:
        key = task, environment
        if key not in self._known:
            try:
                self._known[key] = (await self._client.tasks.get(task, environment)).sensitive
            except errors.ApiError:
                self._known[key] = None
        return self._known[key]
