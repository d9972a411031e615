"""What `check` says of a cluster: brokers, topics, rights; looked at without changing anything."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import BrokerResponseError, GroupAuthorizationFailedError, for_code
from aiokafka.protocol.group import HeartbeatRequest

from orchbridge.core.errors import Refused, SinkLost
from orchbridge.core.ports import Codec, Finding, StreamId
from orchbridge.sinks.kafka import brokers, rights
from orchbridge.sinks.kafka.admin import describe
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import meaning
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.topics import HIDDEN, Need, create, judge, required

SEEN = "may be described; whether we may write with it shows at the first use"


async def inspect(
    clients: Clients, settings: KafkaSettings, streams: Sequence[StreamId], codec: Codec
) -> list[Finding]:
    """Look at everything `check` should tell, changing nothing; raise what keeps us from the cluster."""
    async with clients.admin() as admin:
        existing = set(await admin.list_topics())
        wanted = required(streams, codec, settings)
        told = await rights.ask(admin, sorted(need.topic for need in wanted if need.topic in existing))
        findings = [Finding("kafka", "ok", f"reached {settings.bootstrap_servers}")]
        findings += await _brokers(clients, settings, told.brokers)
        for need in wanted:
            if need.topic not in existing:
                findings.append(_missing(need, settings, len(told.brokers)))
        for need in wanted:
            if need.topic in existing:
                findings += await _look(admin, need, settings.bootstrap_servers)
        findings += rights.judge(told, wanted, settings)
        findings += await _names(admin, settings, streams, existing)
    return findings


async def _brokers(clients: Clients, settings: KafkaSettings, advertised: Sequence[tuple[str, int]]) -> list[Finding]:
    """Knock at each broker as it is configured, then at those that it leads us to."""
    first = brokers.configured(settings.bootstrap_servers)
    found = brokers.judge(await brokers.knock(clients, first), advertised=False)
    others = [place for place in advertised if place not in first]
    return [*found, *brokers.judge(await brokers.knock(clients, others), advertised=True)]


def _missing(need: Need, settings: KafkaSettings, count: int) -> Finding:
    if not settings.create_topics:
        hint = f"{create(need, settings.bootstrap_servers)} or set create_topics = true; {HIDDEN}"
        return Finding(need.topic, "failed", "missing", hint)
    if settings.replication_factor is not None and settings.replication_factor > count:
        said = f"missing, and cannot be created with {settings.replication_factor} replicas on {count} brokers"
        return Finding(need.topic, "failed", said, "set replication_factor to at most the number of brokers")
    return Finding(need.topic, "ok", f"missing; will be created, {need.partitions} partitions, {need.cleanup}")


async def _look(admin: AIOKafkaAdminClient, need: Need, bootstrap: str) -> list[Finding]:
    try:
        topic = (await describe(admin, [need.topic]))[need.topic]
    except (Refused, SinkLost) as error:
        return [Finding(need.topic, "failed", str(error), error.hint)]
    good = f"{topic.partitions} partitions, {topic.replicas} replicas, {topic.configs.get('cleanup.policy')}"
    return judge(need, topic, bootstrap) or [Finding(need.topic, "ok", good)]


async def _names(
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
            findings.append(Finding(subject, "ok", "may be used" if kind == 0 else SEEN))
    return findings


async def _may_join(admin: AIOKafkaAdminClient, node: int, group: str) -> None:
    """Raise GroupAuthorizationFailedError where we may not be a member.

    A heartbeat of a member that does not exist needs the same right as joining, and changes nothing.
    """
    answer = await admin._client.send(node, HeartbeatRequest(group, 0, "nobody"))
    if for_code(answer.error_code) is GroupAuthorizationFailedError:
        raise GroupAuthorizationFailedError(group)
