"""The parts of the Kafka sink that need no broker: packing, suspicion, verdicts on topics, secrets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import StreamId
from orchbridge.core.records import Message
from orchbridge.formats.cloudevents import BinaryCodec
from orchbridge.sinks.kafka import KafkaSettings, cursor_partition
from orchbridge.sinks.kafka.clients import tls
from orchbridge.sinks.kafka.fitting import owner
from orchbridge.sinks.kafka.packing import Packed, Packer, Parcel, partition_for, size
from orchbridge.sinks.kafka.suspects import Suspects
from orchbridge.sinks.kafka.topics import Topic, judge, required

SETTINGS = KafkaSettings("broker:9092")
FULL = 16_384


def parcel(number: int, partition: int = 0, bytes_: int = 10, *, suspect: bool = False, room: int = FULL) -> Parcel:
    message = Message("t", b"%d" % number, b"x" * bytes_, [("h", b"v")], 1_000)
    return Parcel(message, partition, room, str(number), suspect)


def packed(parcels: list[Parcel], per_batch: int = 1) -> list[Packed]:
    packer = Packer(lambda: BatchBuilder(FULL, 0, is_transactional=1), FULL, per_batch)
    full = [packer.add(item) for item in parcels]
    return [batch for batch in full if batch is not None] + packer.rest()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20_000), st.booleans()), max_size=60))
def test_packing_keeps_every_message_once_and_in_order(load: list[tuple[int, int, bool]]) -> None:
    parcels = [parcel(n, place, bytes_, suspect=suspect) for n, (place, bytes_, suspect) in enumerate(load)]
    batches = packed(parcels)
    for place in range(4):
        wanted = [item.id for item in parcels if item.partition == place]
        assert [id_ for batch in batches if batch.partition == place for id_ in batch.ids] == wanted
    for batch in batches:
        assert len(batch.ids) == batch.builder.record_count() >= 1
        assert len(batch.ids) == 1 or batch.builder.size() <= FULL
        assert len(batch.ids) == 1 or not any(load[int(id_ or 0)][2] for id_ in batch.ids), "suspects travel alone"


def test_a_batch_is_handed_out_as_soon_as_it_is_full() -> None:
    packer = Packer(lambda: BatchBuilder(FULL, 0, is_transactional=1), FULL, 1)
    handed = [packer.add(parcel(n, n % 2, 7_000)) for n in range(6)]
    assert [batch and batch.ids for batch in handed] == [None, None, None, None, ("0", "2"), ("1", "3")]
    assert [batch.ids for batch in packer.rest()] == [("4",), ("5",)]


def test_a_small_topic_gets_small_batches() -> None:
    batches = packed([parcel(n, 0, 1_000, room=3_000) for n in range(10)])
    assert all(batch.builder.size() <= 3_000 for batch in batches)
    assert len(batches) == 5


@given(
    st.binary(max_size=200), st.binary(max_size=2_000), st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=99)))
)
def test_a_message_is_never_measured_too_small(key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    builder = BatchBuilder(FULL, 0, is_transactional=1)
    builder.append(timestamp=1_000, key=key, value=value, headers=headers)
    assert builder.size() <= size(Message("t", key, value, headers, 1_000))


@given(st.binary(max_size=40), st.integers(1, 50))
def test_keys_go_where_java_puts_them(key: bytes, partitions: int) -> None:
    assert partition_for(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])


def test_the_place_of_a_memory_never_changes() -> None:
    """These are facts about data on disk: another value would lose the memory of a stream."""
    assert {name: cursor_partition(name) for name in ("prod/jobs", "prod/plans", "prod/inventory")} == {
        "prod/jobs": 32, "prod/plans": 38, "prod/inventory": 46,
    }  # fmt: skip


def test_suspicion_narrows_down_to_one() -> None:
    suspects = Suspects()
    ids = [str(n) for n in range(2_000)]
    attempts = 0
    while suspects.verdict("777") is None:
        attempts += 1
        width = suspects.per_batch if suspects.suspect("777") else len(ids)
        group = [id_ for id_ in ids if suspects.suspect(id_)] or ids
        start = group.index("777") // width * width
        assert suspects.accuse(group[start : start + width], "invalid")
    assert attempts == 5
    assert [id_ for id_ in ids if suspects.verdict(id_)] == ["777"]
    assert not suspects.bare("777")
    assert suspects.accuse(["777"], "its quarantine record is refused as well")
    assert suspects.bare("777")
    assert not suspects.accuse(["777"], "even its bones are refused")
    assert not suspects.accuse([None, None], "cursor documents cannot be replaced")
    suspects.arrived(())
    assert suspects.bare("777"), "something else went through"
    suspects.arrived(ids)
    assert suspects.verdict("777") is None
    assert not any(suspects.suspect(id_) for id_ in ids)


@pytest.mark.parametrize(
    ("document", "stamp"), [(b'{"v":1,"owner":"w1"}', "w1"), (b"[]", None), (b"{", None), (None, None)]
)
def test_an_owner_stamp_is_read_without_trust(document: bytes | None, stamp: str | None) -> None:
    assert owner(document) == stamp


@pytest.mark.parametrize(
    ("channel", "configs", "level", "told"),
    [
        ("jobs", {}, None, ""),
        ("jobs", {"retention.ms": "-1"}, None, ""),
        ("jobs", {"cleanup.policy": "compact,delete"}, "failed", "last event of each key"),
        ("job-state", {"cleanup.policy": "compact"}, None, ""),
        ("node-state", {"cleanup.policy": "compact", "retention.ms": "1"}, None, ""),
        ("jobs", {"min.insync.replicas": "1"}, "warning", "single broker"),
        ("jobs", {"max.message.bytes": "1000"}, "warning", "quarantine"),
        ("jobs", {"message.timestamp.type": "LogAppendTime"}, "warning", "when a record was written"),
    ],
)
def test_topics_are_judged(channel: str, configs: dict[str, str], level: str | None, told: str) -> None:
    streams = (StreamId("prod", "jobs"), StreamId("prod", "inventory"))
    needs = required(streams, BinaryCodec("pe.{source}", version="0"), SETTINGS)
    need = next(need for need in needs if need.topic == f"pe.prod.{channel}")
    good = {"cleanup.policy": need.cleanup, "retention.ms": str(35 * 86_400_000), "min.insync.replicas": "2"}
    findings = judge(need, Topic(6, 3, good | configs), "b:1")
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(told in finding.message and "kafka-configs.sh" in finding.hint for finding in findings)


def test_passwords_show_nowhere() -> None:
    settings = KafkaSettings("b:1", sasl_plain_password="s3cret-1", ssl_password="s3cret-2")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)


def test_a_missing_ca_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/ca\.pem"):
        tls(KafkaSettings("b:1", security_protocol="SSL", ssl_cafile="/nowhere/ca.pem"))


def test_a_key_with_a_password_never_asks_the_terminal(tmp_path: Path) -> None:
    """OpenSSL would prompt, and a service would hang at its start."""
    pem = tmp_path / "pair.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=x", "-passout", "pass:abcd"]
    subprocess.run([*command, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    program = (
        "from orchbridge.sinks.kafka.clients import *\n"
        f"tls(KafkaSettings('b:1', security_protocol='SSL', ssl_certfile={str(tmp_path / 'cert.pem')!r},"
        f" ssl_keyfile={str(pem)!r}))"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(
        run, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, start_new_session=True, check=False
    )
    assert "ConfigError" in done.stderr
    assert "pass phrase" not in done.stderr
