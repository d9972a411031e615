"""What lies in the cursor topic, and who carries which stream: looked at without claiming or creating anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)

from orchbridge.core.ports import Kept, StreamId
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.packing import cursor_partition
from orchbridge.sinks.kafka.recall import committed
from orchbridge.sinks.kafka.settings import KafkaSettings

GROUPS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
SETTLED_S = 8.0  # longer than a member that died without a word holds up the others
POLL_S = 0.3
_MOVING = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


async def kept(clients: Clients, topic: str, stall_s: float) -> list[Kept]:
    """Return the newest committed document of every key in the cursor topic; none where there is no such topic."""
    async with clients.admin() as admin:
        # Consumers ask for metadata by name, and that can create a topic: so see first whether it exists.
        if topic not in await admin.list_topics():
            return []
    found: dict[str, Kept] = {}
    async with aclosing(committed(clients, topic, None, stall_s)) as records:
        async for record in records:
            key = (record.key or b"").decode(errors="replace")
            found.pop(key, None)
            if record.value is not None:
                found[key] = Kept(key, record.value, record.timestamp / 1000)
    return list(found.values())


async def owner(clients: Clients, settings: KafkaSettings, stream: StreamId) -> str | None:
    """Return the worker (client id and host) that the group has given the stream's partition to.

    While the group is being shared out anew nobody can say who it will be: then how many workers there are.
    """
    async with clients.admin() as admin:
        existing = set(await admin.list_topics())
        # Looking for a group's coordinator creates the topic of all groups where there is none. Both internal
        # topics may be hidden from us; where only that of the transactions shows, there never was a group.
        hidden = TRANSACTIONS not in existing and settings.cursor_topic in existing
        if GROUPS not in existing and not hidden:
            return None
        group = await _settled(admin, settings.group)
    members = group["members"]
    if members and group["state"] != "Stable":
        return f"one of {len(members)} workers that are sharing out the streams just now"
    wanted = (settings.cursor_topic, cursor_partition(stream.name))
    for member in members:
        if wanted in _assigned(member["member_assignment"]):
            return f"{member['client_id']} at {member['client_host'].lstrip('/')}"
    return None


async def _settled(admin: AIOKafkaAdminClient, group: str) -> Mapping[str, Any]:
    """Return the group's description, once it is stable or empty, or has taken too long to become so."""
    ends = asyncio.get_running_loop().time() + SETTLED_S
    while True:
        try:
            found = await _described(admin, group)
            if found["state"] in {"Stable", "Empty", "Dead"} or asyncio.get_running_loop().time() > ends:
                return found
        except _MOVING:
            if asyncio.get_running_loop().time() > ends:
                raise
        await asyncio.sleep(POLL_S)


async def _described(admin: AIOKafkaAdminClient, group: str) -> Mapping[str, Any]:
    [response] = await admin.describe_consumer_groups([group])
    found: Mapping[str, Any] = response.to_object()["groups"][0]
    error = for_code(found["error_code"])
    if error is not NoError:
        raise error(f"group {group}")
    return found


def _assigned(assignment: bytes) -> set[tuple[str, int]]:
    """Return the (topic, partition)s in a member's assignment; it is empty for one that has none yet."""
    if not assignment:
        return set()
    decoded = ConsumerProtocol.ASSIGNMENT.decode(assignment)
    return {(place.topic, place.partition) for place in decoded.partitions()}
