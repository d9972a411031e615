"""Golden records of plans, nodes, notices and quarantined items: every field that event-formats 8 promises."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import msgspec
import pytest

from orchbridge.core.facts import Job, Odd, Owner, Plan, PlanEvent
from orchbridge.core.inventory.node import Node
from orchbridge.core.normalize import jobs, nodes, notices, plans
from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.quarantine import aside_record, digest_name, quarantined, unsaid, within
from orchbridge.core.normalize.secrets import secret_values
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules

SEEN = "2026-05-05T19:50:09.250Z"
ORIGIN = Origin("prod", Rules())
PE_PLAN = {"name": "81", "options": {"parameters": {"token": "tttttttt"}}}
PLAN = Plan(
    id=81, state="failure", raw=msgspec.json.encode(PE_PLAN), name="rollout::web", environment="production",
    description="wave", scheduled_id=4, created="2026-05-05T19:50:00Z", finished="2026-05-05T19:50:08.100Z",
    stamp="2026-05-05T19:50:08.100Z", owner=Owner("u-1", "ops"), children=(352, 353),
    result=b'{"kind":"x","msg":"secret=abcdefgh"}',
)  # fmt: skip
ABOUT = {
    "id": 81, "name": "rollout::web", "environment": "production", "owner": {"id": "u-1", "login": "ops"},
    "scheduled_job_id": 4, "description": "wave",
}  # fmt: skip
COMMON = {"instance": "prod", "epoch": "e1", "observed_at": SEEN, "time_basis": "pe"}
CTX = plans.context(PLAN, ORIGIN, "e1", frozenset(), ())


def data(record: Record) -> dict[str, Any]:
    """Return what a consumer reads."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(record.data))
    return found


def test_a_plan_begins() -> None:
    record = plans.state_record(CTX, PLAN, "running", None, "2026-05-05T19:50:00Z", SEEN)
    assert (record.channel, record.key, record.id) == ("plans", "81", "e1:plan/81/state/running")
    assert (record.type, record.subject, record.correlation) == ("plan.state.changed.v1", "plan/81", "plan/81")
    assert data(record) == {
        **COMMON,
        "plan": ABOUT,
        "state": "running",
        "previous": None,
        "child_jobs": [352, 353],
        "result": None,
        "pe": {"name": "81", "options": {"parameters": {"token": "[redacted]"}}},
        "redacted": ["$.pe.options.parameters.token"],
    }


def test_a_plan_ends() -> None:
    record = plans.state_record(CTX, PLAN, "failure", "running", "2026-05-05T19:50:08.100Z", SEEN)
    assert (record.id, record.severity, record.time) == ("e1:plan/81/state/failure", 17, "2026-05-05T19:50:08.100Z")
    assert data(record) == {
        **COMMON,
        "plan": ABOUT,
        "state": "failure",
        "previous": "running",
        "created_at": "2026-05-05T19:50:00Z",
        "finished_at": "2026-05-05T19:50:08.100Z",
        "duration_s": 8.1,
        "outcome": "failure",
        "child_jobs": [352, 353],
        "result": {"kind": "x", "msg": "secret=[redacted]"},
        "pe": {"name": "81", "options": {"parameters": {"token": "[redacted]"}}},
        "redacted": ["$.result.msg", "$.pe.options.parameters.token"],
    }


@pytest.mark.parametrize(
    ("kind", "type_", "step", "severity"),
    [
        ("task_start", "plan.step.started.v1", {"kind": "task", "job_id": 352}, 9),
        ("apply_prep_start", "plan.step.started.v1", {"kind": "apply_prep", "job_id": 352}, 9),
        ("out_message", "plan.message.v1", None, 9),
        ("plan_finished", "plan.finished.v1", None, 9),
        ("plan_failed", "plan.failed.v1", None, 17),
        ("tea_break", "plan.event.unrecognised.v1", None, 13),
    ],
)
def test_the_events_of_a_plan(kind: str, type_: str, step: object, severity: int) -> None:
    details = {"result": {"msg": "token=abcdefgh"}}
    raw = msgspec.json.encode({"id": "9", "type": kind})
    found = PlanEvent(9, kind, raw, "2026-05-05T19:50:03Z", 352, "hello", msgspec.json.encode(details))
    record = plans.event_record(CTX, found, "9", SEEN, late=False)
    assert (record.id, record.type, record.severity) == ("e1:plan/81/event/9", type_, severity)
    assert (record.subject, record.sequence, record.time) == ("plan/81", 9, "2026-05-05T19:50:03Z")
    ends = kind in {"plan_finished", "plan_failed"}
    assert data(record) == {
        **COMMON,
        "plan": ABOUT,
        "pe_event": {"id": 9, "type": kind, "timestamp": "2026-05-05T19:50:03Z"},
        "step": step,
        "message": "hello",
        "result": {"msg": "token=[redacted]"} if ends else None,
        "pe": {"id": "9", "type": kind},
        **({"redacted": ["$.result.msg"]} if ends else {}),
    }


