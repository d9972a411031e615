"""Golden records of jobs: every field that event-formats 8 promises, spelled out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from orchbridge.core.facts import Job, JobEvent, NodeRow, Owner, StatusItem
from orchbridge.core.idset import IdSet
from orchbridge.core.normalize import certificate, jobs
from orchbridge.core.normalize.context import Context, Origin
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules

SEEN = "2026-05-05T19:50:09.250Z"
ORIGIN = Origin("prod", Rules(), job_url="https://pe.test/#/run/jobs/{job}")

STATUS = (
    StatusItem("new", "2026-05-05T19:50:00Z", "2026-05-05T19:50:01Z"),
    StatusItem("ready", "2026-05-05T19:50:01Z", "2026-05-05T19:50:02Z"),
    StatusItem("running", "2026-05-05T19:50:02Z", "2026-05-05T19:50:33.100Z"),
    StatusItem("failed", "2026-05-05T19:50:33.100Z"),
)
PE_JOB = {"name": "352", "options": {"params": {"name": "openssl", "password": "hunter22"}}, "x-new": [1]}
JOB = Job(
    id=352, state="failed", raw=msgspec.json.encode(PE_JOB), type="task", command="task",
    created="2026-05-05T19:50:00Z", finished="2026-05-05T19:50:33.100Z", stamp="2026-05-05T19:50:33.100Z",
    node_count=2, node_states={"finished": 1, "failed": 1}, task="package", environment="production",
    description="wave 2, token=abcdef123456", noop=False, plan_id=81, scheduled_id=7, owner=Owner("u-1", "ops"),
    status=STATUS,
)  # fmt: skip
ABOUT = {
    "id": 352, "name": "package", "type": "task", "command": "task", "environment": "production", "task": "package",
    "plan_id": 81, "scheduled_job_id": 7, "noop": False, "owner": {"id": "u-1", "login": "ops"},
    "description": "wave 2, token=[redacted]", "url": "https://pe.test/#/run/jobs/352",
}  # fmt: skip
COMMON = {"instance": "prod", "epoch": "e1", "observed_at": SEEN, "time_basis": "pe"}


def ctx(job: Job = JOB, *, secrets: tuple[str, ...] = (), origin: Origin = ORIGIN) -> Context:
    return jobs.context(job, origin, "e1", frozenset(), secrets, False)


def data(record: Record) -> dict[str, Any]:
    """Return what a consumer reads."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(record.data))
    return found


def attributes(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__ if name != "data"}


def event(id_: int, kind: str, node: str | None, detail: object = None, message: str | None = None, **more: Any) -> Any:
    """Return an event with PE's own object as PE writes it."""
    stamp = more.get("stamp", "2026-05-05T19:50:08Z")
    pe = {"id": str(id_), "type": kind, "timestamp": stamp, "details": {"node": node, "detail": detail}}
    encoded = None if detail is None else msgspec.json.encode(detail)
    return JobEvent(id_, kind, msgspec.json.encode({**pe, "message": message}), stamp, node, encoded, message)


