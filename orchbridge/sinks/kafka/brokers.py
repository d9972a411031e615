"""What `check` says of the brokers: each is knocked at by itself, as configured and as they name themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import collect_hosts

from orchbridge.core.errors import OrchbridgeError
from orchbridge.core.ports import Finding
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import DOUBT, lost, meaning

KNOCK_S = 5.0
BROKERS_MAX = 50
# Kafka's own numbers of the requests without which there is no transaction.
TRANSACTIONS = {22: "InitProducerId", 24: "AddPartitionsToTxn", 26: "EndTxn"}
AUTHORIZED_OPERATIONS = (3, 8)  # Metadata tells them from this version on


@dataclass(frozen=True, slots=True)
class Answer:
    """How one broker answered: how quickly, and which versions of which requests it takes; or why it did not."""

    seconds: float = 0.0
    versions: Mapping[int, tuple[int, int]] | None = None
    problem: OrchbridgeError | None = None


def configured(bootstrap: str) -> list[tuple[str, int]]:
    """Return host and port of the configured brokers, in their order."""
    return sorted({(host, port) for host, port, _ in collect_hosts(bootstrap, randomize=False)})


async def knock(clients: Clients, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Answer]:
    """Return how each of these answers a connection of its own, made at the same time."""
    async with asyncio.TaskGroup() as group:
        asked = {place: group.create_task(_one(clients, *place)) for place in list(places)[:BROKERS_MAX]}
    return {place: task.result() for place, task in asked.items()}


async def _one(clients: Clients, host: str, port: int) -> Answer:
    began = time.monotonic()
    try:
        async with asyncio.timeout(KNOCK_S), clients.connection(host, port) as connection:
            versions: Any = connection._versions
            return Answer(time.monotonic() - began, dict(versions))
    except DOUBT as error:
        subject = f"Kafka at {host}:{port}"
        return Answer(problem=meaning(error, subject) or lost(error, f"{subject} does not answer"))


def judge(answers: Mapping[tuple[str, int], Answer], *, advertised: bool) -> list[Finding]:
    """Return one finding for each broker; it is no failure that one of several is away."""
    some = any(answer.versions is not None for answer in answers.values())
    return [_finding(place, answer, advertised=advertised, others=some) for place, answer in answers.items()]


def _finding(place: tuple[str, int], answer: Answer, *, advertised: bool, others: bool) -> Finding:
    subject = f"broker {place[0]}:{place[1]}"
    if answer.problem is not None:
        hint = answer.problem.hint
        if advertised:
            hint = (
                "the brokers name it to us, so it must be reachable from here: check advertised.listeners and firewall"
            )
        return Finding(subject, "warning" if others and not advertised else "failed", str(answer.problem), hint)
    lacks = [name for key, name in TRANSACTIONS.items() if key not in (answer.versions or {})]
    if lacks:
        hint = "orchbridge needs Kafka 0.11 or newer, or a service that knows transactions"
        return Finding(subject, "failed", f"it knows no transactions ({', '.join(lacks)})", hint)
    return Finding(subject, "ok", f"answered in {answer.seconds * 1000:.0f} ms, and knows transactions")
