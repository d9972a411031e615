"""Bodies of commands, and what of them may not be shown (orchestrator API, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.calls import given, stamp
from orchbridge.orchestrator.hidden import Hidden
from orchbridge.orchestrator.models.common import Json, Scope
from orchbridge.orchestrator.models.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """How Puppet runs in a deploy; None leaves it to the server. Most are of 2019.8 and later.

    noop and no_noop exclude each other; timeouts are seconds; tags and skip_tags are comma lists.
    """

    concurrency: int | None = None
    noop: bool | None = None
    no_noop: bool | None = None
    enforce_environment: bool | None = None
    debug: bool | None = None
    trace: bool | None = None
    evaltrace: bool | None = None
    filetimeout: int | None = None
    http_connect_timeout: int | None = None
    http_keepalive_timeout: int | None = None
    http_read_timeout: int | None = None
    ordering: str | None = None
    skip_tags: str | None = None
    tags: str | None = None
    use_cached_catalog: bool | None = None
    usecacheonfailure: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return those that are set, the way the server takes them."""
        return given(**{name: getattr(self, name) for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Draft:
    """A command that starts something. Its repr shows no parameters.

    told      what the thing it starts will tell of itself, for servers that keep no userdata
    """

    template: str
    body: Mapping[str, Any] = field(repr=False)
    hidden: Hidden = field(default_factory=Hidden, repr=False)
    told: Mapping[str, str] = field(default_factory=dict, repr=False)

    def may_be(self, item: Json) -> bool:
        """Whether this thing may be what was started: nothing it tells of itself speaks against it."""
        options = fields.mapping(item.get("options"))
        for name, value in self.told.items():
            shown = fields.environment(item) if name == "environment" else options.get(name, item.get(name))
            if isinstance(shown, str) and shown.removesuffix("::init") != value.removesuffix("::init"):
                return False
        return True


def secret(params: Mapping[str, Any], sensitive: Collection[str] | None) -> Mapping[str, Any]:
    """Return the parameters that may not be shown: all of them where nobody says which."""
    return params if sensitive is None else {name: value for name, value in params.items() if name in sensitive}


def deploy_body(
    environment: str,
    scope: Scope | None,
    flags: RunFlags,
    *,
    description: str,
    timeout: int | None,
    userdata: Mapping[str, Any] | None,
    target: str | None = None,
) -> Draft:
    """Return a Puppet run."""
    body = {
        "environment": environment,
        **given(scope=scope.to_json() if scope else None, target=target),
        **flags.to_json(),
        **given(description=description or None, timeout=timeout, userdata=userdata),
    }
    return Draft("/command/deploy", body, told={"environment": environment, "description": description})


def task_body(
    task: str,
    params: Mapping[str, Any],
    scope: Scope,
    *,
    environment: str,
    targets: Sequence[Target],
    description: str,
    noop: bool | None,
    timeout: int | None,
    userdata: Mapping[str, Any] | None,
    sensitive: Collection[str] | None,
) -> Draft:
    """Return a task to be run."""
    body = {
        "task": task,
        "params": params,
        "scope": scope.to_json(),
        "environment": environment,
        **given(targets=[target.to_json() for target in targets] or None),
        **given(description=description or None, noop=noop, timeout=timeout, userdata=userdata),
    }
    hidden = Hidden(secret(params, sensitive), *(target.secrets() for target in targets))
    told = {"task": task, "environment": environment, "description": description}
    return Draft("/command/task", body, hidden, told)


def plan_body(
    template: str,
    plan_name: str,
    params: Mapping[str, Any],
    *,
    environment: str,
    description: str,
    timeout: int | None,
    userdata: Mapping[str, Any] | None,
    sensitive: Collection[str] | None,
) -> Draft:
    """Return a plan to be run."""
    body = {
        "plan_name": plan_name,
        "params": params,
        "environment": environment,
        **given(description=description or None, timeout=timeout, userdata=userdata),
    }
    told = {"plan_name": plan_name, "environment": environment, "description": description}
    return Draft(template, body, Hidden(secret(params, sensitive)), told)


def scheduled(draft: Draft, template: str, at: datetime, interval_s: int | None) -> Draft:
    """Return the same, to be started later by one of the older schedule commands."""
    repeat = {"interval": {"units": "seconds", "value": interval_s}}
    body = {
        **draft.body,
        "scheduled_time": stamp(at),
        **given(schedule_options=repeat if interval_s is not None else None),
    }
    told = {name: value for name, value in draft.told.items() if name != "plan_name"}
    return Draft(template, body, draft.hidden, {**told, "scheduled_time": stamp(at)})