def test_a_node_that_failed() -> None:
    told = {
        "report-url": "https://pe.test/#/reports/9", "transaction_uuid": "t-1",
        "_error": {"kind": "puppetlabs.tasks/task-error", "msg": "exit 2", "details": {"exit_code": 2}},
        "db_password": "hunter22",
    }  # fmt: skip
    found = event(1271, "node_failed", "web01.test", told, "Failed on web01.test, password=hunter22")
    record = jobs.event_record(ctx(), found, SEEN, late=True, began=1778010602.0)
    clean = {**told, "db_password": "[redacted]"}
    assert attributes(record) == {
        "channel": "job-events", "instance": "prod", "key": "352", "id": "e1:job/352/event/1271",
        "type": "job.node.failed.v1", "subject": "job/352/node/web01.test", "time": "2026-05-05T19:50:08Z",
        "observed": SEEN, "epoch": "e1", "sequence": 1271, "severity": 17, "correlation": "plan/81",
        "replay": False, "service": "orchestrator/v1", "headers": (),
    }  # fmt: skip
    assert data(record) == {
        **COMMON,
        "job": ABOUT,
        "node": "web01.test",
        "result": "failed",
        "pe_event": {"id": 1271, "type": "node_failed", "timestamp": "2026-05-05T19:50:08Z"},
        "message": "Failed on web01.test, password=[redacted]",
        "detail": clean,
        "duration_s": 6.0,
        "error": {"kind": "puppetlabs.tasks/task-error", "message": "exit 2", "exit_code": 2},
        "report_url": "https://pe.test/#/reports/9",
        "transaction_uuid": "t-1",
        "late": True,
        "pe": {
            "id": "1271", "type": "node_failed", "timestamp": "2026-05-05T19:50:08Z",
            "details": {"node": "web01.test", "detail": clean}, "message": "Failed on web01.test, password=[redacted]",
        },
        "redacted": [
            "$.message", "$.detail.db_password", "$.pe.details.detail.db_password", "$.pe.message",
            "$.job.description",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "type_", "result", "severity"),
    [
        ("node_running", "job.node.started.v1", "started", 9),
        ("node_finished", "job.node.finished.v1", "finished", 9),
        ("node_errored", "job.node.errored.v1", "errored", 17),
        ("node_skipped", "job.node.skipped.v1", "skipped", 13),
    ],
)
def test_the_other_results_of_a_node(kind: str, type_: str, result: str, severity: int) -> None:
    plain = msgspec.structs.replace(JOB, description=None)
    record = jobs.event_record(ctx(plain), event(5, kind, "n1.test", {"noop": False}), SEEN, late=False, began=None)
    assert (record.type, record.severity, record.subject) == (type_, severity, "job/352/node/n1.test")
    assert data(record) == {
        **COMMON,
        "job": {**ABOUT, "description": None},
        "node": "n1.test",
        "result": result,
        "pe_event": {"id": 5, "type": kind, "timestamp": "2026-05-05T19:50:08Z"},
        "message": None,
        "detail": {"noop": False},
        "duration_s": None,
        "error": None,
        "report_url": None,
        "transaction_uuid": None,
        "pe": {
            "id": "5", "type": kind, "timestamp": "2026-05-05T19:50:08Z",
            "details": {"node": "n1.test", "detail": {"noop": False}}, "message": None,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "node", "type_", "severity", "subject"),
    [
        ("job_stopping", None, "job.stopping.v1", 13, "job/352"),
        ("job_aborted", None, "job.aborted.v1", 17, "job/352"),
        ("job_finished", None, "job.completed.v1", 9, "job/352"),
        ("node_melted", None, "job.event.unrecognised.v1", 13, "job/352"),
        ("node_melted", "n1.test", "job.event.unrecognised.v1", 13, "job/352/node/n1.test"),
        ("node_failed", None, "job.event.unrecognised.v1", 13, "job/352"),
    ],
)
def test_events_of_the_job_itself(kind: str, node: str | None, type_: str, severity: int, subject: str) -> None:
    plain = msgspec.structs.replace(JOB, description="")
    record = jobs.event_record(ctx(plain), event(6, kind, node, None, "said"), SEEN, late=False, began=None)
    assert (record.type, record.severity, record.subject) == (type_, severity, subject)
    found = data(record)
    del found["pe"]
    assert found == {
        **COMMON,
        "job": {**ABOUT, "description": ""},
        "pe_event": {"id": 6, "type": kind, "timestamp": "2026-05-05T19:50:08Z"},
        "message": "said",
        "detail": None,
        **({"node": node} if node else {}),
    }


@pytest.mark.parametrize("stamp", [None, "", "2016-010-22T10:00:00Z", "yesterday"])
def test_a_malformed_stamp_is_kept_and_our_own_time_stands_in(stamp: str | None) -> None:
    found = event(5, "node_finished", "n1.test", {}, stamp=stamp)
    record = jobs.event_record(ctx(), found, SEEN, late=False, began=1.0)
    assert record.time == SEEN
    assert data(record)["time_basis"] == "observed"
    assert data(record)["duration_s"] is None
    assert data(record)["pe_event"]["timestamp"] == stamp


