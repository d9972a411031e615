"""The size ladder: nothing that PE says makes an event too large for the way, and nothing is cut in silence."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orchbridge.core.facts import Job, JobEvent, Owner, Plan, PlanEvent, StatusItem
from orchbridge.core.normalize import jobs, plans
from orchbridge.core.normalize.context import Origin
from orchbridge.core.redact import Rules
from orchbridge.core.size import LEAST, RAW_MAX, TEXT_ROOM, cut_json, cut_text, text_size
from orchbridge.formats.cloudevents import StructuredCodec

SEEN = "2026-05-05T19:50:09.250Z"
ORIGIN = Origin("prod", Rules())
SAFE = 65_536

LETTERS = st.sampled_from(["x", "é", "\u20ac", "\U0001f600", "\x01", '"', "\n"])
TEXTS = st.builds(lambda letter, count: letter * count, LETTERS, st.integers(0, 60_000))
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: (
        st.builds(lambda value, count: [value] * count, inner, st.integers(0, 300))
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
).filter(lambda value: len(json.dumps(value)) < 2_000_000)


def event(detail: object, message: str | None) -> JobEvent:
    told = {"id": "5", "type": "node_failed", "details": {"node": "n", "detail": detail}, "message": message}
    return JobEvent(5, "node_failed", msgspec.json.encode(told), SEEN, "n", msgspec.json.encode(detail), message)


def size(record: Any) -> int:
    return len(StructuredCodec("pe.{source}", version="1").encode(record).value or b"")


@settings(max_examples=60, deadline=None)
@given(VALUES, TEXTS, TEXTS)
def test_no_event_of_a_job_is_ever_too_large(detail: object, message: str, description: str) -> None:
    job = Job(1, "failed", b"{}", description=description)
    ctx = jobs.context(job, ORIGIN, "e1", frozenset(), (), False)
    assert size(jobs.event_record(ctx, event(detail, message), SEEN, late=False, began=None)) < SAFE


@settings(max_examples=40, deadline=None)
@given(VALUES, TEXTS)
def test_no_record_of_a_plan_is_ever_too_large(value: object, message: str) -> None:
    encoded = msgspec.json.encode({"result": value, "message": message})
    plan = Plan(1, "failure", encoded, description=message, result=msgspec.json.encode(value))
    ctx = plans.context(plan, ORIGIN, "e1", frozenset(), ())
    assert size(plans.state_record(ctx, plan, "failure", None, SEEN, SEEN)) < SAFE
    found = PlanEvent(5, "plan_failed", encoded, SEEN, None, message, encoded)
    assert size(plans.event_record(ctx, found, "5", SEEN, late=False)) < SAFE


def test_a_job_on_very_many_nodes_keeps_what_matters_of_its_object() -> None:
    raw = {
        "options": {"scope": {"nodes": [f"node{n}.example.com" for n in range(10_000)]}},
        "userdata": {"change": "1"},
    }
    job = Job(1, "new", msgspec.json.encode(raw))
    ctx = jobs.context(job, ORIGIN, "e1", frozenset(), (), False)
    record = jobs.state_record(ctx, job, StatusItem("new"), "new", None, SEEN)
    told = json.loads(msgspec.json.encode(record.data))
    assert told["pe_truncated"] is True
    assert told["pe"]["userdata"] == {"change": "1"}
    nodes = told["pe"]["options"]["scope"]["nodes"]
    assert (len(nodes), nodes[0], nodes[-1]) == (51, "node0.example.com", "[9950 items cut]")


def test_what_fits_is_not_touched() -> None:
    raw = b'{"a": 1.50, "b": "' + b"x" * 20_000 + b'"}'
    assert cut_json(raw, RAW_MAX) is raw
    ctx = jobs.context(Job(1, "new", b"{}"), ORIGIN, "e1", frozenset(), (), False)
    record = jobs.event_record(ctx, event({"stdout": "y" * 20_000}, "m"), SEEN, late=False, began=None)
    assert record.data is not None
    assert "pe_truncated" not in record.data


def test_each_step_of_the_ladder() -> None:
    long = "a" * 3_000 + "b" * 3_000
    texts = json.loads(cut_json(msgspec.json.encode({"t": long, "n": 1}), 5_000))
    assert texts == {"t": cut_text(long, 1_250), "n": 1}
    assert hashlib.sha256(long.encode()).hexdigest() in texts["t"]
    assert texts["t"].startswith("aaa")
    assert texts["t"].endswith("bbb")
    members = json.loads(cut_json(msgspec.json.encode({str(n): n for n in range(2_000)}), 5_000))
    assert members["[cut]"] == "[1950 members cut]"
    raw = msgspec.json.encode(["x" * 3_000] * 40)
    assert json.loads(cut_json(raw, LEAST)) == {
        "cut": True,
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


@given(TEXTS)
def test_a_text_keeps_head_and_tail(text: str) -> None:
    cut = cut_text(text)
    assert cut == text if text_size(text) <= TEXT_ROOM else text_size(cut) <= TEXT_ROOM
    assert cut[:1_000] == text[:1_000]
    assert cut[-500:] == text[-500:]


def test_a_plans_message_may_be_long_where_nothing_else_is() -> None:
    ctx = plans.context(Plan(1, "running", b"{}"), ORIGIN, "e1", frozenset(), ())
    message = "wave " * 6_000
    found = PlanEvent(5, "out_message", msgspec.json.encode({"details": {"message": message}}), SEEN, None, message)
    record = plans.event_record(ctx, found, "5", SEEN, late=False)
    assert record.data is not None
    assert record.data["message"] == message
    assert size(record) < SAFE


def test_a_number_that_no_float_can_hold_passes_through() -> None:
    detail = b'{"report-url":"x","n":1e999,"t":"' + b"x" * 30_000 + b'"}'
    raw = b'{"id":"5","type":"node_failed","details":{"node":"n","detail":%b}}' % detail
    ctx = jobs.context(Job(1, "failed", b"{}"), ORIGIN, "e1", frozenset(), (), False)
    found = JobEvent(5, "node_failed", raw, SEEN, "n", detail)
    assert size(jobs.event_record(ctx, found, SEEN, late=False, began=None)) < SAFE
    plan = plans.context(Plan(1, "running", b"{}"), ORIGIN, "e1", frozenset(), ())
    ended = PlanEvent(5, "plan_finished", raw, SEEN, details=b'{"result":1e999}')
    assert size(plans.event_record(plan, ended, "5", SEEN, late=False)) < SAFE


LONG = st.sampled_from(["x", "é", "\U0001f600", "\x01", '"'])
FIELDS = st.builds(lambda letter, count: letter * count, LONG, st.integers(0, 30_000))


@settings(max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking takes minutes here
@given(FIELDS, FIELDS, FIELDS, st.integers(0, 5_000))
def test_no_field_makes_a_record_too_large(one: str, other: str, third: str, many: int) -> None:
    states = {f"{n}{one[:50]}": n for n in range(many)}
    raw = msgspec.json.encode({"a": one, other: third, "b": [third] * 3, "c": states})
    job = Job(
        1, "failed", raw, one, other, third, other, task=one, environment=other, target=third, node_states=states,
        owner=Owner(one, other), status=(StatusItem("running", one), StatusItem("failed", other)),
    )  # fmt: skip
    ctx = jobs.context(job, ORIGIN, "e1", frozenset(), (), False)
    detail = {"report-url": one, "transaction_uuid": other, "_error": {"kind": third, "msg": one}, other: third}
    assert size(jobs.event_record(ctx, event(detail, third), SEEN, late=False, began=None)) < SAFE
    for item in job.status or ():
        assert size(jobs.state_record(ctx, job, item, item.state, "running", SEEN)) < SAFE
    plan = Plan(1, "failure", raw, name=one, environment=other, owner=Owner(third, one), result=raw, created=other)
    about = plans.context(plan, ORIGIN, "e1", frozenset(), ())
    assert size(plans.state_record(about, plan, "failure", None, SEEN, SEEN)) < SAFE
    told = PlanEvent(5, "plan_failed", raw, one, None, other, raw)
    assert size(plans.event_record(about, told, "5", SEEN, late=False)) < SAFE


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(["[redacted]", "hmac:0123456789abcdef"]))
def test_a_mask_is_never_cut_in_two(before: int, after: int, mask: str) -> None:
    text = "x" * before + (mask + " ") * 3_000 + "y" * after
    cut = cut_text(text)
    head, _, rest = cut.partition("\n[")
    tail = rest.partition("\n")[2]
    assert not (head + tail).replace(mask, "").strip("xy ")


def test_multi_megabyte_output_keeps_head_tail_length_and_digest() -> None:
    output = "begin " + "é" * 3_000_000 + " end"
    ctx = jobs.context(Job(1, "new", b"{}"), ORIGIN, "e1", frozenset(), (), False)
    record = jobs.event_record(ctx, event({"_output": output}, None), SEEN, late=False, began=None)
    told = json.loads(msgspec.json.encode(record.data))["detail"]["_output"]
    assert told.startswith("begin é")
    assert told.endswith(" end")
    assert f"sha256 of all {len(output)}: {hashlib.sha256(output.encode()).hexdigest()}" in told
    assert size(record) < SAFE
