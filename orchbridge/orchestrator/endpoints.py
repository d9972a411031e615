"""Every documented endpoint, as data: where it is, since when, and which method of the client asks it.

Bolt's own commands (plan_start, plan_task, plan_finish) are documented nowhere, so they are not wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    path      below the service's root: /orchestrator/v1, or as written where it begins with a service's name
    since     the first release of PE that has it, "" where nobody says; `deprecated` the first that
              advises against it
    section   of the orchestrator API reference
    call      the client's method: `jobs.list` is `client.jobs.list`
    """

    method: str
    path: str
    since: str
    section: str
    call: str
    deprecated: str = ""


ENDPOINTS = (
    Endpoint("GET", "/", "2016.2", "4", "root"),
    Endpoint("GET", "/status/v1/services", "", "4", "status.services"),
    Endpoint("GET", "/status/v1/services/:name", "", "4", "status.service"),
    Endpoint("GET", "/status/v1/simple", "", "4", "status.simple"),
    Endpoint("GET", "/status/v1/simple/:name", "", "4", "status.simple"),
    Endpoint("POST", "/command/deploy", "2016.2", "5", "commands.deploy"),
    Endpoint("POST", "/command/stop", "2016.2", "5", "commands.stop"),
    Endpoint("POST", "/command/task", "2017.3", "5", "commands.task"),
    Endpoint("POST", "/command/plan_run", "2019.2", "5", "commands.plan_run"),
    Endpoint("POST", "/command/environment_plan_run", "2021.0", "5", "commands.environment_plan_run"),
    Endpoint("POST", "/command/stop_plan", "2021.7.1", "5", "commands.stop_plan"),
    Endpoint("POST", "/command/task_target", "2019.4", "5", "commands.task_target"),
    Endpoint("POST", "/command/schedule_task", "2018.1.5", "5", "commands.schedule_task", deprecated="2021.7.0"),
    Endpoint("POST", "/command/schedule_deploy", "2019.8", "5", "commands.schedule_deploy", deprecated="2021.7.0"),
    Endpoint("POST", "/command/schedule_plan", "2019.8.3", "5", "commands.schedule_plan", deprecated="2021.7.0"),
    Endpoint("GET", "/jobs", "2016.2", "6.1", "jobs.list"),
    Endpoint("GET", "/jobs/:id", "2016.2", "6.2", "jobs.get"),
    Endpoint("GET", "/jobs/:id/nodes", "2016.2", "6.3", "jobs.nodes"),
    Endpoint("GET", "/jobs/:id/report", "2016.2", "6.4", "jobs.report"),
    Endpoint("GET", "/jobs/:id/events", "2016.2", "6.5", "jobs.events"),
    Endpoint("GET", "/plan_jobs", "2018.1", "7", "plan_jobs.list"),
    Endpoint("GET", "/plan_jobs/:id", "2018.1", "7", "plan_jobs.get"),
    Endpoint("GET", "/plan_jobs/:id/events", "2019.2", "7", "plan_jobs.events"),
    Endpoint("GET", "/plan_jobs/:id/event/:event", "2019.4", "7", "plan_jobs.event"),
    Endpoint("GET", "/tasks", "2017.3", "8", "tasks.list"),
    Endpoint("GET", "/tasks/:module/:task", "2017.3", "8", "tasks.get"),
    Endpoint("GET", "/plans", "2019.2", "8", "plans.list"),
    Endpoint("GET", "/plans/:module/:plan", "2019.2", "8", "plans.get"),
    Endpoint("GET", "/inventory", "2016.5", "9", "inventory.all"),
    Endpoint("GET", "/inventory/:node", "2016.5", "9", "inventory.one"),
    Endpoint("POST", "/inventory", "2016.5", "9", "inventory.of"),
    Endpoint("GET", "/scheduled_jobs/environment_jobs", "2021.7.0", "10", "schedules.list"),
    Endpoint("POST", "/scheduled_jobs/environment_jobs", "2021.7.0", "10", "schedules.create"),
    Endpoint("GET", "/scheduled_jobs/environment_jobs/:id", "2021.7.0", "10", "schedules.get"),
    Endpoint("PUT", "/scheduled_jobs/environment_jobs/:id", "2021.7.0", "10", "schedules.update"),
    Endpoint("GET", "/scheduled_jobs", "2018.1.5", "10", "schedules.list_old", deprecated="2021.7.0"),
    Endpoint("DELETE", "/scheduled_jobs/:id", "2018.1.5", "10", "schedules.delete_old", deprecated="2021.7.0"),
    Endpoint("GET", "/usage", "2019.0", "11", "usage.days"),
    Endpoint("GET", "/scopes/task_targets", "2019.4", "12", "scopes.task_targets"),
    Endpoint("GET", "/scopes/task_targets/:id", "2019.4", "12", "scopes.task_target"),
    Endpoint("POST", "/rbac-api/v1/auth/token", "", "14", "tokens.login"),
    Endpoint("POST", "/rbac-api/v1/tokens", "", "14", "tokens.renew"),
    Endpoint("POST", "/rbac-api/v2/auth/token/authenticate", "", "14", "tokens.inspect"),
    Endpoint("DELETE", "/rbac-api/v2/tokens", "", "14", "tokens.revoke"),
    Endpoint("DELETE", "/rbac-api/v2/tokens/:token", "", "14", "tokens.revoke_one"),
    Endpoint("GET", "/activity-api/v1/events", "", "15", "activity.events_v1"),
    Endpoint("GET", "/activity-api/v2/events", "", "15", "activity.events"),
)

# Methods that are made of others: they ask several endpoints, or one in a particular way.
COMPOSED = ("jobs.follow", "plan_jobs.follow", "schedules.disable")
