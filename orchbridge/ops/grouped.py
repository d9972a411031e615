"""Failures grouped by their error across jobs and plans: one broken task on 900 nodes is one line with 900."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchbridge.ops.failures import SILENT, ErrorGroup, FailedJob, alike

GROUPS_MAX = 50
EXAMPLES_MAX = 8


@dataclass(frozen=True, slots=True)
class Trouble:
    """One error wherever it was met: `nodes` in all, 0 where only plans met it; `jobs` newest first.

    `of_job` is how many nodes each of the jobs lost to it; `examples` are certnames.
    """

    message: str
    kind: str | None
    nodes: int
    jobs: tuple[FailedJob, ...]
    of_job: tuple[int, ...]
    examples: tuple[str, ...]


def grouped(failures: Iterable[FailedJob]) -> tuple[Trouble, ...]:
    """Return the errors of these failures, the most widespread first, then the newest."""
    found: dict[tuple[str | None, str], list[tuple[FailedJob, ErrorGroup]]] = {}
    for job in sorted(failures, key=lambda failed: -failed.at):
        for error in job.errors or (ErrorGroup(SILENT, None, job.failed_nodes),):
            found.setdefault((error.kind, alike(error.message)), []).append((job, error))
    groups = [_trouble(met) for met in found.values()]
    groups.sort(key=lambda group: (-group.nodes, -group.jobs[0].at))
    return tuple(groups[:GROUPS_MAX])


def _trouble(met: list[tuple[FailedJob, ErrorGroup]]) -> Trouble:
    first = met[0][1]
    by_job: dict[tuple[str, str, int], tuple[FailedJob, int]] = {}
    for job, error in met:
        key = job.source, job.kind, job.id
        by_job[key] = job, by_job.get(key, (job, 0))[1] + error.nodes
    examples = dict.fromkeys(name for _, error in met for name in error.examples)
    return Trouble(
        first.message,
        first.kind,
        sum(error.nodes for _, error in met),
        tuple(job for job, _ in by_job.values()),
        tuple(nodes for _, nodes in by_job.values()),
        tuple(examples)[:EXAMPLES_MAX],
    )


def told(groups: Iterable[Trouble]) -> list[dict[str, Any]]:
    """Return the groups as JSON shows them; the jobs by name only, for they stand with their streams."""
    return [
        {
            "message": group.message,
            "kind": group.kind,
            "nodes": group.nodes,
            "jobs": [
                {"source": job.source, "kind": job.kind, "id": job.id, "nodes": nodes}
                for job, nodes in zip(group.jobs, group.of_job, strict=True)
            ],
            "examples": group.examples,
        }
        for group in groups
    ]
