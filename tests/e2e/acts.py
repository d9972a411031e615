"""What people do to a simulated server while a bridge reads it, over its API and its levers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.oracle import facts

OPS = "the-token-of-ops"
FACTS: Mapping[str, Any] = {"name": "facts", "parameters": {}}


class People:
    """`ops` and others at work; none of them is the bridge."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._schedules = 0
        self.lever("tokens", login="ops", token=OPS)
        nodes = self._asked("GET", "/orchestrator/v1/inventory")["items"]
        self.nodes = [node["name"] for node in nodes if node["connected"]][:3]

    def lever(self, lever: str, /, **body: Any) -> Any:
        return self._asked("POST", f"/sim/{lever}", body)

    def _asked(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method, f"{self._url}{path}", json=body, headers={"X-Authentication": OPS}, timeout=30.0, trust_env=False
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def schedule(self, seconds: float, environment: str = "production", every: int | None = None) -> int:
        """Schedule a task so many seconds ahead; return the schedule's id."""
        self._schedules += 1
        start = datetime.now(UTC) + timedelta(seconds=seconds)
        interval = None if every is None else {"units": "seconds", "value": every}
        body = {
            "type": "task", "environment": environment, "description": f"number {self._schedules}", "userdata": {},
            "input": {**FACTS, "scope": {"nodes": self.nodes}},
            "schedule": {"start_time": start.isoformat(), "interval": interval},
        }  # fmt: skip
        told = self._asked("POST", "/orchestrator/v1/scheduled_jobs/environment_jobs", body)
        return int(told["scheduled_job"]["name"])

    def change(self, schedule: int, **changes: Any) -> None:
        self._asked("PUT", f"/orchestrator/v1/scheduled_jobs/environment_jobs/{schedule}", changes)

    def edit(self) -> None:
        """Do the same twice within a second, which makes two entries that look alike, and something else."""
        for service, subject, type_ in (("classifier", "ada", "edit"),) * 2 + (("code-manager", "deployer", "deploy"),):
            self.lever("activity", service=service, subject=subject, type=type_, message=f"{type_} by {subject}")

    def week(self) -> Iterator[str]:
        """Do one thing after the other; each is named when it is done."""
        renamed, off = self.schedule(86_400), self.schedule(86_400)
        self.schedule(3, environment="staging")
        self.lever("environments", name="staging", present=False)  # it cannot run any more
        yield "planned"
        self.edit()
        yield "edited"
        self.change(renamed, description="renamed")
        self.schedule(1, every=3)
        yield "renamed"
        self.lever("purge", oldest=4)
        self.edit()
        yield "purged"
        newest = max(fact["id"] for fact in facts(self._folder / "truth.log") if fact["fact"] == "job")
        self.lever("restore", to_job=newest - 2)
        yield "restored"
        self.lever("rewind", newest=2)
        self.edit()
        self.change(off, enabled=False)
        self.change(renamed, description="renamed again")
        self.lever("purge", oldest=3)
        yield "disabled"
