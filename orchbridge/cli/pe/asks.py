"""Which endpoints each command asks, by the method of the client: `jobs.list` is `client.jobs.list`."""

from __future__ import annotations

from collections.abc import Mapping

ASKS: Mapping[str, tuple[str, ...]] = {
    "root": ("root",),
    "status": ("status.services",),
    "jobs": ("jobs.list", "tasks.get"),
    "job": ("jobs.get", "jobs.nodes", "jobs.events", "tasks.get"),
    "plan-jobs": ("plan_jobs.list",),
    "plan-job": ("plan_jobs.get", "plan_jobs.events", "plan_jobs.event"),
    "run-task": ("tasks.get", "inventory.of", "commands.task", "schedules.create", "jobs.get", "jobs.events"),
    "run-plan": ("plans.get", "commands.plan_run", "schedules.create", "plan_jobs.get", "plan_jobs.events"),
    "deploy": ("inventory.of", "commands.deploy", "schedules.create", "jobs.get", "jobs.events"),
    "stop": ("jobs.get", "commands.stop"),
    "stop-plan": ("plan_jobs.get", "commands.stop_plan"),
    "unschedule": ("schedules.get", "schedules.update", "schedules.delete_old"),
    "tasks": ("tasks.list",),
    "task": ("tasks.get",),
    "plans": ("plans.list",),
    "plan": ("plans.get",),
    "inventory": ("inventory.all", "inventory.of"),
    "schedules": ("schedules.list", "schedules.list_old"),
    "usage": ("usage.days",),
    "targets": ("scopes.task_targets",),
}
