"""CloudEvents in both modes: golden messages, the standard's rules, and the way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.errors import Corrupt
from orchbridge.core.normalize.heartbeats import Claim, heartbeat
from orchbridge.core.ports import StreamId
from orchbridge.core.records import CHANNELS, COMPACTED, ERROR, JOB_EVENTS, JOBS, NODE_STATE, Message, Record
from orchbridge.core.view import StreamView
from orchbridge.formats.cloudevents import BinaryCodec, StructuredCodec, schema

OBSERVED = "2026-05-05T19:50:09.250Z"
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
RECORDS = {
    "node_failed": Record(
        channel=JOB_EVENTS,
        instance="prod",
        key="352",
        id="e1:job/352/event/1271",
        type="job.node.failed.v1",
        subject="job/352/node/web01.example.com",
        time="2026-05-05T19:50:08Z",
        observed=OBSERVED,
        epoch="e1",
        data={"node": "web01.example.com", "result": "failed", "pe": msgspec.Raw(b'{"id":"1271"}')},
        sequence=1271,
        severity=ERROR,
        correlation="plan/81",
    ),
    "replayed_state": Record(
        channel=JOBS,
        instance="prod",
        key="352",
        id="e1:job/352/state/finished",
        type="job.state.changed.v1",
        subject="job/352",
        time=OBSERVED,
        observed=OBSERVED,
        epoch="e1",
        data={"state": "finished"},
        replay=True,
        headers=(("orchbridge-replay", "true"),),
    ),
    "node_gone": Record(
        channel=NODE_STATE,
        instance="prod",
        key="web01.example.com",
        id="e1:node/web01.example.com/document/7",
        type="node.document.v1",
        subject="node/web01.example.com",
        time=OBSERVED,
        observed=OBSERVED,
        epoch="e1",
        data=None,
    ),
}
RECORDS["heartbeat"] = heartbeat(
    Claim("pe-bridge-1-77-0a1b2c3d", 3, StreamId("prod", "jobs"), 1_778_010_000.0), 2, 17,
    StreamView(position=352, epoch="e1"), "0.1.0", 1_778_010_609.25,
)  # fmt: skip
DOCUMENT = msgspec.structs.replace(RECORDS["node_gone"], data={"node": "web01.example.com", "connected": True})


def binary(prefix: str = "pe.{source}") -> BinaryCodec:
    return BinaryCodec(prefix, version="0.1.0")


def structured(prefix: str = "pe.{source}") -> StructuredCodec:
    return StructuredCodec(prefix, version="0.1.0")


def like(name: str = "node_failed", **changes: Any) -> Record:
    return msgspec.structs.replace(RECORDS[name], **changes)


def headers(message: Message) -> dict[str, str]:
    names = [name for name, _ in message.headers]
    assert len(names) == len(set(names)), "a header stands twice"
    return {name: value.decode() for name, value in message.headers}


def attributes(message: Message) -> dict[str, Any]:
    """Read a message as a receiver would, whichever mode it is in."""
    found = headers(message)
    if found.get("content-type", "").startswith("application/cloudevents"):
        assert message.value is not None
        return dict(json.loads(message.value))
    event: dict[str, Any] = {k.removeprefix("ce_"): v for k, v in found.items() if k.startswith("ce_")}
    event["severitynumber"] = int(event["severitynumber"])
    if "replay" in event:
        event["replay"] = event["replay"] == "true"
    return event | {"datacontenttype": found["content-type"], "data": json.loads(message.value or b"null")}


@pytest.mark.parametrize("name", RECORDS)
def test_binary_golden(name: str) -> None:
    message = binary().encode(RECORDS[name])
    golden = GOLDEN[name]
    assert headers(message) == golden["headers"]
    assert message.value == (None if golden["value"] is None else golden["value"].encode())
    assert (message.topic, message.key.decode(), message.timestamp_ms) == (
        golden["topic"],
        golden["key"],
        golden["timestamp_ms"],
    )


@pytest.mark.parametrize("name", RECORDS)
def test_structured_golden(name: str) -> None:
    message = structured().encode(RECORDS[name])
    assert message.value == GOLDEN[name]["structured"].encode()
    assert headers(message)["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert (message.topic, message.timestamp_ms) == (GOLDEN[name]["topic"], GOLDEN[name]["timestamp_ms"])


@pytest.mark.parametrize("name", ["node_failed", "replayed_state", "heartbeat"])
def test_both_modes_say_the_same(name: str) -> None:
    assert attributes(binary().encode(RECORDS[name])) == attributes(structured().encode(RECORDS[name]))


@pytest.mark.parametrize("name", ["node_failed", "replayed_state", "heartbeat"])
def test_attribute_names_follow_the_standard(name: str) -> None:
    event = attributes(structured().encode(RECORDS[name]))
    assert {"id", "source", "specversion", "type"} <= event.keys()
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", attribute) for attribute in event)


@pytest.mark.parametrize(
    ("type_", "address"),
    [
        ("job.node.failed.v1", "job-node/1"),
        ("job.state.changed.v1", "job-state/1"),
        ("job.summary.v1", "job-summary/1"),
        ("job.stopping.v1", "job/1"),
        ("job.event.unrecognised.v1", "job-event/1"),
        ("plan.message.v1", "plan-message/1"),
        ("plan.finished.v1", "plan/1"),
        ("node.disconnected.v1", "node/1"),
        ("node.document.removed.v1", "node-document/1"),
        ("bridge.notice.v1", "bridge-notice/1"),
        ("quarantine.v1", "quarantine/1"),
        ("job.summary.v2", "job-summary/2"),
    ],
)
def test_schema_is_the_noun(type_: str, address: str) -> None:
    assert schema(type_) == f"https://orchbridge.io/schemas/{address}.json"


@pytest.mark.parametrize("codec", [binary, structured])
def test_keys_carry_the_source_only_where_topics_are_shared(codec: Any) -> None:
    own, shared = codec().encode(RECORDS["node_failed"]), codec("pe").encode(RECORDS["node_failed"])
    assert (own.topic, own.key) == ("pe.prod.job-events", b"352")
    assert (shared.topic, shared.key) == ("pe.job-events", b"prod/352")
    assert attributes(shared)["partitionkey"] == "prod/352"


@pytest.mark.parametrize("codec", [binary, structured])
@pytest.mark.parametrize("prefix", ["pe.{source}", "pe"])
def test_a_document_comes_back(codec: Any, prefix: str) -> None:
    message = codec(prefix).encode(DOCUMENT)
    found = codec(prefix).decode("prod", message.key, message.value)
    assert found is not None
    assert found[0] == "web01.example.com"
    assert json.loads(found[1]) == DOCUMENT.data


@pytest.mark.parametrize("codec", [binary, structured])
@pytest.mark.parametrize("prefix", ["pe.{source}", "pe"])
def test_a_removal_comes_back(codec: Any, prefix: str) -> None:
    message = codec(prefix).encode(RECORDS["node_gone"])
    assert codec(prefix).decode("prod", message.key, message.value) == ("web01.example.com", None)


@pytest.mark.parametrize("codec", [binary, structured])
def test_another_sources_record_is_not_ours(codec: Any) -> None:
    message = codec("pe").encode(DOCUMENT)
    assert codec("pe").decode("lab", message.key, message.value) is None
    assert codec("pe").decode("pro", message.key, message.value) is None


def test_a_line_without_a_key_is_read_by_its_partition_key() -> None:
    for prefix in ("pe.{source}", "pe"):
        value = structured(prefix).encode(DOCUMENT).value
        found = structured(prefix).decode("prod", None, value)
        assert found is not None
        assert found[0] == "web01.example.com"


def test_keys_nobody_of_ours_wrote_are_left_alone() -> None:
    assert binary().decode("prod", None, b"{}") is None
    assert binary().decode("prod", b"\xff\xfe", b"{}") is None
    assert binary("pe").decode("prod", b"352", b"{}") is None


@pytest.mark.parametrize("value", [b"", b"not json", b'{"type":"x"}', b"[]", b'{"type":1,"partitionkey":"k"}', b"\xff"])
def test_a_damaged_line_is_never_guessed_at(value: bytes) -> None:
    with pytest.raises(Corrupt) as refusal:
        structured().decode("prod", b"k", value)
    assert refusal.value.hint


def test_an_event_that_speaks_of_removal_is_no_removal() -> None:
    gone = like(type="node.removed.v1", key="web01.example.com", data={"node": "web01.example.com"})
    message = structured().encode(gone)
    assert structured().decode("prod", message.key, message.value) == (
        "web01.example.com",
        b'{"node":"web01.example.com"}',
    )


@pytest.mark.parametrize("codec", [binary, structured])
@pytest.mark.parametrize("channel", CHANNELS)
def test_only_state_topics_have_tombstones(codec: Any, channel: str) -> None:
    record = like("node_gone", channel=channel)
    if channel in COMPACTED:
        assert codec().encode(record).key == b"web01.example.com"
    else:
        with pytest.raises(ValueError, match="only state channels delete"):
            codec().encode(record)


def test_empty_data_is_no_tombstone() -> None:
    assert binary().encode(like(data={})).value == b"{}"


@pytest.mark.parametrize(
    ("time", "timestamp_ms"),
    [
        ("2026-05-05T19:50:08Z", 1778010608000),
        ("2026-05-05T21:50:08.001+02:00", 1778010608001),
        ("2026-05-05T19:50:08.123456789Z", 1778010608123),
        ("2026-05-05T19:50:09.250Z", 1778010609250),
        ("2031-01-01T00:00:00Z", 1778010609250),  # ahead of us: brokers refuse such stamps
        ("1969-12-31T23:59:59Z", 0),
    ],
)
def test_the_timestamp_is_never_later_than_the_observation(time: str, timestamp_ms: int) -> None:
    for codec in (binary(), structured()):
        message = codec.encode(like(time=time))
        assert message.timestamp_ms == timestamp_ms
        assert attributes(message)["time"] == time


@pytest.mark.parametrize(
    "time",
    ["2016-010-22T01:02:03Z", "", "yesterday", "2026-05-05", "2026-05-05T19:50:08", "2026-W19-2T19:50:08Z", "٢٠٢٦"],
)
def test_a_malformed_time_falls_back_to_the_observation(time: str) -> None:
    message = binary().encode(like(time=time))
    assert headers(message)["ce_time"] == OBSERVED
    assert message.timestamp_ms == 1778010609250


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_headers_are_utf8_of_the_text(subject: str, key: str) -> None:
    message = binary().encode(like(subject=subject, key=key, correlation=subject))
    found = headers(message)
    assert (found["ce_subject"], found["ce_correlationid"], found["ce_partitionkey"]) == (subject, subject, key)
    assert message.key.decode() == key


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=4))
def test_structured_is_one_line_with_everything(data: dict[str, str]) -> None:
    value = structured().encode(like(data=data)).value
    assert value is not None
    assert b"\n" not in value
    assert json.loads(value)["data"] == data


def test_raw_text_with_line_ends_stays_one_line() -> None:
    value = structured().encode(like(data={"pe": msgspec.Raw(b'{\r\n "a": "x\\ny"\n}')})).value
    assert value is not None
    assert len(value.splitlines()) == 1
    assert json.loads(value)["data"] == {"pe": {"a": "x\ny"}}


def test_a_records_own_headers_travel_along() -> None:
    mark = ("__connect.errors.stage", "decode")
    for codec in (binary(), structured()):
        assert headers(codec.encode(like(headers=(mark,))))["__connect.errors.stage"] == "decode"


def test_records_of_one_kind_do_not_share_what_differs() -> None:
    codec = binary()
    first, second = codec.encode(RECORDS["node_failed"]), codec.encode(like(id="e2:x", epoch="e2", replay=True))
    assert headers(first) == GOLDEN["node_failed"]["headers"]
    assert headers(second)["ce_peepoch"] == "e2"
    assert headers(second)["ce_replay"] == "true"


def test_the_type_prefix_is_configurable() -> None:
    codec = BinaryCodec("pe", "com.example.pe", version="0.1.0")
    assert headers(codec.encode(RECORDS["node_failed"]))["ce_type"] == "com.example.pe.job.node.failed.v1"
