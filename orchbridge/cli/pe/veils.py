"""What of a job may be shown, by what its task's author declares."""

from __future__ import annotations

from orchbridge.cli.pe.telling import Veil
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Job


class Veils:
    """Veils for jobs. Each task is asked about once; where that fails, its parameters are not shown."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], frozenset[str] | None] = {}

    async def of(self, job: Job, veil: Veil = Veil()) -> Veil:  # noqa: B008 - frozen
        """Return the veil for a job, over one that is there already."""
        names = frozenset(job.sensitive)
        if job.task is None or not job.options.get("params"):
            return veil.over(names)
        declared = await self._declared(job.task, job.environment or "production")
        return veil.over(names, unknown=True) if declared is None else veil.over(names | declared)

    async def _declared(self, task: str, environment: str) -> frozenset[str] | None:
        key = task, environment
        if key not in self._known:
            try:
                self._known[key] = (await self._client.tasks.get(task, environment)).sensitive
            except errors.ApiError:
                self._known[key] = None
        return self._known[key]
