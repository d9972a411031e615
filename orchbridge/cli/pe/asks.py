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
    "report": ("jobs.report", "jobs.get", "tasks.get"),
    "plan-jobs": ("plan_jobs.list",),
    "plan-job": ("plan_jobs.get", "plan_jobs.events", "plan_jobs.event"),
    "run-task": (
        *("tasks.get", "inventory.of", "jobs.list", "commands.task", "jobs.get", "jobs.events"),
        *("schedules.list", "schedules.create", "schedules.list_old", "commands.schedule_task"),
    ),
    "run-plan": (
        *("plans.get", "plan_jobs.list", "commands.plan_run", "commands.environment_plan_run"),
        *("plan_jobs.get", "plan_jobs.events", "plan_jobs.event"),
        *("schedules.list", "schedules.create", "schedules.list_old", "commands.schedule_plan"),
    ),
    "deploy": (
        *("inventory.of", "jobs.list", "commands.deploy", "jobs.get", "jobs.events"),
        *("schedules.list", "schedules.create", "schedules.list_old", "commands.schedule_deploy"),
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
    "target": ("scopes.task_target",),
    "make-target": ("scopes.task_targets", "commands.task_target"),
    "login": ("tokens.login", "tokens.inspect"),
    "token": ("tokens.inspect",),
    "activity": ("activity.events", "activity.events_v1"),
}
