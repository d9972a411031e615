"""Whatever a server says, in real bytes through the real reader and streams: told or set aside, and each once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchbridge.core.facts import Odd
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.quarantine import NAMES_MAX, Place, aside_record, quarantined, unsaid
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.ports import Stream
from orchbridge.core.questions import (
    Answer,
    Inventory,
    InventoryOf,
    JobDetail,
    JobEvents,
    JobNodes,
    JobsPage,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    PlansPage,
    Question,
    Reply,
    TaskMetadata,
    Trouble,
)
from orchbridge.core.records import QUARANTINE, Record
from orchbridge.core.redact import Rules
from orchbridge.core.redact_odd import redact_odd
from orchbridge.formats.cloudevents import BinaryCodec
from orchbridge.orchestrator.wire import read
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.core import live

SECRET = "Zq8-h4Nter"
AT = "1970-01-01T00:00:0%dZ"


def listing(*items: bytes) -> bytes:
    return b'{"items":[' + b",".join(items) + b'],"pagination":{"total":%d}}' % len(items)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def job(number: int) -> dict[str, Any]:
    return {
        "name": str(number), "state": "finished", "timestamp": AT % 4, "created_timestamp": AT % 0,
        "finished_timestamp": AT % 4, "node_count": 1, "node_states": {"finished": 1},
        "owner": {"id": "o", "login": "ops"},
        "options": {"task": "a::b", "params": {"db_password": SECRET}},
        "status": [{"state": "running", "enter_time": AT % 1}, {"state": "finished", "enter_time": AT % 4}],
    }  # fmt: skip


def events(first: int) -> list[bytes]:
    told = [("node_running", 1), ("node_finished", 3)]
    items = [
        {
            "id": str(first + n),
            "type": kind,
            "timestamp": AT % at,
            "details": {"node": "n1", "detail": {}},
            "message": "m",
        }
        for n, (kind, at) in enumerate(told)
    ]
    return [encoded(item) for item in (*items, {"id": str(first + 2), "type": "job_finished", "timestamp": AT % 4})]


PLAN = {
    "name": "5", "state": "success", "options": {"plan_name": "p", "parameters": {"db_password": SECRET}},
    "created_timestamp": AT % 0,
    "finished_timestamp": AT % 4, "timestamp": AT % 4,
}  # fmt: skip
PLAN_EVENTS = [
    encoded({"id": "1", "type": "task_start", "timestamp": AT % 1, "details": {"job-id": "1"}}),
    encoded({"id": "2", "type": "plan_finished", "timestamp": AT % 4, "details": {"result": {}}}),
]


@dataclass
class Bytes:
    """A server that answers every question with bytes; `odd` lists items to put among the good ones of a question."""

    odd: dict[type, list[bytes]] = field(default_factory=dict)
    instead: dict[type, Callable[[Question], bytes]] = field(default_factory=dict)
    jobs: tuple[int, ...] = (1, 2)

    def body(self, question: Question) -> bytes | Trouble:
        if type(question) in self.instead:
            return self.instead[type(question)](question)
        extra = self.odd.get(type(question), [])
        match question:
            case JobsPage(offset=0):
                return listing(*(encoded(job(number)) for number in sorted(self.jobs, reverse=True)), *extra)
            case JobDetail(job=number) if number in self.jobs:
                return encoded(job(number))
            case JobEvents(job=number, start=start):
                shown = [e for n, e in enumerate(events(10 * number), 10 * number) if n >= (start or 0)]
                return listing(*extra, *shown) if number == 1 else listing(*shown)
            case JobNodes(job=number, offset=0):
                row = encoded({"name": "n1", "state": "finished"})
                return listing(row, *extra) if number == 1 else listing(row)
            case PlansPage(offset=0):
                return listing(encoded(PLAN), *extra)
            case PlanDetail(plan=5):
                return encoded(PLAN)
            case PlanEvents(plan=5):
                return listing(*extra, *PLAN_EVENTS)
            case PlanEventWhole(plan=5):
                return Trouble("missing", "none")
            case TaskMetadata():
                return encoded({"name": "a::b", "metadata": {"parameters": {"pin": {"sensitive": True}}}})
            case Inventory():
                return listing(encoded({"name": "n1", "connected": True, "broker": "b", "timestamp": AT % 1}), *extra)
            case InventoryOf(nodes=nodes):
                return listing(*(encoded({"name": name, "connected": False}) for name in nodes))
            case JobsPage() | JobNodes() | PlansPage():
                return listing()
        return Trouble("missing", "unknown")

    def answer(self, question: Question) -> Answer:
        body = self.body(question)
        return body if isinstance(body, Trouble) else read(question, body)


STREAMS: dict[str, Callable[..., Stream]] = {"jobs": JobStream, "plans": PlanStream, "inventory": InventoryStream}


def lived(kind: str, server: Bytes, *, seconds: int = 60, claims: int = 3) -> tuple[MemoryStore, list[str]]:
    """Live on for a while, with crashes in between; return what was stored and what a log would have said."""
    store, said = MemoryStore(), list[str]()

    async def live_on() -> None:
        sink = MemorySink(store, BinaryCodec("pe.{source}", version="1"), quarantine=quarantined)
        stream = STREAMS[kind](live.settings(kind))
        for claim in range(claims):
            async with sink.claim(stream.id) as lane:
                recall = stream.recall(f"w{claim}")
                async for document in lane.recall(stream.channels):
                    recall.learn(document)
                state = recall.state()
                for step in range(2 * seconds):
                    now = claim * seconds + step / 2
                    replies = [Reply(q, server.answer(q), now, now) for q in stream.ask(state, now)]
                    while replies:
                        batch = stream.fold(state, replies, now)
                        await lane.commit(batch)
                        said.extend(f"{about}: {trouble.explanation}" for about, trouble in batch.troubles)
                        state, replies = batch.state, list(batch.left)

    asyncio.run(live_on())
    return store, said


def set_aside(store: MemoryStore) -> list[dict[str, Any]]:
    return [json.loads(msgspec.json.encode(r.data)) for r in store.records if r.channel == QUARANTINE]


def assert_sound(store: MemoryStore, said: list[str]) -> None:
    """Nothing twice, nothing secret, everything with its headers."""
    assert [one for one, count in Counter(store.ids).items() if count > 1] == []
    for message in store.messages:
        everything = b"\n".join([message.value or b"", message.key, *(value for _, value in message.headers)])
        assert SECRET.encode() not in everything
        assert len(everything) < 65_536 or message.topic.endswith("-state")
    assert SECRET not in "\n".join(said)
    for record in store.records:
        if record.channel == QUARANTINE:
            assert record.id.endswith("/quarantine")
            headers = dict(record.headers)
            assert headers["__connect.errors.stage"] == "NORMALIZE"
            assert record.data is not None
            assert record.data["reason"].split()[0] in headers["__connect.errors.exception.message"]
            assert len(headers) == 5
            assert {"reason", "stage", "original_type", "original", "size", "sha256"} <= set(record.data)


DEEP = b'{"id":"77","type":"node_failed","details":{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}}"
# What is wrong -> the items, and how many records of quarantine they are worth.
ODD_EVENTS: dict[str, tuple[list[bytes], int]] = {
    "no object": ([b"null", b"7", b'"a text"', b"[1]", b"true"], 5),
    "no id": ([b'{"type":"node_failed"}', b'{"type":"node_failed","message":"another"}'], 2),
    "strange ids": ([b'{"id":"abc","type":"x"}', b'{"id":-3,"type":"x"}', b'{"id":{},"type":"x"}', b'{"id":0}'], 4),
    "a huge id": ([b'{"id":99999999999999999999999999,"type":"x"}'], 1),
    "an id with other contents": ([b'{"id":"10","type":"node_failed","message":"other"}'], 1),
    "the same one twice": ([b'{"type":"same"}', b'{"type": "same"}'], 1),
    "not UTF-8": ([b'{"id":"78","type":"node_failed","message":"\xff\xfe"}', b'{"id":"79","message":"\xff\xfe"}'], 2),
    "NaN and Infinity": ([b'{"id":"71","v":NaN}', b'{"id":"72","v":[Infinity]}', b'{"id":"73","v":-Infinity}'], 3),
    "too many digits": ([b'{"id":"74","v":' + b"9" * 5_000 + b"}"], 1),
    "nested too deep": ([DEEP, b"[" * 100_000 + b"]" * 100_000], 2),
    "half a surrogate pair": ([b'{"id":"75","type":"node_failed","message":"\\ud800"}'], 1),
    "a control character": ([b'{"id":"76","message":"a\x00b"}'], 1),
    "torn": ([b'{"id":"80","type":}', b'{"id" "81"}', b"hello"], 3),
    "a long certname": ([encoded({"id": "82", "type": "node_failed", "details": {"node": "n" * 70_000}})], 1),
    "a secret, torn": ([b'{"id":"83","db_password":"%b",}' % SECRET.encode(), b'{"a":"%b"!}' % SECRET.encode()], 2),
    "a secret, disguised": ([b'{"id":"84","db_p\\u0061ssword\x00":"%b\x00"}' % SECRET.encode()], 1),
    "a secret without id": ([b'{"password":"%b"}' % SECRET.encode()], 1),
}  # fmt: skip


@pytest.mark.parametrize("wrong", ODD_EVENTS)
def test_odd_events_of_a_job_are_set_aside_and_the_others_delivered(wrong: str) -> None:
    items, worth = ODD_EVENTS[wrong]
    store, said = lived("jobs", Bytes(odd={JobEvents: items}))
    assert_sound(store, said)
    delivered = [one for one in store.ids if "/event/" in one and not one.endswith("/quarantine")]
    kept = {f"e1:job/{number}/event/{number}{n}" for number in (1, 2) for n in range(3)}
    assert kept <= set(delivered)
    assert len(set_aside(store)) + len(set(delivered) - kept) == worth
    summaries = [record.data for record in store.records if record.type == "job.summary.v1"]
    assert {summary["job"] and summary["complete"] for summary in summaries if summary} == {True}


@pytest.mark.parametrize("wrong", set(ODD_EVENTS) - {"no id", "the same one twice", "an id with other contents"})
def test_odd_events_of_a_plan_are_set_aside_and_the_others_delivered(wrong: str) -> None:
    items, worth = ODD_EVENTS[wrong]
    store, said = lived("plans", Bytes(odd={PlanEvents: items}))
    assert_sound(store, said)
    delivered = [one for one in store.ids if "/event/" in one and not one.endswith("/quarantine")]
    assert {"e1:plan/5/event/1", "e1:plan/5/event/2"} <= set(delivered)
    assert len(set_aside(store)) + len(delivered) - 2 == worth


ROWS: dict[str, tuple[type, str, list[bytes], int]] = {
    "node rows": (JobNodes, "jobs", [b"7", b'{"state":"finished"}', b'{"name":"","state":"x"}', b'{"name":[]}'], 4),
    "jobs": (JobsPage, "jobs", [b'{"name":"abc"}', b"[]", b'{"name":"-4","state":"new"}', b'{"state":"\xff"}'], 4),
    "a job with a secret": (JobsPage, "jobs", [b'{"name":"x","options":{"params":{"a":"%b"}}}' % SECRET.encode()], 1),
    "plans": (PlansPage, "plans", [b'{"name":"abc"}', b'"%b"' % (b"x" * 100_000), b"{}"], 3),
    "inventory": (Inventory, "inventory", [b"null", b'{"connected":true}', b'{"name":"n2","connected":"maybe"}'], 3),
}  # fmt: skip


@pytest.mark.parametrize("where", ROWS)
def test_odd_items_of_lists_are_set_aside_and_the_others_go_on(where: str) -> None:
    question, kind, items, worth = ROWS[where]
    store, said = lived(kind, Bytes(odd={question: items}))
    assert_sound(store, said)
    assert len(set_aside(store)) == worth
    wanted = {
        "jobs": {"e1:job/1/summary/1", "e1:job/2/summary/1"},
        "plans": {"e1:plan/5/event/2", "e1:plan/5/state/success"},
        "inventory": {"e1:node/n1/document/1"},
    }
    assert wanted[kind] <= set(store.ids)


def test_an_odd_item_of_a_list_that_changes_all_the_time_is_one() -> None:
    ticks = iter(range(10_000))
    server = Bytes()
    server.instead[JobsPage] = lambda q: listing(
        *([] if q.offset else [encoded(job(1)), b'{"name":"abc","timestamp":"%d"}' % next(ticks)])
    )  # type: ignore[attr-defined]
    store, said = lived("jobs", server)
    assert_sound(store, said)
    assert len(set_aside(store)) == 1


def test_more_odd_items_than_can_be_remembered_end_in_one_that_says_so() -> None:
    items = [b'{"type":"odd %d"}' % n for n in range(NAMES_MAX + 200)]
    store, said = lived("jobs", Bytes(odd={JobEvents: items}), seconds=12, claims=2)
    assert_sound(store, said)
    found = set_aside(store)
    assert len(found) == NAMES_MAX + 1
    assert "e1:job/1/event/more/quarantine" in store.ids
    assert "e1:job/1/event/12" in store.ids


def test_strange_fields_of_a_job_do_not_hold_it_up() -> None:
    strange = {**job(3), "state": 7, "timestamp": [], "node_count": "x", "node_states": [1], "owner": 4, "status": {}}
    weird = {**job(4), "options": [], "description": 8, "created_timestamp": {}, "finished_timestamp": "soon"}
    server = Bytes(jobs=(1, 2))
    server.odd[JobsPage] = [encoded(strange), encoded(weird)]
    store, said = lived("jobs", server)
    assert_sound(store, said)
    assert {"e1:job/1/summary/1", "e1:job/2/summary/1"} <= set(store.ids)


@pytest.mark.parametrize("name", ["a/b", "a\x00b", "a\nb\rc", "../../x", "ü" * 200, "\u202e", '"', "n" * 1_000])
def test_a_strange_certname_is_carried(name: str) -> None:
    row = encoded({"name": name, "connected": True, "timestamp": AT % 1})
    store, said = lived("inventory", Bytes(odd={Inventory: [row]}))
    assert_sound(store, said)
    assert set_aside(store) == []
    assert {record.key for record in store.records} == {"n1", name}


# --- secrets ---------------------------------------------------------------------------------------------------------

PLACE = Place(Origin("prod", Rules()), "e1", "job/1/event", "1", frozenset({"pin"}), ("Kn0wn-Value",), unknown=False)
KEYS = st.sampled_from(["password", "db_password", "apiKey", "pin", "client-secret", "Authorization"])
SHAPES = st.sampled_from(
    [
        *('{"a":1,"K":"S"}', '{"a":{"K":{"x":["S"]}}}', '{"m":"K=S","b":[]}', '{"m":"{\\"K\\":\\"S\\"}"}'),
        '{"x":"y","a":"Kn0wn-Value"}',
    ]
)  # fmt: skip
JUNK = st.sampled_from([b"\xff", b"\x00", b",,", b"}", b"NaN", b"\\", b'"', b"\xed\xa0\x80", b"#", b"[", b"\n"])


def record_of(raw: bytes) -> Record:
    (aside,) = unsaid(PLACE, [Odd(raw, "odd")], ())
    return aside_record(PLACE, aside, AT % 1)


@settings(max_examples=1000)
@given(SHAPES, KEYS, st.integers(0, 60), JUNK, st.booleans(), st.booleans())
def test_no_secret_shows_in_what_is_torn_or_odd(  # one way of tearing each
    shape: str, key: str, at: int, junk: bytes, torn: bool, among: bool
) -> None:
    for mark in ('"', "\\", "="):
        shape = shape.replace("K" + mark, key + mark)
    raw = shape.replace("S", SECRET).encode()
    at %= len(raw) + 1
    start = raw.find(SECRET.encode())
    inside = start <= at < start + len(SECRET) or key.encode() in raw[max(0, at - len(key)) : at + len(key)]
    if inside and junk in {b",,", b"}", b"NaN", b"#", b"[", b"\\"}:
        return  # a name with other letters in it is another name
    raw = raw[:at] + (b"" if torn and not among else junk) + (b"" if torn else raw[at:])
    record = record_of(raw)
    shown = msgspec.json.encode(record.data) + repr((record.headers, record.id)).encode()
    if record.data and record.data.get("encoding"):
        shown += base64.b64decode(record.data["original"])
    assert SECRET.encode() not in shown
    assert b"Kn0wn-Value" not in shown


@given(st.binary(max_size=200))
def test_any_bytes_at_all_become_one_record(raw: bytes) -> None:
    assert len(msgspec.json.encode(record_of(raw).data)) < 20_000
    assert record_of(raw).id == record_of(raw).id


def test_what_breaks_finer_rules_only_is_still_shown() -> None:
    shown = redact_odd(b'{"a":NaN,"password":"x","b":"\xff","n":1e999}', Rules())
    assert shown == b'{"a":NaN,"password":"[redacted]","b":"\xff","n":1e999}'
    assert redact_odd(b'{"a":1,}', Rules()) == b'{"a":1,}'
    assert redact_odd(b'{"password":"x",}', Rules()) is None


def test_the_digest_of_what_is_withheld_does_not_let_a_pin_be_guessed() -> None:
    one, other = record_of(b'{"pin":"1234",}'), record_of(b'{"pin":"9876",}')
    assert one.data is not None
    assert other.data is not None
    assert (one.id, one.data["sha256"]) == (other.id, other.data["sha256"])
    assert one.data["withheld"] is True


def test_items_that_differ_only_in_their_secrets_are_two() -> None:
    pair = [Odd(b'{"password":"a"}', "odd"), Odd(b'{"password":"b"}', "odd")]
    first, second = unsaid(PLACE, pair, ())
    assert second.name == f"{first.name}-2"
    assert unsaid(PLACE, pair, {first.name, second.name}) == []


@pytest.mark.parametrize("body", [b"[]", b'{"id":NaN}', b'{"state":7', b'{"items":7}'])
def test_a_job_whose_page_is_never_understood_is_certified_all_the_same(body: bytes) -> None:
    store, said = lived("jobs", Bytes(instead={JobDetail: lambda _: body}), seconds=1_000, claims=1)
    assert_sound(store, said)
    assert {"e1:job/1/summary/1", "e1:job/1/state/finished", "e1:jobs/notice/parked/job-1"} <= set(store.ids)


@pytest.mark.parametrize("question", [JobEvents, JobNodes])
@pytest.mark.parametrize("body", [b"[]", b'{"items":7}', b'{"items":{"0":{}}}', b"\xff\x00", b"{" * 100_000])
def test_lists_that_are_none_end_in_a_certificate_that_says_so(question: type, body: bytes) -> None:
    store, said = lived("jobs", Bytes(instead={question: lambda _: body}), seconds=1_000, claims=1)
    assert_sound(store, said)
    summaries = [record.data for record in store.records if record.type == "job.summary.v1"]
    assert [summary and summary["complete"] for summary in summaries] == [False, False]
    assert "e1:jobs/notice/gap/job-1" in store.ids


@pytest.mark.parametrize("body", [b"[]", b'{"metadata":7}', b'{"metadata":{"parameters":["x"]}}', b"NaN"])
def test_task_metadata_that_is_nonsense_hides_the_parameters_and_holds_nothing_up(body: bytes) -> None:
    store, said = lived("jobs", Bytes(instead={TaskMetadata: lambda _: body}), seconds=100)
    assert_sound(store, said)
    assert {"e1:job/1/summary/1", "e1:job/2/summary/1"} <= set(store.ids)
    assert any("metadata of task a::b" in line for line in said)
