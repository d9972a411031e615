"""What to do about each kind of refusal, in one sentence for the person who reads it (orchestrator API, section 2)."""

from __future__ import annotations

from collections.abc import Mapping

from orchbridge.orchestrator.calls import Call
from orchbridge.orchestrator.endpoints import ENDPOINTS
from orchbridge.orchestrator.failures import PERMISSION

HINTS: Mapping[str, str] = {
    "unknown-job": "check the number: jobs and plan jobs are counted apart, and both are deleted after a while,"
    " 30 days by default",
    "unknown-task": "check its spelling (module::name) and the environment: a task exists where its module is deployed;"
    " `orchbridge pe tasks` lists them",
    "unknown-plan": "check its spelling (module::name) and the environment: a plan exists where its module is deployed;"
    " `orchbridge pe plans` lists them",
    "unknown-environment": "check its spelling; if it is new, deploy it first: puppet code deploy ENVIRONMENT --wait",
    "unknown-task-target": "list the task targets there are; one that was deleted has to be made again",
    "mismatched-job-event-id": "ask for this event under the plan job it belongs to",
    "empty-target": "nothing matches the scope: check the certnames, the query or the node group, and that the nodes"
    " are known to PuppetDB",
    "empty-environment": "name an environment, or give a scope and set enforce_environment to false",
    "unknown-target": "application targets are gone from newer servers: name nodes, a query or a node group",
    "dependency-cycle": "the applications of this environment depend on each other in a circle: mend the Puppet code",
    "puppetdb-error": "PuppetDB did not answer the orchestrator: look at its service, then try again",
    "query-error": "check the PQL (or the parameters of the list), and that the token's user has the permission"
    " Nodes: View node data from PuppetDB (nodes:view_data:*)",
    "invalid-time": "the time has passed: give one in the future, with its zone, and compare the clocks of both"
    " machines",
    "disabled-scheduled-job": "disabling is for good: make a new scheduled job instead",
    "plan-already-finished": "the plan job has ended; look at its result",
    "malformed-request": "the server could not read the request; if its address is right, this is a fault of ours",
    "schema-violation": "a value has the wrong form: compare the details with what the setting takes",
    "non-unique-lookup-attr": "several directory users have this login: log in with a name that only one has",
    "user-revoked": "the user is revoked: reinstate it in the console",
    "api-user-login": "this account is made for certificates and cannot log in: use another one",
    "remote-user-conflict": "a local user has the same login as this directory user: rename one of them",
    "conflict": "something with this name exists already",
    "server-error": "the console services are starting or away; try again in a minute",
}
_PERMISSIONS: Mapping[str, str] = {
    "/command/deploy": "Puppet agent: Run Puppet on agent nodes (puppet_agent:run:*)",
    "/command/task": "Tasks: Run tasks (tasks:run:*, or this task), and let its task target cover these nodes",
    "/command/plan_run": "Plans: Run plans (plans:run:*, or this plan)",
    "/command/environment_plan_run": "Plans: Run plans (plans:run:*, or this plan)",
    "/command/schedule_deploy": "Puppet agent: Run Puppet on agent nodes (puppet_agent:run:*)",
    "/command/schedule_task": "Tasks: Run tasks (tasks:run:*, or this task)",
    "/command/schedule_plan": "Plans: Run plans (plans:run:*, or this plan)",
    "POST /scheduled_jobs/environment_jobs": "to run what is scheduled: Tasks: Run tasks, Plans: Run plans or Puppet"
    " agent: Run Puppet on agent nodes",
    "/scheduled_jobs/:id": "Job orchestrator: Delete another user's scheduled jobs",
    "/scheduled_jobs/environment_jobs/:id": "Job orchestrator: Delete another user's scheduled jobs",
}
_QUERIES: Mapping[str, str] = {
    "/scheduled_jobs/environment_jobs": f"the token's user needs {PERMISSION} and nodes:view_data:*; order_by is one of"
    " next_run_time, environment, owner, name and type; type one of deploy, task and plan",
    "/scheduled_jobs/environment_jobs/:id": "check the number: there is none, or it was disabled, which is for good",
}
_VALUES: Mapping[str, str] = {
    "/tasks/:module/:task": "a task is named module::name, or by its module alone; `orchbridge pe tasks` lists them",
    "/plans/:module/:plan": "a plan is named module::name, or by its module alone; `orchbridge pe plans` lists them",
    "/command/task": "compare the parameters with the task's own: `orchbridge pe task NAME` shows their names and"
    " types; one that is not declared there is refused",
    "/command/plan_run": "compare the parameters with the plan's own: their names and types",
    "/command/environment_plan_run": 'write each parameter as {"value": ...}, and compare them with the plan\'s own',
    "/command/deploy": "noop and no_noop exclude each other, and the scope takes one of nodes, query and node_group"
    " (PE has scopes since 2016.4, node_group since 2018.1)",
    "/command/stop": "a job is named by its number",
    "/command/stop_plan": "a plan job is named by its number",
    "/jobs": "a task filter and type=deploy exclude each other; older versions refuse filters they do not know",
    "/usage": "give both days as YYYY-MM-DD, the end not before the start",
}


def hint_for(word: str, status: int, call: Call) -> str:
    """Return what to do about an error of this kind (without its prefix) that a call was answered with."""
    endpoint = call.request.endpoint
    if word in {"not-permitted", "permission-denied"} or status == 403:
        wanted = _PERMISSIONS.get(str(call)) or _PERMISSIONS.get(endpoint) or PERMISSION
        return f"give a role of the token's user the permission {wanted}"
    if word == "query-error" and str(call) != "POST /scheduled_jobs/environment_jobs" and endpoint in _QUERIES:
        return _QUERIES[endpoint]
    if word in HINTS:
        return HINTS[word]
    if status >= 500 and endpoint.startswith("/inventory"):
        return (
            "the PCP broker cannot be reached, so it is unknown which nodes are connected: look at"
            " pe-orchestration-services, then try again"
        )
    if status >= 500:
        return "the server failed: look at /var/log/puppetlabs/orchestration-services, then try again"
    if status == 404 and word:
        return "check the name or number: there is none like it"
    if status == 404 and endpoint.startswith("/status/"):
        return "there is no service of this name; the list of services has them all"
    if status == 404:
        return _absent(call)
    if status == 429:
        return "ask more slowly"
    return _VALUES.get(endpoint, "check the values against what this version of PE takes")


def _absent(call: Call) -> str:
    """Say which versions have the route that this server has not."""
    for each in ENDPOINTS:
        if (each.method, each.path) == (call.request.method, call.request.endpoint) and each.since:
            return f"no such route here: PE has it since {each.since}; or the url leads past the orchestrator"
    return "this version of PE has no such route, or the url leads past the orchestrator"