def test_a_plan_event_without_an_id_is_named_by_its_content() -> None:
    found = PlanEvent(None, "out_message", b'{"type":"out_message"}', None, None, "hi")
    record = plans.event_record(CTX, found, "x12", SEEN, late=True)
    assert (record.id, record.sequence, record.time) == ("e1:plan/81/event/x12", None, SEEN)
    assert data(record)["late"] is True
    assert data(record)["pe_event"] == {"id": None, "type": "out_message", "timestamp": None}


NODE = Node(True, "pcp://b1", "2026-05-05T19:00:00.123Z", 1778007600.0, 3)
GONE = Node(False, "pcp://b1", "2026-05-05T19:00:00.123Z", 1778010600.0, 4, 0, (1778010600.0,))
BEFORE = {"connected": True, "broker": "pcp://b1", "connected_at": "2026-05-05T19:00:00.123Z"}


def test_a_node_connects() -> None:
    record = nodes.connected(ORIGIN, "e1", "web01.test", NODE, None, SEEN)
    assert (record.channel, record.key, record.type) == ("reachability", "web01.test", "node.connected.v1")
    assert record.id == "e1:node/web01.test/up/2026-05-05T19:00:00.123Z"
    assert (record.subject, record.time, record.severity) == ("node/web01.test", "2026-05-05T19:00:00.123Z", 9)
    assert data(record) == {
        **COMMON,
        "node": "web01.test",
        "broker": "pcp://b1",
        "connected_at": "2026-05-05T19:00:00.123Z",
        "previous": None,
    }


def test_a_node_disconnects() -> None:
    record = nodes.disconnected(ORIGIN, "e1", "web01.test", NODE, SEEN, now=1778010609.25, polls=2, age_s=0.5)
    assert record.id == "e1:node/web01.test/down-after/2026-05-05T19:00:00.123Z"
    assert (record.type, record.time, record.severity) == ("node.disconnected.v1", SEEN, 13)
    assert data(record) == {
        **COMMON,
        "time_basis": "observed",
        "node": "web01.test",
        "broker": None,
        "connected_at": None,
        "previous": BEFORE,
        "ended_after_s": 3009.127,
        "confirmed_by": 2,
        "inventory_age_s": 0.5,
    }


def test_a_node_is_removed() -> None:
    record = nodes.removed(ORIGIN, "e1", "web01.test", GONE, SEEN)
    assert record.id == "e1:node/web01.test/removed-after/2026-05-05T19:00:00.123Z"
    assert data(record) == {
        **COMMON,
        "time_basis": "observed",
        "node": "web01.test",
        "broker": None,
        "connected_at": None,
        "previous": {**BEFORE, "connected": False},
    }


def test_the_node_document() -> None:
    record = nodes.node_document(ORIGIN, "e1", "web01.test", GONE, SEEN, 1778010609.25)
    assert (record.channel, record.type) == ("node-state", "node.document.v1")
    assert record.id == "e1:node/web01.test/document/4"
    found = data(record)
    assert {
        name: found[name] for name in ("node", "connected", "broker", "connected_at", "changed_at", "flaps_24h")
    } == {
        "node": "web01.test",
        "connected": False,
        "broker": "pcp://b1",
        "connected_at": "2026-05-05T19:00:00.123Z",
        "changed_at": "2026-05-05T19:50:00.000Z",
        "flaps_24h": 1,
    }
    gone = nodes.node_forgotten(ORIGIN, "e1", "web01.test", GONE, SEEN)
    assert (gone.id, gone.key, gone.data) == ("e1:node/web01.test/document/5", "web01.test", None)


