"""Three brokers that are one Kafka: every record on all of them, and two have to know it before it counts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from aiokafka.admin import AIOKafkaAdminClient

from tests.broker import Broker

SIZE = 3
_COPIES = ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
REPLICATED = {f"{name}.replication.factor": "3" for name in _COPIES} | {
    "min.insync.replicas": "2",
    "transaction.state.log.min.isr": "2",
}


class Cluster:
    """Brokers with replication 3 and `min.insync.replicas=2`, also for transactions and group offsets."""

    def __init__(self, *, listeners: Sequence[str] = (), heap_mb: int = 256) -> None:
        self.brokers = tuple(
            Broker(listeners=listeners, properties=REPLICATED, node=node, heap_mb=heap_mb)
            for node in range(1, SIZE + 1)
        )
        for broker in self.brokers:
            broker.voters = {each.node: each.at("CONTROLLER") for each in self.brokers}

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        """Start all at once: none is ready before a quorum of them is there."""
        with ThreadPoolExecutor(SIZE) as pool:
            list(pool.map(Broker.start, self.brokers))

    def dispose(self) -> None:
        for broker in self.brokers:
            broker.dispose()
            shutil.rmtree(broker.folder, ignore_errors=True)

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.dispose()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()


async def leaders(bootstrap: str, topic: str) -> dict[int, int]:
    """Return partition -> node id of its leader (-1 for none just now); raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        return {part["partition"]: part["leader"] for part in described["partitions"]}
    finally:
        await admin.close()


def coordinator_partition(name: str, partitions: int) -> int:
    """Return the partition of `__transaction_state` or `__consumer_offsets` whose leader coordinates this name."""
    number = 0
    for unit in name:
        number = (31 * number + ord(unit)) & 0xFFFFFFFF
    return (number & 0x7FFFFFFF) % partitions


async def followers_missing(bootstrap: str) -> int:
    """Return how many partitions, of any topic, are not on every broker just now; raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    await admin.start()
    try:
        described = await admin.describe_topics()
        parts = [part for topic in described for part in topic["partitions"]]
        return sum(len(part["isr"]) < SIZE for part in parts if len(part["replicas"]) == SIZE)
    finally:
        await admin.close()
