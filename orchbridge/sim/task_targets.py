"""Task targets: which tasks may be run on which nodes by those who have the right for that alone (reference 5, 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchbridge.sim.world import World


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """One task target. A query or node groups stand for every node there is."""

    id: int
    display_name: str
    all_tasks: bool
    tasks: tuple[str, ...]
    nodes: tuple[str, ...]
    node_groups: tuple[str, ...]
    pql_query: str | None = None

    def allows(self, task: str) -> bool:
        """Whether this task may be run."""
        return self.all_tasks or task in self.tasks

    def nodes_now(self, world: World) -> set[str]:
        """Return the certnames it holds now."""
        rest = world.agents if self.node_groups or self.pql_query else ()
        return {*self.nodes, *rest}