@pytest.mark.parametrize(
    ("detail", "error"),
    [
        ({"_error": "broken"}, {"kind": None, "message": "broken", "exit_code": None}),
        ({"error": {"kind": "k", "msg": "m", "details": {"exitcode": 3}}},
         {"kind": "k", "message": "m", "exit_code": 3}),
        ({"msg": "off", "details": {"node": "n1"}}, {"kind": None, "message": "off", "exit_code": None}),
        ({"_error": {"kind": 7, "msg": ["odd"], "details": {"exit_code": True}}},
         {"kind": None, "message": None, "exit_code": None}),
        ({"_error": None}, None),
        ([1, 2], None),
        (None, None),
    ],
)  # fmt: skip
def test_errors_in_all_the_shapes_they_come_in(detail: object, error: object) -> None:
    for kind in ("node_failed", "node_errored"):
        record = jobs.event_record(ctx(), event(5, kind, "n1.test", detail), SEEN, late=False, began=None)
        assert data(record)["error"] == error
    record = jobs.event_record(ctx(), event(5, "node_finished", "n1.test", detail), SEEN, late=False, began=None)
    assert data(record)["error"] is None


def test_a_planted_value_is_found_wherever_it_is_repeated() -> None:
    found = event(5, "node_finished", "n1.test", {"stdout": "used hunter22 twice"}, "ran with hunter22")
    record = jobs.event_record(ctx(secrets=("hunter22",)), found, SEEN, late=False, began=None)
    assert "hunter22" not in msgspec.json.encode(record.data).decode()
    assert data(record)["redacted"] == [
        "$.message", "$.detail.stdout", "$.pe.details.detail.stdout", "$.pe.message", "$.job.description",
    ]  # fmt: skip


def test_a_message_is_masked_where_only_it_holds_the_secret_in_another_spelling() -> None:
    """PE's object may hide a text behind escapes; the message is what it says once they are read."""
    raw = rb'{"id":"5","type":"node_finished","message":"p\u0061ssword=hunter22","details":{"node":"n","detail":{}}}'
    found = JobEvent(5, "node_finished", raw, None, "n", b"{}", "password=hunter22")
    text = msgspec.json.encode(jobs.event_record(ctx(), found, SEEN, late=False, began=None).data).decode()
    assert "hunter22" not in text


def test_a_crowd_is_innocent_only_if_each_is() -> None:
    plain, guilty = (event(5, "node_finished", "n", {"stdout": text}).raw for text in ("fine", "password=hunter22"))
    assert ctx().innocent([plain] * 3)
    assert not ctx().innocent([plain, guilty, plain])
    assert not ctx(secrets=("fine",)).innocent([plain])
    assert not msgspec.structs.replace(ctx(), unknown=True).innocent([plain])


def test_every_state_is_told_and_the_last_with_stamps_and_outcome() -> None:
    told = [
        jobs.state_record(ctx(), JOB, item, name, previous, SEEN)
        for item, name, previous in zip(
            STATUS, jobs.state_names(STATUS), [None, "new", "ready", "running"], strict=True
        )
    ]
    clean = {**PE_JOB, "options": {"params": {"name": "openssl", "password": "[redacted]"}}}
    common = {**COMMON, "job": ABOUT, "node_count": 2, "node_states": {"finished": 1, "failed": 1}, "pe": clean}
    common["redacted"] = ["$.pe.options.params.password", "$.job.description"]
    assert [record.id for record in told] == [f"e1:job/352/state/{s}" for s in ("new", "ready", "running", "failed")]
    assert data(told[1]) == {**common, "state": "ready", "previous": "new", "entered_at": "2026-05-05T19:50:01Z"}
    assert data(told[3]) == {
        **common,
        "state": "failed",
        "previous": "running",
        "entered_at": "2026-05-05T19:50:33.100Z",
        "created_at": "2026-05-05T19:50:00Z",
        "started_at": "2026-05-05T19:50:02Z",
        "finished_at": "2026-05-05T19:50:33.100Z",
        "duration_s": 33.1,
        "queue_s": 2.0,
        "outcome": "failure",
    }
    assert [record.severity for record in told] == [9, 9, 9, 17]
    assert {record.subject for record in told} == {"job/352"}
    assert {record.sequence for record in told} == {None}


def test_a_state_without_a_stamp_is_marked_as_observed() -> None:
    record = jobs.state_record(ctx(), JOB, StatusItem("stopped"), "stopped", None, SEEN)
    assert (record.time, record.severity) == (SEEN, 13)
    found = data(record)
    assert (found["time_basis"], found["entered_at"], found["outcome"]) == ("observed", None, "stopped")


