"""What `check` says of brokers, sizes and rights; what needs rules of a broker's own is in test_kafka_security."""

from __future__ import annotations

import socket

import pytest
from aiokafka.admin import NewTopic

from orchbridge.core.errors import SinkLost
from orchbridge.core.ports import Finding
from orchbridge.sinks.kafka import brokers, rights
from orchbridge.sinks.kafka.brokers import Answer
from orchbridge.sinks.kafka.rights import Told
from orchbridge.sinks.kafka.topics import required
from tests.sinks.contract import JOBS, NODES
from tests.sinks.kafka_place import KafkaPlace, administration

pytestmark = pytest.mark.kafka
EVERYTHING = 0b1111111111000
HERE, THERE = ("10.0.0.1", 9092), ("10.0.0.2", 9092)
WELL = Answer(0.012, {3: (0, 12), 22: (0, 4), 24: (0, 3), 26: (0, 3)})
AWAY = Answer(problem=SinkLost("Kafka at 10.0.0.2:9092 does not answer: no answer in time", hint="look"))


@pytest.fixture
def place(kafka: str, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka, prefix)


async def check(place: KafkaPlace, **more: object) -> dict[str, Finding]:
    findings = list(await place.sink(**more).check([JOBS, NODES]))
    assert all(finding.hint for finding in findings if finding.level == "failed")
    return {finding.subject: finding for finding in findings}


async def make(place: KafkaPlace, name: str, **configs: str) -> str:
    topic = f"{place.prefix}.{name}"
    async with administration(place.settings.bootstrap_servers) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    return topic


async def test_each_configured_broker_is_knocked_at(place: KafkaPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        dead = f"127.0.0.1:{sock.getsockname()[1]}"
    live = place.settings.bootstrap_servers
    findings = await check(place, bootstrap_servers=f"{dead},{live}")
    assert findings["kafka"].level == "ok"
    assert findings[f"broker {dead}"].level == "warning", "the other one is enough for now"
    assert findings[f"broker {live}"].level == "ok"
    assert "knows transactions" in findings[f"broker {live}"].message
    assert findings["right to create topics"].level == "ok"
    assert await place.topics() == {}


async def test_where_no_broker_answers_each_is_named(place: KafkaPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        dead = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (one, other)]
    findings = await check(place, bootstrap_servers=",".join(dead))
    assert {subject: finding.level for subject, finding in findings.items()} == {
        "kafka": "failed", **{f"broker {name}": "failed" for name in dead},
    }  # fmt: skip


async def test_topics_that_take_less_than_we_may_send(place: KafkaPlace) -> None:
    small = await make(place, "prod.jobs", **{"max.message.bytes": "500000"})
    tiny = await make(place, "prod.notices", **{"max.message.bytes": "1000"})
    whole = await make(place, "prod.job-events", **{"max.message.bytes": "1048588"})
    findings = await place.sink().check([JOBS])
    told = {(finding.subject, finding.message) for finding in findings if "max.message.bytes" in finding.message}
    assert {subject for subject, _ in told} == {small, tiny}
    assert any("our largest message 1048576" in message for _, message in told)
    assert whole not in {subject for subject, _ in told}
    assert {finding.subject for finding in findings if finding.subject == "rights on topics"}


async def test_more_replicas_than_brokers_are_seen_beforehand(place: KafkaPlace) -> None:
    findings = await check(place, replication_factor=3)
    assert findings[f"{place.prefix}.cursors"].level == "failed"
    assert "3 replicas on 1 brokers" in findings[f"{place.prefix}.cursors"].message
    assert await place.topics() == {}


def test_a_broker_that_is_named_to_us_must_be_reachable() -> None:
    (one, other) = brokers.judge({HERE: WELL, THERE: AWAY}, advertised=True)
    assert (one.level, other.level) == ("ok", "failed")
    assert "advertised.listeners" in other.hint
    assert [found.level for found in brokers.judge({HERE: WELL, THERE: AWAY}, advertised=False)] == ["ok", "warning"]
    assert [found.level for found in brokers.judge({THERE: AWAY}, advertised=False)] == ["failed"]


def test_a_service_without_transactions_will_not_do() -> None:
    (finding,) = brokers.judge({HERE: Answer(0.1, {3: (0, 5), 22: (0, 1)})}, advertised=False)
    assert finding.level == "failed"
    assert "AddPartitionsToTxn, EndTxn" in finding.message


def test_rights_are_judged_by_what_each_topic_is_for() -> None:
    place = KafkaPlace("10.0.0.1:9092", "p", sasl_plain_username="bridge")
    needs = required([JOBS, NODES], place.codec(), place.settings)
    names = {need.topic: EVERYTHING for need in needs}
    assert [found.level for found in rights.judge(Told((), EVERYTHING, names), needs, place.settings)] == ["ok"]
    no_read = dict.fromkeys(names, EVERYTHING & ~(1 << rights.READ))
    found = rights.judge(Told((), None, no_read), needs, place.settings)
    assert {finding.subject for finding in found} == {"p.cursors", "p.prod.node-state"}, "what is read back"
    (some,) = rights.judge(Told((), 0, {"p.cursors": 1 << rights.DESCRIBE}), needs[:1], place.settings)
    assert some.message == "we may not DescribeConfigs and Write and Read"
    assert "--allow-principal User:bridge --operation DescribeConfigs --operation Write" in some.hint
    assert some.hint.endswith("--topic p.cursors")


def test_rights_that_nobody_tells_are_said_to_be_unknown() -> None:
    place = KafkaPlace("10.0.0.1:9092", "p")
    needs = required([JOBS], place.codec(), place.settings)
    (untold,) = rights.judge(Told(()), needs, place.settings)
    assert untold.level == "warning"
    assert "not looked at" in untold.message
    (creating,) = rights.judge(Told((), 0, {}), needs, place.settings)
    assert (creating.subject, creating.level) == ("right to create topics", "warning")
    assert "--operation Create" in creating.hint
