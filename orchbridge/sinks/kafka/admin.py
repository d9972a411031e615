"""Topics of a real cluster: look, create what is missing, look again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    BrokerResponseError,
    GroupAuthorizationFailedError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.protocol.group import HeartbeatRequest

from orchbridge.core.errors import Refused, SinkLost
from orchbridge.core.ports import Codec, Finding, StreamId
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import meaning
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.topics import Need, Topic, create, judge, required

READY_S = 30.0
POLL_S = 0.1


async def verify(
    clients: Clients, settings: KafkaSettings, streams: Iterable[StreamId], codec: Codec, *, create_missing: bool
) -> dict[str, Topic]:
    """Return every topic these streams need, verified; raise Refused naming all that is wrong, SinkLost."""
    wanted = required(streams, codec, settings)
    bootstrap = settings.bootstrap_servers
    async with clients.admin() as admin:
        # A metadata request by name can create a topic with the broker's defaults, so ask for all names.
        existing = set(await admin.list_topics())
        missing = [need for need in wanted if need.topic not in existing]
        if missing and not create_missing:
            raise Refused(
                f"Kafka has no topic {', '.join(need.topic for need in missing)}",
                hint="; ".join(create(need, bootstrap) for need in missing) + "; or set create_topics = true",
            )
        if missing:
            await _create(admin, missing, settings)
        found = await describe(admin, [need.topic for need in wanted])
    failed = [finding for need in wanted for finding in judge(need, found[need.topic], bootstrap)]
    failed = [finding for finding in failed if finding.level == "failed"]
    if failed:
        raise Refused(
            "; ".join(f"topic {finding.subject}: {finding.message}" for finding in failed),
            hint="; ".join(finding.hint for finding in failed),
        )
    return found


async def describe(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Topic]:
    """Return these existing topics with their settings; raise Refused where we may not look."""
    layout = await _layout(admin, names)
    configs = await _configs(admin, names)
    return {
        name: Topic(
            partitions=len(layout[name]),
            replicas=min(len(partition["replicas"]) for partition in layout[name]),
            configs=configs[name],
        )
        for name in names
    }


async def _create(admin: AIOKafkaAdminClient, needs: Sequence[Need], settings: KafkaSettings) -> None:
    factor = -1 if settings.replication_factor is None else settings.replication_factor
    # aiokafka takes "the broker's default" (-1) only together with an assignment, which may be empty.
    assignments: dict[int, list[int]] | None = {} if factor == -1 else None
    new = [NewTopic(need.topic, need.partitions, factor, assignments, dict(need.configs)) for need in needs]
    response = await admin.create_topics(new)
    for topic, code, *told in response.topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):  # somebody else may create them just now
            raise _refusal(error(str(told[0] or "") if told else ""), topic)


async def _layout(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the partitions of each topic, once every one of them has a leader."""
    refused: Mapping[str, type[BrokerResponseError]] = {}
    try:
        async with asyncio.timeout(READY_S):
            while True:
                topics = {topic["topic"]: topic for topic in await admin.describe_topics()}
                refused = {name: for_code(topics[name]["error_code"]) for name in names if name in topics}
                ready = [name for name in names if name in topics and _led(topics[name])]
                if len(ready) == len(names):
                    return {name: topics[name]["partitions"] for name in names}
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        for name, error in refused.items():
            if error is not NoError:
                raise _refusal(error(), name) from None
        raise SinkLost(
            f"topics without a leader after {READY_S:.0f} s: {', '.join(sorted(set(names) - set(ready)))}",
            hint="look at the brokers: some of them are down",
        ) from None


def _led(topic: Mapping[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and topic["error_code"] == 0 and all(item["leader"] >= 0 for item in partitions)


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, told, _, name, entries in response.resources:
            if code:
                raise _refusal(for_code(code)(told or ""), name)
            found[name] = {key: value for key, value, *_ in entries if value is not None}
    return found


def _refusal(error: KafkaError, topic: str) -> Refused | SinkLost:
    found = meaning(error, f"topic {topic}")
    return found if isinstance(found, Refused) else SinkLost(f"topic {topic}: {error}")


async def inspect(
    clients: Clients, settings: KafkaSettings, streams: Sequence[StreamId], codec: Codec
) -> list[Finding]:
    """Look at everything `check` should tell, changing nothing; raise what keeps us from the broker."""
    async with clients.admin() as admin:
        findings = [Finding("kafka", "ok", f"reached {settings.bootstrap_servers}")]
        existing = set(await admin.list_topics())
        wanted = required(streams, codec, settings)
        for need in wanted:
            if need.topic not in existing:
                findings.append(_missing(need, settings))
        for need in wanted:
            if need.topic in existing:
                findings += await _look(admin, need, settings.bootstrap_servers)
        findings += await _rights(admin, settings, streams, existing)
    return findings


def _missing(need: Need, settings: KafkaSettings) -> Finding:
    if settings.create_topics:
        return Finding(need.topic, "ok", f"missing; will be created, {need.partitions} partitions, {need.cleanup}")
    hint = f"{create(need, settings.bootstrap_servers)} or set create_topics = true"
    return Finding(need.topic, "failed", "missing", hint)


async def _look(admin: AIOKafkaAdminClient, need: Need, bootstrap: str) -> list[Finding]:
    try:
        topic = (await describe(admin, [need.topic]))[need.topic]
    except (Refused, SinkLost) as error:
        return [Finding(need.topic, "failed", str(error), error.hint)]
    good = f"{topic.partitions} partitions, {topic.replicas} replicas, {topic.configs.get('cleanup.policy')}"
    return judge(need, topic, bootstrap) or [Finding(need.topic, "ok", good)]


async def _rights(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, streams: Sequence[StreamId], existing: set[str]
) -> list[Finding]:
    """See whether we may use our names.

    Asking creates the broker's internal topics where there are none, and they may be hidden from
    us; so ask where we see them, or see that orchbridge was at work before.
    """
    asked = [(settings.group, 0, "__consumer_offsets", "consumer group")]
    asked += [(settings.transactional_id(stream), 1, "__transaction_state", "transactional id") for stream in streams]
    findings: list[Finding] = []
    for name, kind, topic, words in asked:
        subject = f"{words} {name}"
        if topic not in existing and settings.cursor_topic not in existing:
            findings.append(Finding(subject, "ok", "not seen before; the broker will tell at the first use"))
            continue
        try:
            node = await admin.find_coordinator(name, kind)
            if kind == 0:
                await _may_join(admin, node, name)
        except BrokerResponseError as error:
            found = meaning(error, subject)
            level = "failed" if found is not None else "warning"
            findings.append(Finding(subject, level, str(found or error), found.hint if found else "try again"))
        else:
            findings.append(Finding(subject, "ok", "may be used"))
    return findings


async def _may_join(admin: AIOKafkaAdminClient, node: int, group: str) -> None:
    """Raise GroupAuthorizationFailedError where we may not be a member.

    A heartbeat of a member that does not exist needs the same right as joining, and changes nothing.
    """
    answer = await admin._client.send(node, HeartbeatRequest(group, 0, "nobody"))
    if for_code(answer.error_code) is GroupAuthorizationFailedError:
        raise GroupAuthorizationFailedError(group)
