"""Faults of a cluster: whoever leads what matters is killed and comes back."""

from __future__ import annotations

import asyncio
import time
from random import Random

from aiokafka.errors import KafkaError

from tests.broker import Broker
from tests.chaos.faults import Act, Fault
from tests.chaos.house import House
from tests.chaos.stage import Stage
from tests.cluster import coordinator_partition, followers_missing, leaders

HEAL_S = 30.0


async def _leader(stage: Stage, topic: str, partition: int | None, chance: Random) -> Broker | None:
    """Return the broker that leads this partition, or one of those the topic has; None where none is known."""
    luck = chance.random()
    try:
        led = await leaders(stage.direct, topic)
    except (KafkaError, OSError, ValueError, KeyError):
        return None
    number = sorted(led)[int(luck * len(led))] if partition is None else partition
    return next((broker for broker in stage.brokers if broker.node == led.get(number)), None)


def kill_leader(what: str) -> Act:
    """Return the fault of killing who leads `records`, the `transaction` or the `group`, or the `cursors`."""

    async def act(stage: Stage, house: House, chance: Random) -> bool:
        stream, away = chance.choice(("jobs", "plans", "inventory")), chance.uniform(0.0, 5.0)
        topic, partition = {
            "records": (f"{house.prefix}.job-events", None),
            "cursors": (f"{house.name}.cursors", None),
            "transaction": ("__transaction_state", coordinator_partition(f"{house.name}.prod.{stream}", 4)),
            "group": ("__consumer_offsets", coordinator_partition(house.name, 4)),
        }[what]
        await _healed(stage)
        broker = await _leader(stage, topic, partition, chance)
        if broker is None:
            return False
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(away)
        await asyncio.to_thread(broker.start)
        return True

    return act


async def _healed(stage: Stage) -> None:
    """Wait until every record is on all brokers again: the next one to die must not be the only one that has it."""
    ends = time.monotonic() + HEAL_S
    while time.monotonic() < ends:
        try:
            if not await followers_missing(stage.direct):
                return
        except (KafkaError, OSError, ValueError):
            pass
        await asyncio.sleep(0.5)


CLUSTER = {
    fault.name: fault
    for fault in (
        Fault("leader-kill", "one of three brokers killed: leader of a record topic", kill_leader("records")),
        Fault("cursor-leader-kill", "one of three brokers killed: leader of the cursor topic", kill_leader("cursors")),
        Fault("txn-coordinator-kill", "one of three brokers killed: their coordinator", kill_leader("transaction")),
        Fault("group-coordinator-kill", "one of three brokers killed: group coordinator", kill_leader("group")),
    )
}
