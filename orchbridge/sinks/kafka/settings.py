"""What the Kafka sink is told, and the names that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchbridge.core.ports import StreamId

CURSOR_PARTITIONS = 48

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Connection settings are named as aiokafka names them; files are PEM.

    partitions, replication_factor and retention_ms are for topics that orchbridge creates itself;
    replication_factor None leaves it to the broker. No message larger than max_request_size is
    sent, whatever its topic would take. Times are in seconds unless the name says otherwise.
    """

    bootstrap_servers: str
    group: str = "orchbridge"
    client_id: str = "orchbridge"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_plain_username: str | None = None
    sasl_plain_password: str | None = field(default=None, repr=False)
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = field(default=None, repr=False)
    create_topics: bool = True
    partitions: int = 6
    replication_factor: int | None = None
    retention_ms: int = 35 * DAY_MS
    compression: str = "none"
    max_request_size: int = 1_048_576
    max_batch_size: int = 262_144
    transaction_timeout_s: float = 15.0
    commit_limit_s: float = 10.0
    claim_limit_s: float = 30.0
    recall_stall_s: float = 40.0

    @property
    def cursor_topic(self) -> str:
        return f"{self.group}.cursors"

    def transactional_id(self, stream: StreamId) -> str:
        """Return the name under which the broker fences this stream's owners."""
        return f"{self.group}.{stream.source}.{stream.kind}"
