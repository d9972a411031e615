"""Which endpoints each command asks, by the method of the client: `jobs.list` is `client.jobs.list`.

What starts something also reads the list that will show it, so that it can be found where its answer is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

ASKS: Mapping[str, tuple[str, ...]] = {
    "root": ("root",),
    "status": ("status.services",),
    "jobs": ("jobs.list", "tasks.get"),
    "job": ("jobs.get", "jobs.nodes", "jobs.events", "tasks.get"),
    "plan-jobs": ("plan_jobs.list",),
    "plan-job": ("plan_jobs.get", "plan_jobs.events", "plan_jobs.event"),
    "run-task": (
        *("tasks.get", "inventory.of", "jobs.list", "commands.task", "schedules.list", "schedules.create"),
        *("jobs.get", "jobs.events"),
    ),
    "run-plan": (
        *("plans.get", "plan_jobs.list", "commands.plan_run", "schedules.list", "schedules.create"),
        *("plan_jobs.get", "plan_jobs.events", "plan_jobs.event"),
    ),
    "deploy": (
        *("inventory.of", "jobs.list", "commands.deploy", "schedules.list", "schedules.create"),
        *("jobs.get", "jobs.events"),
    ),
    "stop": ("jobs.get", "commands.stop"),
    "stop-plan": ("plan_jobs.get", "commands.stop_plan"),
    "unschedule": ("schedules.get", "schedules.update", "schedules.delete_old"),
    "tasks": ("tasks.list",),
    "task": ("tasks.get",),
    "plans": ("plans.list",),
    "plan": ("plans.get",),
    "inventory": ("inventory.all", "inventory.of"),
    "schedules": ("schedules.list", "schedules.list_old", "tasks.get"),
    "usage": ("usage.days",),
    "targets": ("scopes.task_targets",),
}
