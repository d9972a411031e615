"""Topics of a real cluster: look, create what is missing, look again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)

from orchbridge.core.errors import Refused, SinkLost
from orchbridge.core.ports import Codec, StreamId
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import meaning
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.topics import HIDDEN, Need, Topic, create, judge, required

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
            commands = "; ".join(create(need, bootstrap) for need in missing)
            raise Refused(
                f"Kafka has no topic {', '.join(need.topic for need in missing)}",
                hint=f"{commands}; or set create_topics = true; {HIDDEN}",
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
