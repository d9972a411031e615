"""Topics: created as they must be, verified, and refused with the command that mends them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from orchbridge.core.errors import Refused
from orchbridge.core.ports import Finding, StreamId
from tests.sinks.contract import JOBS, NODES, STREAMS, head, opened, record, remember
from tests.sinks.kafka_place import KafkaPlace, administration

pytestmark = pytest.mark.kafka

DAY_MS = 86_400_000


@pytest.fixture
def place(kafka: str, prefix: str) -> KafkaPlace:
    return KafkaPlace(kafka, prefix)


async def make(place: KafkaPlace, topic: str, partitions: int = 3, **configs: str) -> str:
    """Create a topic as somebody else would, and return its full name."""
    name = f"{place.prefix}.{topic}"
    named = {key.replace("_", "."): value for key, value in configs.items()}
    async with administration(place.settings.bootstrap_servers) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])
    return name


async def configs(place: KafkaPlace, *names: str) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, f"{place.prefix}.{name}") for name in names]
    async with administration(place.settings.bootstrap_servers) as admin:
        (answer,) = await admin.describe_configs(resources)
    return {
        name.removeprefix(f"{place.prefix}."): {key: value for key, value, *_ in entries}
        for _, _, _, name, entries in answer.resources
    }


async def refused(place: KafkaPlace, *streams: StreamId, **settings: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        async with opened(place.sink(**settings), *(streams or (JOBS,))):
            pass
    return caught.value


async def check(place: KafkaPlace, **settings: Any) -> dict[str, Finding]:
    findings = list(await place.sink(**settings).check(STREAMS))
    order = {"ok": 0, "warning": 1, "failed": 2}
    return {finding.subject: finding for finding in sorted(findings, key=lambda finding: order[finding.level])}


async def test_missing_topics_are_made_as_the_design_says(place: KafkaPlace) -> None:
    async with opened(place.sink(), JOBS, NODES):
        pass
    assert await place.topics() == {
        f"{place.prefix}.{name}": count
        for name, count in {
            "cursors": 48, "prod.jobs": 3, "prod.job-events": 3, "prod.job-state": 3, "prod.quarantine": 3,
            "prod.notices": 3, "prod.heartbeat": 1, "prod.reachability": 3, "prod.node-state": 3,
        }.items()
    }  # fmt: skip
    found = await configs(
        place, "cursors", "prod.jobs", "prod.job-state", "prod.node-state", "prod.reachability", "prod.quarantine"
    )
    policies = {name: settings["cleanup.policy"] for name, settings in found.items()}
    assert policies.pop("prod.job-state") in ("compact,delete", "delete,compact")
    assert policies == {
        "cursors": "compact", "prod.jobs": "delete", "prod.node-state": "compact",
        "prod.reachability": "delete", "prod.quarantine": "delete",
    }  # fmt: skip
    days = {name: int(settings["retention.ms"]) / DAY_MS for name, settings in found.items()}
    assert {days[name] for name in policies if policies[name] == "delete"} == {days["prod.job-state"]} == {35.0}
    (beats,) = (await configs(place, "prod.heartbeat")).values()
    assert (beats["cleanup.policy"], int(beats["retention.ms"])) == ("delete", DAY_MS)
    assert int(beats["segment.ms"]) < DAY_MS, "or a day's retention would keep a week"
    for name in ("cursors", "prod.job-state", "prod.node-state"):
        assert found[name]["segment.ms"] == "600000"
        assert found[name]["segment.bytes"] == "16777216"
        assert float(found[name]["min.cleanable.dirty.ratio"]) == 0.01


async def test_two_starters_at_once_agree(place: KafkaPlace) -> None:
    async def start() -> None:
        async with opened(place.sink()) as sink, sink.claim(JOBS) as lane:
            await lane.commit(remember({"prod/jobs": head("a")}, record(1)))

    outcomes = await asyncio.gather(*(start() for _ in range(3)), return_exceptions=True)
    assert None in outcomes
    assert not [item for item in outcomes if isinstance(item, Refused)]


async def test_a_compacted_event_topic_is_refused(place: KafkaPlace) -> None:
    name = await make(place, "prod.job-events", cleanup_policy="compact")
    error = await refused(place)
    assert f"topic {name}: cleanup.policy is compact, it must be delete" in str(error)
    assert error.hint == (
        f"kafka-configs.sh --bootstrap-server {place.settings.bootstrap_servers} --alter --entity-type topics"
        f" --entity-name {name} --add-config cleanup.policy=delete"
    )


@pytest.mark.parametrize(
    ("topic", "settings", "told"),
    [
        ("prod.job-state", {"cleanup_policy": "delete"}, "it must be compact,delete: it would grow"),
        ("prod.node-state", {"cleanup_policy": "compact,delete"}, "it must be compact: what it remembers would expire"),
        ("cursors", {"cleanup_policy": "delete"}, "it must be compact"),
        ("prod.jobs", {"min_insync_replicas": "2"}, "nothing can be written to it"),
    ],
)
async def test_wrong_settings_are_refused_by_name(
    place: KafkaPlace, topic: str, settings: dict[str, str], told: str
) -> None:
    name = await make(place, topic, 48 if topic == "cursors" else 3, **settings)
    error = await refused(place, JOBS, NODES)
    assert f"topic {name}: " in str(error)
    assert told in str(error)
    assert f"--entity-name {name} --add-config" in error.hint
    findings = await check(place)
    assert findings[name].level == "failed"
    assert told in findings[name].message


async def test_a_retention_shorter_than_what_is_read_is_worth_a_warning(place: KafkaPlace) -> None:
    name = await make(place, "prod.jobs", retention_ms="604800000")
    async with opened(place.sink(), JOBS):
        pass
    findings = await place.sink().check(STREAMS)
    (finding,) = [found for found in findings if found.subject == name and "retention.ms is 7 days" in found.message]
    assert finding.level == "warning"
    assert "retention.ms=3024000000" in finding.hint


async def test_a_cursor_topic_of_another_size_is_refused(place: KafkaPlace) -> None:
    await make(place, "cursors", 6, cleanup_policy="compact")
    error = await refused(place)
    assert "it has 6 partitions, it must have 48" in str(error)
    assert "sink.group" in error.hint


async def test_all_that_is_wrong_is_told_at_once(place: KafkaPlace) -> None:
    await make(place, "cursors", 6, cleanup_policy="delete")
    await make(place, "prod.jobs", cleanup_policy="compact")
    error = await refused(place)
    assert str(error).count("cleanup.policy is") == 2
    assert "48" in str(error)


async def test_without_leave_to_create_the_commands_are_told(place: KafkaPlace) -> None:
    error = await refused(place, create_topics=False)
    assert f"Kafka has no topic {place.prefix}.cursors, " in str(error)
    assert f"kafka-topics.sh --bootstrap-server {place.settings.bootstrap_servers} --create" in error.hint
    assert f"--topic {place.prefix}.prod.job-state --partitions 3 --config cleanup.policy=compact,delete" in error.hint
    assert await place.topics() == {}, "looking made nothing"


async def test_more_replicas_than_brokers_are_refused_with_the_reason(place: KafkaPlace) -> None:
    error = await refused(place, replication_factor=3)
    assert "INVALID_REPLICATION_FACTOR" in str(error)
    assert "number of brokers" in error.hint


async def test_a_check_tells_everything_and_touches_nothing(place: KafkaPlace) -> None:
    before = await check(place)
    assert before["kafka"].level == "ok"
    assert "will be created, 48 partitions" in before[f"{place.prefix}.cursors"].message
    assert not [finding for finding in before.values() if finding.level == "failed"]
    missing = await check(place, create_topics=False)
    assert missing[f"{place.prefix}.prod.jobs"].level == "failed"
    assert await place.topics() == {}
    async with opened(place.sink()) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        after = await check(place)
        assert after[f"{place.prefix}.prod.jobs"].level == "warning"
        assert "one replica" in after[f"{place.prefix}.prod.jobs"].message
        assert after[f"transactional id {place.prefix}.prod.jobs"].message.startswith("may be described")
        await lane.commit(remember({"prod/jobs": head("a")}, record(2)))  # nobody was fenced


async def test_an_idle_lane_asks_about_its_own_topics_only(place: KafkaPlace) -> None:
    """Others may keep hundreds of thousands of partitions in the same cluster; none of them belongs into our memory."""
    await make(place, "somebody.elses")
    async with opened(place.sink(), JOBS) as sink, sink.claim(JOBS) as lane:
        client = lane._producer.client
        await client.force_metadata_update()  # as every few minutes, and after each broken connection
        assert client.cluster.topics(exclude_internal_topics=False) == {place.settings.cursor_topic}
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        await client.force_metadata_update()
        topics = client.cluster.topics(exclude_internal_topics=False)
        assert topics == {place.settings.cursor_topic, f"{place.prefix}.prod.job-events"}