def test_a_notice() -> None:
    record = notices.notice(
        ORIGIN, "jobs", "e1", "gap", "7-9", explanation="never seen", action="none", observed=SEEN
    )  # fmt: skip
    assert (record.channel, record.key, record.id) == ("notices", "prod", "e1:jobs/notice/gap/7-9")
    assert (record.type, record.subject, record.severity) == ("bridge.notice.v1", "bridge", 13)
    assert data(record) == {
        **COMMON,
        "time_basis": "observed",
        "kind": "gap",
        "stream": "jobs",
        "subject": "7-9",
        "explanation": "never seen",
        "action": "none",
    }


def quarantine(raw: bytes) -> Record:
    ctx = jobs.context(Job(352, "running", b"{}"), ORIGIN, "e1", frozenset({"pin"}), ("s3cr3t-value",), False)
    place = within(ctx, "event")
    (aside,) = unsaid(place, [Odd(raw, "not an object")], ())
    return aside_record(place, aside, SEEN)


def test_an_odd_item_is_set_aside_without_its_secrets() -> None:
    raw = b'[{"password":"hunter22"},"x"]'
    record = quarantine(raw)
    shown = b'[{"password":"[redacted]"},"x"]'
    name = digest_name(hashlib.sha256(shown).hexdigest().encode())
    assert (record.channel, record.key, record.type) == ("quarantine", "352", "quarantine.v1")
    assert (record.id, record.subject) == (f"e1:job/352/event/{name}/quarantine", "bridge")
    assert dict(record.headers) == {
        "__connect.errors.topic": f"job/352/event/{name}",
        "__connect.errors.stage": "NORMALIZE",
        "__connect.errors.exception.class.name": "orchbridge.Quarantined",
        "__connect.errors.exception.message": "not an object",
        "__connect.errors.exception.stacktrace": "normalize: not an object",
    }
    assert data(record) == {
        **COMMON,
        "time_basis": "observed",
        "reason": "not an object",
        "stage": "normalize",
        "original_type": None,
        "original": '[{"password":"[redacted]"},"x"]',
        "size": len(raw),
        "sha256": hashlib.sha256(shown).hexdigest(),
    }


def test_bytes_that_are_no_text_travel_in_base64_and_lose_their_secrets_all_the_same() -> None:
    found = data(quarantine(b'{"password":"hunter22","x":"\xff\xfe"}'))
    assert found["encoding"] == "base64"
    assert base64.b64decode(found["original"]) == b'{"password":"[redacted]","x":"\xff\xfe"}'


def test_a_huge_odd_item_is_cut() -> None:
    for filler in (b"x", b"\xff"):
        record = quarantine(filler * 1_000_000)
        assert data(record)["size"] == 1_000_000
        assert len(msgspec.json.encode(record.data)) < 20_000


def test_a_record_that_the_sink_cannot_carry_leaves_its_head() -> None:
    told = {"text": "x" * 2_000_000}
    record = Record(
        "job-events", "prod", "352", "e1:job/352/event/9", "job.node.finished.v1", "s", SEEN, SEEN, "e1", told
    )
    found = quarantined(record, "too large")
    assert found.id == "e1:job/352/event/9/quarantine"
    told = data(found)
    assert (told["original_type"], told["stage"], told["size"]) == ("job.node.finished.v1", "publish", 2_000_011)
    assert told["original"].startswith('{"text":"xxx')
    assert len(msgspec.json.encode(found.data)) < 20_000


def test_a_record_whose_data_cannot_be_encoded_is_set_aside_as_well() -> None:
    record = Record("jobs", "prod", "1", "i", "job.summary.v1", "s", SEEN, SEEN, "e1", {"text": "half \ud800"})
    told = data(quarantined(record, "cannot be encoded"))
    assert "half" in told["original"]


def test_an_odd_item_hides_what_its_task_declares_and_what_its_parameters_hold() -> None:
    original = data(quarantine(b'{"detail":{"pin":"1234","_output":"used s3cr3t-value"}}'))["original"]
    assert original == '{"detail":{"pin":"[redacted]","_output":"used [redacted]"}}'


def test_values_below_a_sensitive_key_are_secrets_too() -> None:
    raw = b'{"options":{"params":{"passwords":["first-one",{"x":"second-one"}],"pin":12345678,"path":"/var/tmp"}}}'
    assert set(secret_values(raw, Rules(), frozenset({"pin"}))) == {"first-one", "second-one", "12345678"}
