"""How much of the estate was used, day by day (orchestrator API, section 11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.models.common import Json


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day. The last four are None where events were left out, or on an older server."""

    date: date | None
    total_nodes: int | None
    nodes_with_agent: int | None
    nodes_without_agent: int | None
    corrective_agent_changes: int | None
    intentional_agent_changes: int | None
    nodes_affected_by_task_runs: int | None
    nodes_affected_by_plan_runs: int | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, told: Json) -> Day:
        """Read a day."""
        count = fields.count
        return cls(
            date=_day(told.get("date")),
            total_nodes=count(told.get("total_nodes")),
            nodes_with_agent=count(told.get("nodes_with_agent")),
            nodes_without_agent=count(told.get("nodes_without_agent")),
            corrective_agent_changes=count(told.get("corrective_agent_changes")),
            intentional_agent_changes=count(told.get("intentional_agent_changes")),
            nodes_affected_by_task_runs=count(told.get("nodes_affected_by_task_runs")),
            nodes_affected_by_plan_runs=count(told.get("nodes_affected_by_plan_runs")),
            raw=told,
        )


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(fields.text(value) or "")
    except ValueError:
        return None
