"""Which topics must exist, how, and what is wrong with those that do: pure rules over what the broker says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchbridge.core.ports import Codec, Finding, StreamId
from orchbridge.core.records import COMPACTED, HEARTBEAT, NODE_STATE
from orchbridge.sinks import needs
from orchbridge.sinks.kafka.settings import CURSOR_PARTITIONS, DAY_MS, KafkaSettings

CURSORS = "cursors"
PE_KEEPS_MS = 30 * DAY_MS  # the orchestrator's own default
MESSAGE_BYTES_MIN = 65_536
HIDDEN = "where it is there, allow the user Write and DescribeConfigs: Kafka hides what one may not describe"
MESSAGE_BYTES_OURS = 1_048_576  # what we send at most, see KafkaSettings.max_request_size

_SMALL_SEGMENTS = {"segment.ms": "600000", "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.01"}


@dataclass(frozen=True, slots=True)
class Need:
    """A topic that must be there; `configs` are what it is created with."""

    topic: str
    channel: str
    partitions: int
    configs: Mapping[str, str]

    @property
    def cleanup(self) -> str:
        return self.configs["cleanup.policy"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is: replicas of its smallest partition, and its settings as text."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]

    @property
    def message_bytes_max(self) -> int:
        return int(self.configs.get("max.message.bytes", 1_048_588))


def required(streams: Iterable[StreamId], codec: Codec, settings: KafkaSettings) -> list[Need]:
    """Return every topic these streams write to, the cursor topic first."""
    cursors = {"cleanup.policy": "compact", **_SMALL_SEGMENTS}
    found = [Need(settings.cursor_topic, CURSORS, CURSOR_PARTITIONS, cursors)]
    for topic, channel in needs.topics(streams, codec).items():
        partitions = 1 if channel == HEARTBEAT else settings.partitions  # one key a source, one record a minute
        found.append(Need(topic, channel, partitions, _configs(channel, settings)))
    return found


def _configs(channel: str, settings: KafkaSettings) -> dict[str, str]:
    retention = str(settings.retention_ms)
    if channel == HEARTBEAT:  # segments small enough in time for old ones to go
        return {"cleanup.policy": "delete", "retention.ms": str(DAY_MS), "segment.ms": str(DAY_MS // 4)}
    if channel == NODE_STATE:
        return {"cleanup.policy": "compact", **_SMALL_SEGMENTS}
    if channel in COMPACTED:
        return {"cleanup.policy": "compact,delete", "retention.ms": retention, **_SMALL_SEGMENTS}
    return {"cleanup.policy": "delete", "retention.ms": retention}


def judge(need: Need, topic: Topic, bootstrap: str) -> list[Finding]:
    """Return what is wrong with a topic, each with the command that mends it; empty where all is well."""
    return [*_policy(need, topic, bootstrap), *_partitions(need, topic), *_retention(need, topic, bootstrap),
            *_replicas(need, topic, bootstrap), *_messages(need, topic, bootstrap)]  # fmt: skip


def short(need: Need, topic: Topic, bootstrap: str) -> Sequence[Finding]:
    """Return a warning where history would be deleted as soon as it is written."""
    return _retention(need, topic, bootstrap)


def _policy(need: Need, topic: Topic, bootstrap: str) -> Sequence[Finding]:
    policies = {part.strip() for part in topic.configs.get("cleanup.policy", "delete").split(",")}
    wanted = set(need.cleanup.split(","))
    if policies == wanted or (wanted == {"compact", "delete"} and "compact" in policies):
        return ()
    if wanted == {"delete"} and "compact" not in policies:
        return ()
    reason = {
        frozenset({"delete"}): "compaction would keep only the last event of each key",
        frozenset({"compact"}): "what it remembers would expire",
        frozenset({"compact", "delete"}): "it would grow without bound",
    }[frozenset(wanted)]
    found = topic.configs.get("cleanup.policy", "")
    message = f"cleanup.policy is {found}, it must be {need.cleanup}: {reason}"
    return (Finding(need.topic, "failed", message, alter(need.topic, "cleanup.policy", need.cleanup, bootstrap)),)


def _partitions(need: Need, topic: Topic) -> Sequence[Finding]:
    if need.channel != CURSORS or topic.partitions == need.partitions:
        return ()
    message = (
        f"it has {topic.partitions} partitions, it must have {need.partitions}: a stream's memory lies where they say"
    )
    hint = "set sink.group to a new name, or delete the topic while no orchbridge runs if nothing was read yet"
    return (Finding(need.topic, "failed", message, hint),)


def _retention(need: Need, topic: Topic, bootstrap: str) -> Sequence[Finding]:
    """Kafka judges age by the record's own time: history that is read late can be gone as soon as it is written."""
    retention = int(topic.configs.get("retention.ms", -1))
    wanted = int(need.configs.get("retention.ms", -1))
    if "delete" not in topic.configs.get("cleanup.policy", "delete") or retention < 0:
        return ()
    if need.channel == HEARTBEAT or retention >= min(wanted, PE_KEEPS_MS):
        return ()
    days = round(retention / DAY_MS, 1)
    message = f'retention.ms is {days:g} days: of what start = "earliest" reads, anything older is deleted at once'
    return (Finding(need.topic, "warning", message, alter(need.topic, "retention.ms", str(wanted), bootstrap)),)


