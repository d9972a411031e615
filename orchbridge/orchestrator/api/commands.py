"""Commands: start and stop work (orchestrator API, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.drafts import Draft, RunFlags, deploy_body, plan_body, scheduled, task_body
from orchbridge.orchestrator.api.shelves import JOBS, OLD_SCHEDULES, PLAN_JOBS, SCHEDULES_OF_OLD, TASK_TARGETS
from orchbridge.orchestrator.api.starting import made_id, start
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import encoded, given, send
from orchbridge.orchestrator.models import Ref, Scope, Stopped, Target
from orchbridge.orchestrator.refusals import malformed

RUN = RunFlags()


class Commands:
    """`client.commands`.

    What starts something is sent once. Where its answer is lost, what it started is looked for and
    returned with `recovered`; else NotStarted is raised where it may be sent again, and Uncertain
    where it may not. A time is an aware datetime (else ValueError), a timeout seconds.

    `sensitive` names the parameters whose values no error may repeat, as `client.tasks` and
    `client.plans` tell them; without it no error repeats any parameter's value.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def deploy(
        self,
        environment: str,
        scope: Scope | None = None,
        flags: RunFlags = RUN,
        *,
        description: str = "",
        timeout: int | None = None,  # noqa: ASYNC109 - the server's, for each node
        userdata: Mapping[str, Any] | None = None,
        target: str | None = None,
    ) -> Ref:
        """Run Puppet; return the job. Needs puppet_agent:run:*.

        environment  "" leaves each node in its own; then enforce_environment is false and there is a scope
        timeout      per node (2023 and later); userdata since 2021.0; target is the form of 2016.2

        Raises UnknownEnvironment, EmptyTarget, QueryRefused, NotPermitted.
        """
        draft = deploy_body(
            environment, scope, flags, description=description, timeout=timeout, userdata=userdata, target=target
        )
        return await start(self._caller, draft, JOBS)

    async def task(
        self,
        task: str,
        params: Mapping[str, Any],
        scope: Scope,
        *,
        environment: str = "production",
        targets: Sequence[Target] = (),
        description: str = "",
        noop: bool | None = None,
        timeout: int | None = None,  # noqa: ASYNC109 - the server's, for each node
        userdata: Mapping[str, Any] | None = None,
        sensitive: Collection[str] | None = None,
    ) -> Ref:
        """Run a task; return the job. Needs tasks:run for it; since 2017.3.

        task     module::name, or the module alone for its own task
        targets  how agentless nodes of the scope are reached
        Nodes the user may not run it on are left out without a word.

        Raises UnknownTask, UnknownEnvironment, Invalid (parameters), EmptyTarget, QueryRefused, NotPermitted.
        """
        draft = task_body(
            task, params, scope, environment=environment, targets=targets, description=description, noop=noop,
            timeout=timeout, userdata=userdata, sensitive=sensitive,
        )  # fmt: skip
        del params, targets, userdata  # a traceback may show what is still in a frame
        return await start(self._caller, draft, JOBS)

    async def stop(self, job: int, *, force: bool | None = None) -> Stopped:
        """Stop a job; return its nodes by state. Done twice it does nothing more, so it is repeated if need be.

        Without `force` (2021.7) what runs ends by itself, and the job is `stopping` until then.
        Needs orchestrator:view:*. Raises UnknownJob.
        """
        call = send("/command/stop", content=encoded({"job": str(job), **given(force=force)}), again=True)
        told = fields.mapping((await self._caller.told(call)).get("job"))
        return Stopped(job, fields.counts(told.get("nodes")) or {})

    async def stop_plan(self, plan_job: int) -> Ref:
        """Interrupt a plan job; the jobs it started go on (2021.7.1). May be done twice. Raises UnknownJob."""
        call = send("/command/stop_plan", content=encoded({"plan_job": str(plan_job)}), again=True)
        made = made_id(await self._caller.reply(call))
        if made is None:
            raise malformed(call, "the answer names no plan job")
        return Ref(made)

    async def plan_run(
        self,
        plan_name: str,
        params: Mapping[str, Any],
        *,
        environment: str = "production",
        description: str = "",
        timeout: int | None = None,  # noqa: ASYNC109 - the server's
        userdata: Mapping[str, Any] | None = None,
        sensitive: Collection[str] | None = None,
    ) -> Ref:
        """Run a plan; return the plan job, whose id is no job's. Needs plans:run for it; since 2019.2.

        Raises UnknownPlan, UnknownEnvironment, Invalid, NotPermitted.
        """
        draft = plan_body(
            "/command/plan_run", plan_name, params, environment=environment, description=description,
            timeout=timeout, userdata=userdata, sensitive=sensitive,
        )  # fmt: skip
        del params, userdata
        return await start(self._caller, draft, PLAN_JOBS)

    async def environment_plan_run(
        self,
        plan_name: str,
        params: Mapping[str, Mapping[str, Any]],
        *,
        environment: str = "production",
        description: str = "",
        timeout: int | None = None,  # noqa: ASYNC109 - the server's
        userdata: Mapping[str, Any] | None = None,
        sensitive: Collection[str] | None = None,
    ) -> Ref:
        """Run a plan whose parameters may be queries; return the plan job (2021.0).

        params  {name: {"value": any, "type"?: "query" | "node_group"}}; PQL and node groups become certnames

        Raises what `plan_run` raises, and QueryRefused.
        """
        draft = plan_body(
            "/command/environment_plan_run", plan_name, params, environment=environment, description=description,
            timeout=timeout, userdata=userdata, sensitive=sensitive,
        )  # fmt: skip
        del params, userdata
        return await start(self._caller, draft, PLAN_JOBS)

    async def task_target(
        self,
        display_name: str,
        *,
        nodes: Sequence[str] = (),
        node_groups: Sequence[str] = (),
        tasks: Sequence[str] = (),
        all_tasks: bool = False,
        pql_query: str | None = None,
    ) -> Ref:
        """Make a task target: tasks a permission can be narrowed to, on nodes (2019.4). Raises Invalid.

        Names need not be unique, and it cannot be deleted through this API.
        """
        which: Mapping[str, Any] = {"all_tasks": True} if all_tasks else {"tasks": list(tasks)}
        body = {
            "display_name": display_name,
            **which,
            "nodes": list(nodes),
            "node_groups": list(node_groups),
            **given(pql_query=pql_query),
        }
        draft = Draft("/command/task_target", body, told={"display_name": display_name})
        return await start(self._caller, draft, TASK_TARGETS)

    async def schedule_deploy(
        self,
        environment: str,
        scope: Scope | None,
        scheduled_time: datetime,
        flags: RunFlags = RUN,
        *,
        interval_s: int | None = None,
        description: str = "",
        userdata: Mapping[str, Any] | None = None,
    ) -> Ref:
        """Run Puppet later, every `interval_s` if given; return the scheduled job (2019.8, gone since 2021.7).

        Raises PastTime, and what `deploy` raises. Newer servers: `client.schedules.create`.
        """
        plain = deploy_body(environment, scope, flags, description=description, timeout=None, userdata=userdata)
        draft = scheduled(plain, "/command/schedule_deploy", scheduled_time, interval_s)
        return await start(self._caller, draft, SCHEDULES_OF_OLD, OLD_SCHEDULES)

    async def schedule_task(
        self,
        task: str,
        params: Mapping[str, Any],
        scope: Scope,
        scheduled_time: datetime,
        *,
        interval_s: int | None = None,
        environment: str = "production",
        targets: Sequence[Target] = (),
        description: str = "",
        noop: bool | None = None,
        userdata: Mapping[str, Any] | None = None,
        sensitive: Collection[str] | None = None,
    ) -> Ref:
        """Run a task later; return the scheduled job (2018.1, gone since 2021.7). Raises PastTime and as `task`."""
        plain = task_body(
            task, params, scope, environment=environment, targets=targets, description=description, noop=noop,
            timeout=None, userdata=userdata, sensitive=sensitive,
        )  # fmt: skip
        del params, targets, userdata
        draft = scheduled(plain, "/command/schedule_task", scheduled_time, interval_s)
        return await start(self._caller, draft, SCHEDULES_OF_OLD, OLD_SCHEDULES)

    async def schedule_plan(
        self,
        plan_name: str,
        params: Mapping[str, Any],
        scheduled_time: datetime,
        *,
        interval_s: int | None = None,
        environment: str = "production",
        description: str = "",
        userdata: Mapping[str, Any] | None = None,
        sensitive: Collection[str] | None = None,
    ) -> Ref:
        """Run a plan later; return the scheduled job (2019.8, gone since 2021.7). Raises PastTime and as `plan_run`."""
        plain = plan_body(
            "", plan_name, params, environment=environment, description=description, timeout=None, userdata=userdata,
            sensitive=sensitive,
        )  # fmt: skip
        del params, userdata
        draft = scheduled(plain, "/command/schedule_plan", scheduled_time, interval_s)
        return await start(self._caller, draft, SCHEDULES_OF_OLD, OLD_SCHEDULES)