def test_a_state_entered_again_gets_a_number() -> None:
    again = (*STATUS[:3], StatusItem("ready"), StatusItem("running"))
    assert jobs.state_names(again) == ("new", "ready", "running", "ready/2", "running/2")


def test_the_certificate() -> None:
    rows = [NodeRow("a", "finished"), NodeRow("b", "failed"), NodeRow("c", "stopped")]
    verdict = certificate.judge(rows, {"a": "finished"}, closed=False)
    fields = certificate.summary_data(JOB, certificate.Summary(verdict, 2, IdSet.of([7, 3, 5]), rows))
    record = certificate.summary_record(ctx(), JOB, fields, SEEN)
    assert (record.channel, record.id, record.severity) == ("jobs", "e1:job/352/summary/2", 17)
    assert record.time == "2026-05-05T19:50:33.100Z"
    assert data(record) == {
        **COMMON,
        "job": ABOUT,
        "outcome": "failure",
        "revision": 2,
        "complete": False,
        "truncated": False,
        "reasons": ["1 node(s) stopped", "no job_finished event", "1 node event(s) missing"],
        "expected": {"nodes": 3, "by_state": {"failed": 1, "finished": 1, "stopped": 1}},
        "delivered": {
            "events": 3, "first_id": 3, "last_id": 7, "ids": [3, 5, 7],
            "ids_sha256": "6661ae91f8bc66663cb26845333658e9bf73b55f6368f4e2a0a30c67eeeafa5e",
        },
        "missing": [{"node": "b", "state": "failed"}],
        "missing_count": 1,
        "redacted": ["$.job.description"],
    }  # fmt: skip


def test_the_certificate_of_a_pruned_job_never_seen() -> None:
    verdict = certificate.Verdict(False, (), ("pruned",))
    fields = certificate.summary_data(None, certificate.Summary(verdict, 1, IdSet.of(()), None, truncated=True))
    assert fields["expected"] == {"nodes": 0, "by_state": {}}
    assert fields["outcome"] is None
    delivered = fields["delivered"]
    assert (delivered["events"], delivered["first_id"], delivered["last_id"], delivered["ids"]) == (0, None, None, [])


def test_a_large_certificate_is_cut_where_the_table_says() -> None:
    rows = [NodeRow(f"n{number}", "finished") for number in range(150)]
    verdict = certificate.judge(rows, {}, closed=True)
    fields = certificate.summary_data(JOB, certificate.Summary(verdict, 1, IdSet.of(range(1, 2001)), rows))
    assert (len(fields["missing"]), fields["missing_count"]) == (100, 150)
    assert (len(fields["delivered"]["ids"]), fields["delivered"]["events"]) == (1000, 2000)


def test_the_job_document() -> None:
    record = certificate.document_record(ctx(), JOB, {"a": "finished"}, {"complete": True}, 3, SEEN)
    assert (record.channel, record.id, record.type) == ("job-state", "e1:job/352/document/3", "job.document.v1")
    assert data(record) == {
        **COMMON,
        "job": ABOUT,
        "revision": 3,
        "state": "failed",
        "node_states": {"finished": 1, "failed": 1},
        "created_at": "2026-05-05T19:50:00Z",
        "started_at": "2026-05-05T19:50:02Z",
        "finished_at": "2026-05-05T19:50:33.100Z",
        "duration_s": 33.1,
        "queue_s": 2.0,
        "nodes": {"a": "finished"},
        "summary": {"complete": True},
        "redacted": ["$.job.description"],
    }
    gone = certificate.document_removed(ctx(), 4, SEEN)
    assert (gone.channel, gone.id, gone.key, gone.data) == ("job-state", "e1:job/352/document/4", "352", None)


def test_a_replay_is_marked_and_has_the_same_id() -> None:
    again = ctx(origin=msgspec.structs.replace(ORIGIN, replay=True))
    found = event(5, "node_finished", "n1.test", {})
    first, second = (jobs.event_record(c, found, SEEN, late=False, began=None) for c in (ctx(), again))
    assert (first.id, first.replay, second.id, second.replay) == (second.id, False, first.id, True)
