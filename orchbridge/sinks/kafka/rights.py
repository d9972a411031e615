"""What we may do, as far as brokers tell it to whoever asks: nothing is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from orchbridge.core.ports import Finding
from orchbridge.core.records import NODE_STATE
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.topics import CURSORS, Need

UNTOLD = -(2**31)
READ, WRITE, CREATE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 5, 8, 10
NAMES = {READ: "Read", WRITE: "Write", CREATE: "Create", DESCRIBE: "Describe", DESCRIBE_CONFIGS: "DescribeConfigs"}
RECALLED = (CURSORS, NODE_STATE)  # what we read back


class _Response(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("operations", Int32),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    """Metadata as of Kafka 2.3, the oldest that tells rights; aiokafka knows older ones only."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("of_cluster", Boolean),
        ("of_topics", Boolean),
    )


class _Ask(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, struct: type[_Struct]) -> _Struct:
        return struct(self._topics, False, True, True)  # no topic comes into being by asking


@dataclass(frozen=True, slots=True)
class Told:
    """Bits of what we may do, None where it is not told. `brokers` are as they name themselves."""

    brokers: tuple[tuple[str, int], ...]
    cluster: int | None = None
    topics: Mapping[str, int] | None = None


async def ask(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> Told:
    """Ask a broker about the cluster and these topics, which exist."""
    try:
        answer: Any = (await admin._send_request(_Ask(topics))).to_object()
    except (IncompatibleBrokerVersion, NotImplementedError):
        plain: Any = (await admin._get_cluster_metadata()).to_object()
        return Told(_places(plain))
    known = {each["topic"]: each["operations"] for each in answer["topics"] if each["operations"] != UNTOLD}
    cluster = answer["operations"]
    return Told(_places(answer), None if cluster == UNTOLD else cluster, known)


def _places(answer: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((each["host"], each["port"]) for each in answer["brokers"])


def judge(told: Told, needs: Iterable[Need], settings: KafkaSettings) -> list[Finding]:
    """Return what we may not do with topics that exist, and whether the missing ones may be created."""
    if told.topics is None:
        said = "not looked at: these brokers do not tell rights; what is missing shows at the first use"
        fix = "give the rights that deploy/kafka/acls.sh lists; brokers from Kafka 2.3 on tell which are missing"
        return [Finding("rights on topics", "warning", said, fix)]
    wanted = list(needs)
    there = [need for need in wanted if need.topic in told.topics]
    findings = [found for need in there for found in _topic(need, told.topics[need.topic], settings)]
    if there and not findings:
        findings.append(Finding("rights on topics", "ok", f"all that is needed on the {len(there)} that exist"))
    if len(there) < len(wanted) and settings.create_topics:
        findings.append(_creating(told.cluster, settings))
    return findings


def _topic(need: Need, operations: int, settings: KafkaSettings) -> Iterable[Finding]:
    wanted = (DESCRIBE, DESCRIBE_CONFIGS, WRITE, *((READ,) if need.channel in RECALLED else ()))
    lacking = [NAMES[bit] for bit in wanted if not operations >> bit & 1]
    if lacking:
        fix = allow(settings, f"--topic {need.topic}", lacking)
        yield Finding(need.topic, "failed", f"we may not {' and '.join(lacking)}", fix)


def _creating(cluster: int | None, settings: KafkaSettings) -> Finding:
    subject = "right to create topics"
    if cluster is not None and cluster >> CREATE & 1:
        return Finding(subject, "ok", "on the whole cluster")
    said = "not told: a rule for the prefix of our topics shows at the first use; topics that are hidden look missing"
    fix = f"{allow(settings, '--resource-pattern-type prefixed --topic PREFIX', ['Create'])}, or create them beforehand"
    return Finding(subject, "warning", said, fix)


def allow(settings: KafkaSettings, what: str, operations: Sequence[str]) -> str:
    """Return the command that gives us these rights."""
    user = settings.sasl_plain_username or "orchbridge"
    flags = " ".join(f"--operation {name}" for name in operations)
    return (
        f"kafka-acls.sh --bootstrap-server {settings.bootstrap_servers} --add --allow-principal User:{user}"
        f" {flags} {what}"
    )
