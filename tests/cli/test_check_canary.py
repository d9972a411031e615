"""What `check` says of a canary: whether its task is there and permitted; none is sent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from orchbridge.cli.check import canary
from orchbridge.config import Canary, Source
from orchbridge.core.ports import Finding
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.people import made
from orchbridge.sim.serve import served
from orchbridge.sim.world import World


async def found(
    canary_: dict[str, Any], permissions: set[str] | None = None, **knobs: str
) -> tuple[dict[str, Finding], World]:
    world = World("empty:nodes=3", knobs=Knobs(**knobs), start=time.time())
    world.advance(0.0)
    nodes = sorted(world.agents)[:2]
    async with served(world, token="letmein") as url:
        token = "letmein"
        if permissions is not None:
            user = made("limited", permissions)
            world.people.users["limited"] = user
            token = world.people.issue(user, 3600.0, 0.0).text
        table = Canary.model_validate({"task": "facts", "nodes": nodes, **canary_})
        source = Source.model_validate({"name": "prod", "url": url, "token": token, "canary": table})
        findings = {each.subject: each for each in await canary.inspect(source)}
    assert not any("command" in name for name in world.requests), "nothing is started"
    assert all(each.hint for each in findings.values() if each.level != "ok")
    return findings, world


async def test_it_may_be_sent() -> None:
    findings, _ = await found({})
    assert {subject: each.level for subject, each in findings.items()} == {"canary": "ok", "canary nodes": "ok"}


async def test_without_the_permission_it_says_which() -> None:
    findings, _ = await found({}, {"orchestrator:view:*"})
    assert findings["canary"].level == "failed"
    assert "tasks:run:facts" in findings["canary"].hint


async def test_an_old_server_does_not_tell() -> None:
    findings, _ = await found({}, shape_version="2018.1")
    assert findings["canary"].level == "warning"
    assert "tasks:run:facts" in findings["canary"].hint


@pytest.mark.parametrize("table", [{"task": "no::such"}, {"environment": "nowhere"}])
async def test_what_is_not_there(table: dict[str, Any]) -> None:
    findings, _ = await found(table)
    assert findings["canary"].level == "failed"


async def test_parameters_are_compared_by_name_alone() -> None:
    findings, _ = await found({"task": "vault::rotate", "params": {"token": "hunter2"}})
    assert findings["canary parameters"].message == "vault::rotate needs role"
    findings, _ = await found({"task": "vault::rotate", "params": {"token": "x", "role": "r", "pin": "hunter2"}})
    assert findings["canary parameters"].message == "vault::rotate does not take pin"
    assert "hunter2" not in repr(findings)


async def test_nodes_that_are_away() -> None:
    findings, _ = await found({"nodes": ["gone.example.com"]})
    assert findings["canary nodes"].level == "warning"
    assert "gone.example.com" in findings["canary nodes"].message


async def test_without_one_nothing_is_said_or_asked(tmp_path: Path) -> None:
    source = Source.model_validate({"name": "prod", "url": "https://127.0.0.1:1", "token": "x"})
    assert await canary.inspect(source) == []
