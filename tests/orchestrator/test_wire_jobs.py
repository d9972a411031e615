"""Jobs, job events and nodes in the shapes of every version, and in shapes of none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from orchbridge.core.facts import Job, JobEvent, NodeRow, Odd, Owner, StatusItem
from orchbridge.core.questions import JobDetail, JobEvents, JobNodes, JobsPage, Page, Question, Trouble
from orchbridge.orchestrator.wire import read

URL = "https://pe.test:8143/orchestrator/v1/jobs/"

TODAY = {
    "id": URL + "412", "name": "412", "state": "running", "command": "task", "type": "task",
    "created_timestamp": "2024-03-09T10:15:40Z", "finished_timestamp": None, "timestamp": "2024-03-09T10:15:41Z",
    "duration": 2.071, "node_count": 2, "node_states": {"running": 1, "finished": 1},
    "options": {
        "task": "svc_check", "description": "weekly", "transport": "pxp", "noop": False, "params": {"unit": "sshd"},
        "sensitive": ["pin"], "scheduled-job-id": "31", "scope": {"nodes": ["a.test"]}, "environment": "testing",
    },
    "owner": {"id": "0b5d", "login": "ops", "email": "", "last_login": "2024-03-09T10:02:11.004Z", "role_ids": [2]},
    "description": "older", "environment": {"name": "older"}, "userdata": {"change": "C7"},
}  # fmt: skip
TODAY_FACT = {
    "id": 412, "state": "running", "command": "task", "type": "task", "created": "2024-03-09T10:15:40Z",
    "finished": None, "stamp": "2024-03-09T10:15:41Z", "duration": 2.071, "node_count": 2,
    "node_states": {"running": 1, "finished": 1}, "task": "svc_check", "target": None, "environment": "testing",
    "description": "weekly", "noop": False, "plan_id": None, "scheduled_id": 31,
    "owner": Owner("0b5d", "ops"), "sensitive": ("pin",), "status": None,
}  # fmt: skip

OLD_2016 = {
    "id": URL + "9", "name": "9", "state": "finished", "timestamp": "2016-10-03T08:00:09Z", "node_count": 1,
    "options": {"concurrency": None, "noop": False, "environment": "production", "target": "whole environment"},
    "owner": {"id": "0b5d", "login": "ops"}, "environment": {"name": "production"},
    "status": [
        {"state": "new", "enter_time": "2016-10-03T08:00:00Z", "exit_time": "2016-10-03T08:00:01Z"},
        {"state": "finished", "enter_time": "2016-10-03T08:00:09Z", "exit_time": None},
    ],
}  # fmt: skip
OLD_2016_FACT = {
    "id": 9, "state": "finished", "stamp": "2016-10-03T08:00:09Z", "node_count": 1, "node_states": None,
    "environment": "production", "target": "whole environment", "type": None, "command": None, "created": None,
    "duration": None, "sensitive": (), "owner": Owner("0b5d", "ops"),
    "status": (
        StatusItem("new", "2016-10-03T08:00:00Z", "2016-10-03T08:00:01Z"),
        StatusItem("finished", "2016-10-03T08:00:09Z"),
    ),
}  # fmt: skip


def items(*things: Any, **more: Any) -> bytes:
    return json.dumps({"items": things, **more}).encode()


def page(question: Question, body: bytes) -> Page:
    answer = read(question, body)
    assert isinstance(answer, Page), answer
    return answer


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        (TODAY, TODAY_FACT),
        (OLD_2016, OLD_2016_FACT),
        ({"name": "5", "created_timestamp": "A", "started_timestamp": "B"}, {"created": "A", "state": ""}),
        ({"name": "5", "started_timestamp": "B"}, {"created": "B"}),
        ({"name": "5", "duration": "256.0"}, {"duration": 256.0}),
        ({"name": "5", "duration": "NaN"}, {"duration": None}),
        ({"name": "5", "duration": None, "node_states": None, "node_count": 0}, {"duration": None, "node_count": 0}),
        ({"name": "5", "node_states": {"new": "3", "late": 1.0, "x": None}}, {"node_states": {"new": 3, "late": 1}}),
        ({"name": "5", "options": {"plan_job": 82, "noop": None}}, {"plan_id": 82, "noop": None}),
        ({"name": "5", "options": {"plan_job": "82"}}, {"plan_id": 82}),
        ({"name": "5", "options": {"scheduled_job_id": "7"}}, {"scheduled_id": 7}),
        ({"name": "5", "options": {"environment": ""}, "environment": {"name": ""}}, {"environment": None}),
        ({"name": "5", "options": {}, "environment": {"name": "test"}}, {"environment": "test"}),
        ({"name": "5", "options": {"description": ""}, "description": "top"}, {"description": "top"}),
        ({"name": "5", "options": None, "owner": None, "status": None}, {"owner": Owner(), "status": None}),
        ({"name": "5", "options": {"sensitive": [1, "a", None]}}, {"sensitive": ("a",)}),
        ({"name": "5", "state": "of a later release"}, {"state": "of a later release"}),
        ({"name": 5}, {"id": 5}),
        ({"id": URL + "5"}, {"id": 5}),
        ({"id": "5", "name": URL + "5"}, {"id": 5}),
        ({"id": "https://host:8143:8143/orchestrator/v1/jobs/5/?x=1"}, {"id": 5}),
        ({"name": "5", "status": [{"state": "new"}, None, {"state": None}]}, {"status": (StatusItem("new"),)}),
    ],
)  # fmt: skip
def test_a_job_in_any_shape(told: dict[str, Any], fact: dict[str, Any]) -> None:
    (job,) = page(JobsPage(1), items(told)).items
    assert isinstance(job, Job)
    assert {name: getattr(job, name) for name in fact} == fact
    assert json.loads(job.raw) == told
    assert read(JobDetail(5), json.dumps(told).encode()) == job


@pytest.mark.parametrize(
    ("more", "total", "paged"),
    [
        ({"pagination": {"limit": 50, "offset": 0, "total": 412, "type": ""}}, 412, True),
        ({"pagination": {"total": None}}, None, True),
        ({"pagination": {"total": "12"}}, 12, True),
        ({"pagination": {}}, None, True),
        ({"pagination": None}, None, False),
        ({}, None, False),
    ],
)
def test_whether_a_server_pages_is_seen_from_its_answer(more: dict[str, Any], total: int | None, paged: bool) -> None:
    answer = page(JobsPage(5), items(**more))
    assert (answer.items, answer.total, answer.paged) == ((), total, paged)


EVENT = {
    "id": "9117", "type": "node_finished", "timestamp": "2024-03-09T10:15:41Z",
    "details": {"node": "a.test", "detail": {"noop": False, "n": 1.50}}, "message": "Finished puppet run on a.test ",
}  # fmt: skip
EVENT_FACT = (9117, "node_finished", EVENT["timestamp"], "a.test", b'{"noop":false,"n":1.5}', EVENT["message"])


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        (EVENT, EVENT_FACT),
        ({**EVENT, "id": 9117}, EVENT_FACT),
        ({"id": "1", "type": "job_finished", "details": {}}, (1, "job_finished", None, None, None, None)),
        ({"id": "1", "type": "job_finished", "details": None}, (1, "job_finished", None, None, None, None)),
        ({"id": "1", "type": "job_finished", "details": {"state": "x"}}, (1, "job_finished", None, None, None, None)),
        ({"id": "1", "type": "x", "details": "words"}, (1, "x", None, None, None, None)),
        ({"id": "1", "type": "x", "details": ["words"]}, (1, "x", None, None, None, None)),
        ({"id": "1", "type": "x", "details": {"node": 7, "detail": None}}, (1, "x", None, None, None, None)),
        ({"id": "1", "type": "x", "details": {"node": "n", "detail": "text"}}, (1, "x", None, "n", b'"text"', None)),
        ({"id": "1", "type": "x", "details": {"node": 7, "detail": [1]}}, (1, "x", None, None, b"[1]", None)),
        ({"id": "1", "type": None, "message": 3, "timestamp": 4}, (1, "", None, None, None, None)),
        ({"id": " 1 ", "type": "x"}, (1, "x", None, None, None, None)),
        ({"id": 1.0, "type": "x", "new": {"key": 1}}, (1, "x", None, None, None, None)),
    ],
)  # fmt: skip
def test_a_job_event_in_any_shape(told: dict[str, Any], fact: tuple[Any, ...]) -> None:
    body = json.dumps({"next-events": {"event": "1"}, "items": [told]}, separators=(",", ":")).encode()
    (event,) = page(JobEvents(7), body).items
    assert isinstance(event, JobEvent)
    assert (event.id, event.type, event.stamp, event.node, event.detail, event.message) == fact
    assert json.loads(event.raw) == told


@pytest.mark.parametrize(
    "told",
    [
        {"type": "x"}, {"id": None, "type": "x"}, {"id": "", "type": "x"}, {"id": "one", "type": "x"},
        {"id": -1, "type": "x"}, {"id": 10**30, "type": "x"}, {"id": True, "type": "x"},
        {"id": str(10**30), "type": "x"},
        None, 5, "words", [], True,
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_told_apart_is_odd(told: Any) -> None:
    before, odd, after = page(JobEvents(7), items(EVENT, told, EVENT)).items
    assert isinstance(odd, Odd)
    assert json.loads(odd.raw) == told
    assert odd.reason
    assert before == after
    assert isinstance(before, JobEvent)


BAD = {
    "not UTF-8": b'{"id":"2","type":"x","message":"\xff\xfe"}',
    "not UTF-8 where nobody looks": b'{"id":"2","type":"x","details":{"detail":{"_output":"\xe9"}}}',
    "not a number": b'{"id":"2","type":"x","details":{"detail":{"load":NaN}}}',
    "half a surrogate pair": b'{"id":"2","type":"x","message":"\\ud800"}',
    "half a pair where nobody looks": b'{"id":"2","type":"x","details":{"detail":{"a":"\\udfff"}}}',
    "a control character": b'{"id":"2","type":"x","message":"a\x01b"}',
    "nested without end": b'{"id":"2","type":"x","details":{"detail":' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "nested deeper than any data": b'{"id":"2","type":"x","details":{"detail":' + b"[" * 200 + b"]" * 200 + b"}}",
    "a number without end where nobody looks": b'{"id":"2","type":"x","details":{"detail":' + b"9" * 5000 + b"}}",
    "a bare word": b'{"id":"2","type":nul}',
    "a number without end": b'{"id":' + b"9" * 5000 + b',"type":"x"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("pretty", [False, True], ids=["compact", "pretty"])
def test_one_bad_item_costs_only_itself(bad: bytes, pretty: bool) -> None:
    good = [json.dumps({**EVENT, "id": str(number)}, indent=2 if pretty else None).encode() for number in (1, 3)]
    body = b'{"next-events": {"event": "4"},"items" : [' + b",".join([good[0], bad, good[1]]) + b"]}"
    first, odd, last = page(JobEvents(7), body).items
    assert isinstance(odd, Odd)
    assert odd.raw == bad
    assert isinstance(first, JobEvent)
    assert isinstance(last, JobEvent)
    assert (first.id, last.id) == (1, 3)
    assert b"\n" not in first.raw


def test_huge_numbers_inside_an_event_pass_through() -> None:
    told = {**EVENT, "details": {"node": "a", "detail": {"modulus": 7**900}}}
    (event,) = page(JobEvents(7), items(told)).items
    assert isinstance(event, JobEvent)
    assert event.detail is not None
    assert str(7**900).encode() in event.detail


def test_every_event_that_is_understood_can_be_decoded_whole() -> None:
    for nested in (b"[" * 98 + b"]" * 98, b"[{}]" * 1, b"9" * 4000, b'"' + b"[" * 500 + b'"', b"[[],[],{}]"):
        raw = b'{"id":"2","type":"x","details":%s}' % nested
        (event,) = page(JobEvents(7), b'{"items":[' + raw + b"]}").items
        assert isinstance(event, JobEvent)
        assert msgspec.json.decode(event.raw)


def test_pretty_printed_bodies_become_one_line() -> None:
    told = {**EVENT, "message": "two\nlines \u2028 é"}
    body = json.dumps({"items": [told]}, indent=2, ensure_ascii=False).encode()
    (event,) = page(JobEvents(7), b"\xef\xbb\xbf" + body).items
    assert isinstance(event, JobEvent)
    assert b"\n" not in event.raw
    assert b": " not in event.raw
    assert json.loads(event.raw) == told
    assert event.message == told["message"]


@pytest.mark.parametrize(
    ("told", "row"),
    [
        ({"name": "a.test", "state": "finished", "result": {"_output": "x"}}, NodeRow("a.test", "finished")),
        ({"name": "a.test", "state": None}, NodeRow("a.test", "")),
        ({"name": "a.test"}, NodeRow("a.test", "")),
        ({"state": "finished"}, None),
        ({"name": "", "state": "finished"}, None),
        ("a.test", None),
    ],
)
def test_a_node_in_any_shape(told: Any, row: NodeRow | None) -> None:
    answer = page(JobNodes(7, 500), items(told, **{"next-events": {"event": "1"}}))
    assert not answer.paged
    if row:
        assert answer.items == (row,)
    else:
        assert isinstance(answer.items[0], Odd)


@pytest.mark.parametrize("question", [JobsPage(5), JobEvents(7), JobNodes(7, 5), JobDetail(7)])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"text"', b"{}", b'{"items": null}', b'{"items": {}}', b'{"items": [{"id": "1", "ty',
        b'{"items": [{"id":"1","type":"x"}]', b'{"items":[]} x', b"<html>Please log in</html>", b"\x00\xff",
        b"[" * 100_000, b'{"a":' * 100_000, b'{"items":[' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_was_not_asked_for_is_malformed(question: Question, body: bytes) -> None:
    answer = read(question, body)
    assert isinstance(answer, Trouble)
    assert answer.kind == "malformed"
    assert len(answer.explanation) < 400


def test_data_never_reaches_an_explanation() -> None:
    torn = items({**EVENT, "message": "hunter2"})[:-5]
    wrong = json.dumps({"password": "hunter2"}).encode()
    for body in (torn, wrong, b'["hunter2"'):
        answer = read(JobEvents(7), body)
        assert isinstance(answer, Trouble)
        assert "hunter2" not in answer.explanation


def test_html_is_shown_by_its_beginning_on_one_line() -> None:
    answer = read(JobsPage(5), b"<html>\n\t<h1>Sign\x07 in</h1>" + b"x" * 1000)
    assert isinstance(answer, Trouble)
    assert "<html> <h1>Sign\N{REPLACEMENT CHARACTER} in</h1>xxx" in answer.explanation
    assert "\n" not in answer.explanation


def test_raw_is_what_the_server_sent_byte_for_byte() -> None:
    raw = b'{"id":"7","type":"x","details":{"node":"n","detail":{"a":1.500,"b":"\\u00e9","c":1e3}},"k":[]}'
    (event,) = page(JobEvents(7), b'{"items":[' + raw + b"]}").items
    assert isinstance(event, JobEvent)
    assert event.raw == raw
    assert event.detail == b'{"a":1.500,"b":"\\u00e9","c":1e3}'
    assert msgspec.Raw(event.raw)
