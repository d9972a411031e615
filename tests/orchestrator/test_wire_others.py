"""Plans, inventory, tasks and service states in the shapes of every version, and in shapes of none."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from orchbridge.core.facts import Connection, Odd, Owner, Plan, PlanEvent, TaskMeta
from orchbridge.core.questions import (
    BrokerStatus,
    Health,
    Inventory,
    InventoryOf,
    Page,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator.wire import read

URL = "https://pe.test:8143/orchestrator/v1/plan_jobs/"
RUNNING = {
    "id": URL + "82", "name": "82", "state": "running",
    "options": {
        "plan_name": "rollout::web", "description": "wave 2", "parameters": {"batch": 5}, "sensitive": ["token"],
        "scheduled_job_id": "31", "environment": "production",
    },
    "result": None, "owner": {"id": "0b5d", "login": "ops"}, "created_timestamp": "2024-03-09T11:00:02Z",
    "finished_timestamp": None, "timestamp": "2024-03-09T11:00:02Z", "duration": 14.5, "userdata": {},
}  # fmt: skip
ENDED = {
    "id": URL + "82", "name": "82", "state": "failure", "options": {"plan_name": "rollout::web", "description": ""},
    "result": {"kind": "bolt/run-failure", "n": 1.50}, "duration": "3", "status": {
        "413": [{"state": "running", "enter_time": "A", "exit_time": None}], "401": [], "x": [],
    },
}  # fmt: skip


def items(*things: Any, **more: Any) -> bytes:
    return json.dumps({"items": things, **more}).encode()


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        (RUNNING, {
            "id": 82, "state": "running", "name": "rollout::web", "environment": "production", "description": "wave 2",
            "scheduled_id": 31, "created": "2024-03-09T11:00:02Z", "finished": None, "stamp": "2024-03-09T11:00:02Z",
            "duration": 14.5, "owner": Owner("0b5d", "ops"), "sensitive": ("token",), "children": None,
            "result": b"null",
        }),
        (ENDED, {
            "state": "failure", "description": None, "environment": None, "duration": 3.0, "children": (401, 413),
            "result": b'{"kind": "bolt/run-failure", "n": 1.5}', "owner": Owner(), "created": None,
        }),
        ({"name": "82", "status": {}}, {"children": (), "result": None}),
        ({"name": "82", "status": []}, {"children": None}),
        ({"name": "82", "result": ["a"]}, {"result": b'["a"]'}),
        ({"name": "82", "result": "words"}, {"result": b'"words"'}),
        ({"name": "82", "state": "pending"}, {"state": "pending"}),
        ({"name": "82", "options": {"scheduled-job-id": 4}}, {"scheduled_id": 4}),
        ({"id": URL + "82"}, {"id": 82}),
        ({"name": URL + "82", "id": "82"}, {"id": 82}),
    ],
)  # fmt: skip
def test_a_plan_in_any_shape(told: dict[str, Any], fact: dict[str, Any]) -> None:
    page = read(PlansPage(1), items(told, pagination={"limit": 6, "offset": 0, "total": 9}))
    assert isinstance(page, Page)
    assert page.total == 9
    (plan,) = page.items
    assert isinstance(plan, Plan)
    assert {name: getattr(plan, name) for name in fact} == fact
    assert read(PlanDetail(82), json.dumps(told).encode()) == plan


@pytest.mark.parametrize("told", [{"state": "running"}, {"name": "new"}, None, 1])
def test_a_plan_without_an_id_is_odd_in_the_list_and_malformed_alone(told: Any) -> None:
    page = read(PlansPage(1), items(told))
    assert isinstance(page, Page)
    assert isinstance(page.items[0], Odd)
    alone = read(PlanDetail(82), json.dumps(told).encode())
    assert isinstance(alone, Trouble)
    assert alone.kind == "malformed"


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        ({"id": "501", "type": "out_message", "timestamp": "T", "details": {"message": "wave 2"}},
         PlanEvent(501, "out_message", b"", "T", None, "wave 2", b'{"message": "wave 2"}')),
        ({"id": "502", "type": "task_start", "details": {"job-id": 413}},
         PlanEvent(502, "task_start", b"", None, 413, None, b'{"job-id": 413}')),
        ({"id": 502, "type": "task_start", "details": {"job-id": "413"}},
         PlanEvent(502, "task_start", b"", None, 413, None, b'{"job-id": "413"}')),
        ({"type": "plan_start", "details": {"plan": "a::b"}},
         PlanEvent(None, "plan_start", b"", None, None, None, b'{"plan": "a::b"}')),
        ({"id": None, "type": "plan_end", "details": None}, PlanEvent(None, "plan_end", b"")),
        ({"id": "504", "type": "later", "details": "words"}, PlanEvent(504, "later", b"", details=b'"words"')),
        ({"id": "504"}, PlanEvent(504, "", b"")),
    ],
)  # fmt: skip
def test_a_plan_event_in_any_shape(told: dict[str, Any], fact: PlanEvent) -> None:
    page = read(PlanEvents(82), items(told))
    assert isinstance(page, Page)
    (event,) = page.items
    assert isinstance(event, PlanEvent)
    assert json.loads(event.raw) == told
    assert PlanEvent(fact.id, fact.type, event.raw, fact.stamp, fact.job_id, fact.message, fact.details) == event
    assert read(PlanEventWhole(82, 501), json.dumps(told).encode()) == event


@pytest.mark.parametrize("told", [{"id": "x", "type": "t"}, {"id": {}, "type": "t"}, "words"])
def test_a_plan_event_with_an_id_that_is_none_is_odd(told: Any) -> None:
    page = read(PlanEvents(82), items(told))
    assert isinstance(page, Page)
    assert isinstance(page.items[0], Odd)


SINCE = "2024-03-09T08:00:12.118Z"


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        ({"name": "a.test", "connected": True, "broker": "pcp://pe.test/server", "timestamp": SINCE},
         Connection("a.test", True, "pcp://pe.test/server", SINCE)),
        ({"name": "a.test", "connected": False, "broker": "", "timestamp": ""}, Connection("a.test", False)),
        ({"name": "a.test", "connected": False}, Connection("a.test", False)),
        ({"name": "a.test", "connected": False, "broker": None, "timestamp": None}, Connection("a.test", False)),
        ({"name": "a.test", "connected": True, "timestamp": "2016-010-22T00:00"},
         Connection("a.test", True, None, "2016-010-22T00:00")),
        ({"name": "a.test", "connected": "true", "broker": 5}, Connection("a.test", True)),
        ({"name": "a.test"}, None),
        ({"name": "", "connected": True}, None),
        ({"connected": True}, None),
        (None, None),
    ],
)  # fmt: skip
def test_a_connection_in_any_shape(told: Any, fact: Connection | None) -> None:
    for question in (Inventory(), InventoryOf(("a.test",))):
        page = read(question, items(told))
        assert isinstance(page, Page)
        if fact:
            assert page.items == (fact,)
        else:
            assert isinstance(page.items[0], Odd)


def test_brokers_are_kept_once() -> None:
    rows = [{"name": f"n{number}", "connected": True, "broker": "pcp://one.test/server"} for number in range(3)]
    page = read(Inventory(), items(*rows))
    assert isinstance(page, Page)
    brokers = {id(row.broker) for row in page.items if isinstance(row, Connection)}
    assert brokers == {id(sys.intern("pcp://one.test/server"))}


TASK = {
    "name": "dbx::dump", "environment": {"name": "production"}, "files": [],
    "metadata": {"parameters": {
        "database": {"type": "String[1]"}, "password": {"type": "String", "sensitive": True},
        "path": {"type": "String", "sensitive": False}, "odd": {"sensitive": "yes"}, "none": None, "short": "String",
    }},
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "sensitive"),
    [
        (TASK, ("password", "odd", "short")),
        ({"name": "a", "metadata": {}}, ()),
        ({"name": "a", "metadata": {"parameters": None}}, ()),
        ({"name": "a", "metadata": {"parameters": {}}}, ()),
        ({"name": "a"}, None),
        ({"name": "a", "metadata": None}, None),
        ({"name": "a", "metadata": {"parameters": ["password"]}}, None),
        ([], None),
    ],
)
def test_what_a_task_declares_sensitive_is_known_or_in_doubt_not_known(told: Any, sensitive: Any) -> None:
    answer = read(TaskMetadata("dbx::dump", "production"), json.dumps(told).encode())
    if sensitive is None:
        assert isinstance(answer, Trouble)
        assert answer.kind == "malformed"
    else:
        assert isinstance(answer, TaskMeta)
        assert answer.sensitive == sensitive


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"broker-service": {"state": "running", "service_version": "1"}}, "running"),
        ({"state": "unknown", "service_version": "1", "status": {}}, "unknown"),
        ({"state": "starting", "active_alerts": []}, "starting"),
        ({}, None),
        ({"broker-service": "running"}, None),
    ],
)
def test_a_service_state_bare_or_wrapped(told: Any, state: str | None) -> None:
    answer = read(BrokerStatus(), json.dumps(told, indent=1).encode())
    if state:
        assert answer == Health(state)
    else:
        assert isinstance(answer, Trouble)
