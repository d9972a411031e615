"""The group's assignment as aiokafka asks for it: what members say of themselves, and what the leader answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from orchbridge.sinks.kafka.packing import cursor_partition
from orchbridge.sinks.kafka.spread import Told, spread

NAME = "orchbridge-sticky"
_VERSION = 0  # of the consumer protocol; what is ours is in the user data


class Given(msgspec.Struct, frozen=True):
    """What the leader gave one member, by stream; everybody learns who has what.

    A partition says nothing about streams of it that the member is not configured with, so the streams are named.
    """

    round: int = 0
    streams: tuple[str, ...] = ()
    owners: dict[str, str] = {}
    members: tuple[str, ...] = ()


class Assignor:
    """One member's assignor. aiokafka takes any object with these attributes, so each member has its own,
    and what it was given last survives a new consumer.
    """

    name = NAME

    def __init__(self, topic: str, worker: str, streams: Iterable[str]) -> None:
        self._topic = topic
        self._worker = worker
        self._streams = tuple(sorted(streams))
        self.given = Given()
        self.generation: Callable[[], int] = lambda: 0  # the group's, as the consumer knows it

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Say what we can carry, and what we have."""
        told = Told(self._worker, self._streams, self.given.streams, self.given.round)
        return ConsumerProtocolMemberMetadata(_VERSION, sorted(topics), msgspec.json.encode(told))

    def assign(
        self,
        cluster: ClusterMetadata,  # noqa: ARG002 - the number of partitions is fixed and checked at the start
        members: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Decide for all, as the member that the coordinator has made leader."""
        told = {member: read_told(metadata.user_data) for member, metadata in members.items()}
        shares = spread(told)
        owners = {stream: told[member].worker for member, streams in shares.items() for stream in streams}
        everybody = tuple(sorted(one.worker for one in told.values()))
        number = self.generation()
        return {
            member: self._assignment(Given(number, streams, owners, everybody)) for member, streams in shares.items()
        }

    def _assignment(self, given: Given) -> ConsumerProtocolMemberAssignment:
        partitions = sorted({cursor_partition(stream) for stream in given.streams})
        places = [(self._topic, partitions)] if partitions else []
        return ConsumerProtocolMemberAssignment(_VERSION, places, msgspec.json.encode(given))

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Learn what we were given."""
        self.given = read_given(assignment.user_data)


def read_told(data: bytes | None) -> Told:
    """Return what a member says of itself; one we do not understand is given nothing."""
    try:
        return msgspec.json.decode(data or b"", type=Told)
    except msgspec.MsgspecError:
        return Told()


def read_given(data: bytes | None) -> Given:
    """Return what a member was given; nothing where it does not say so in our words."""
    try:
        return msgspec.json.decode(data or b"", type=Given)
    except msgspec.MsgspecError:
        return Given()