def _replicas(need: Need, topic: Topic, bootstrap: str) -> Sequence[Finding]:
    in_sync = int(topic.configs.get("min.insync.replicas", 1))
    if in_sync > topic.replicas:
        message = f"min.insync.replicas is {in_sync} with {topic.replicas} replicas: nothing can be written to it"
        fix = alter(need.topic, "min.insync.replicas", str(max(1, topic.replicas - 1)), bootstrap)
        return (Finding(need.topic, "failed", message, fix),)
    if topic.replicas == 1:
        hint = "well for a trial; otherwise create it with --replication-factor 3"
        return (Finding(need.topic, "warning", "it has one replica: a lost disk loses its records", hint),)
    if in_sync < 2:
        message = f"min.insync.replicas is {in_sync}: a record on a single broker counts as delivered"
        return (Finding(need.topic, "warning", message, alter(need.topic, "min.insync.replicas", "2", bootstrap)),)
    return ()


def _messages(need: Need, topic: Topic, bootstrap: str) -> Sequence[Finding]:
    found: list[Finding] = []
    message = ""
    if topic.message_bytes_max < MESSAGE_BYTES_MIN:
        message = f"max.message.bytes is {topic.message_bytes_max}: many records will not fit and go to quarantine"
    elif topic.message_bytes_max < MESSAGE_BYTES_OURS:
        message = (
            f"max.message.bytes is {topic.message_bytes_max}, our largest message {MESSAGE_BYTES_OURS}:"
            " larger records go to quarantine"
        )
    if message:
        fix = alter(need.topic, "max.message.bytes", "1048588", bootstrap)
        found.append(Finding(need.topic, "warning", message, fix))
    if topic.configs.get("message.timestamp.type") == "LogAppendTime":
        message = "message.timestamp.type is LogAppendTime: timestamps say when a record was written"
        fix = alter(need.topic, "message.timestamp.type", "CreateTime", bootstrap)
        found.append(Finding(need.topic, "warning", message, fix))
    return found


def alter(topic: str, name: str, value: str, bootstrap: str) -> str:
    """Return the command that sets one setting of a topic."""
    setting = f"{name}=[{value}]" if "," in value else f"{name}={value}"
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type topics"
        f" --entity-name {topic} --add-config {setting}"
    )


def create(need: Need, bootstrap: str) -> str:
    """Return the command that creates a topic as orchbridge would."""
    configs = " ".join(f"--config {name}={value}" for name, value in need.configs.items())
    return (
        f"kafka-topics.sh --bootstrap-server {bootstrap} --create --topic {need.topic}"
        f" --partitions {need.partitions} {configs}"
    )
