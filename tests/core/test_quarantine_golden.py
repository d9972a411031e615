"""Golden records of quarantine: what other programs hold on to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchbridge.core.facts import Odd
from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.quarantine import Place, aside_record, quarantined, unsaid
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules
from orchbridge.formats.cloudevents import BinaryCodec

SEEN = "2026-05-05T19:50:09.250Z"
GOLDEN = Path(__file__).parent / "data" / "quarantine.json"
PLACE = Place(Origin("prod", Rules()), "e1", "job/352/event", "352", frozenset({"pin"}), (), unknown=False)


def odd(raw: bytes, reason: str, id_: int | None = None) -> Record:
    (aside,) = unsaid(PLACE, [Odd(raw, reason, id_)], ())
    return aside_record(PLACE, aside, SEEN)


RECORDS = {
    "no_id": odd(b'{"type":"node_failed","pin":"1234"}', "an event without a usable id"),
    "too_deep": odd(b'{"id":"1271","x":' + b"[" * 101 + b"]" * 101 + b"}", "nested deeper than 100 levels", 1271),
    "no_text": odd(b'{"id":"1272","message":"\xff\xfe"}', "not UTF-8"),
    "torn": odd(b'{"id":"1273","password":"hunter2",}', "not JSON that can be read: JSON is malformed"),
    "refused": quarantined(
        Record(
            "job-events", "prod", "352", "e1:job/352/event/1274", "job.node.failed.v1", "job/352/node/web01", SEEN,
            SEEN, "e1", {"node": "web01", "message": "too much"},
        ),
        "too large: 70000 bytes where topic pe.prod.job-events takes 66000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_quarantine_record_is_byte_for_byte_what_it_was(name: str) -> None:
    message = BinaryCodec("pe.{source}", version="0").encode(RECORDS[name])
    told = {
        "topic": message.topic,
        "key": message.key.decode(),
        "headers": {header: value.decode() for header, value in message.headers},
        "value": (message.value or b"").decode(),
    }
    assert told == json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
