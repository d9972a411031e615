"""This worker as a member of the consumer group: which streams are ours, and how sure that is right now."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka
from aiokafka.protocol.group import HeartbeatRequest

from orchbridge.core.errors import Fenced, OrchbridgeError, Refused, SinkLost
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Share, StreamId
from orchbridge.sinks.kafka.assignor import Assignor
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import DOUBT, lost, meaning, unless_asked
from orchbridge.sinks.kafka.gate import Gate
from orchbridge.sinks.kafka.settings import KafkaSettings

POLL_S = 1.0  # far below max_poll_interval_ms, at which a member is put out of the group without a word
JOIN_S = 60.0  # without a decision for so long a new consumer is tried
SETTLE_S = 3.0  # for commits under way before the others get on; what ends later is fenced or already committed
ASK_S = 8.0  # a question waits for a sharing-out that is under way, and that for one who sleeps
AGAIN_S = 0.2

# The coordinator does not count us as a member of this generation any more.
_OUT = (kafka.UnknownMemberIdError, kafka.IllegalGenerationError)


class Standing(enum.Enum):
    """What the group says of a stream, in an answer to a question sent after the doubt arose."""

    OURS = enum.auto()
    ANOTHERS = enum.auto()
    UNKNOWN = enum.auto()


class Member:
    """Joins, and joins again whatever happens; ownership comes from the group's decisions alone."""

    def __init__(self, clients: Clients, settings: KafkaSettings, streams: Sequence[StreamId], worker: str) -> None:
        self._clients = clients
        self._settings = settings
        self._worker = worker
        self._assignor = Assignor(settings.cursor_topic, worker, [stream.name for stream in streams])
        self.gates = {stream: Gate(stream.name) for stream in streams}
        self._consumer: AIOKafkaConsumer | None = None
        self._generation = -1  # that the last decision was made for
        self._moved = asyncio.Event()  # set while a decision stands
        self._share = Share(owned=frozenset(), group=settings.group)
        self._news = asyncio.Event()
        self._bug = _Bug()

    async def share(self) -> Share:
        """Return the newest share, waiting until it is another one than was returned last."""
        await self._news.wait()
        self._news.clear()
        return self._share

    async def run(self) -> None:
        """Be a member until cancelled; then leave, so that the others need not wait for the session to end."""
        failures = 0
        self._tell_apart(
            SinkLost(
                f"this worker has not joined the group {self._settings.group} yet",
                hint="that takes seconds; where it takes longer look at the brokers and the other workers",
            )
        )
        while True:
            try:
                async with self._clients.member(self._worker, self._assignor) as consumer:
                    self._consumer = consumer
                    try:
                        with unless_asked():
                            await self._live(consumer)
                    finally:
                        self._hold()
                        self._consumer = None
            except DOUBT as error:
                failures = 1 if self._share.apart is None else failures + 1
                what = f"this worker is not in the group {self._settings.group}"
                self._tell_apart(meaning(error, f"group {self._settings.group}") or lost(error, what))
            except (Refused, SinkLost) as error:
                failures = 1 if self._share.apart is None else failures + 1
                self._tell_apart(error)
            await asyncio.sleep(backoff(self._worker, failures, first_s=0.5, longest_s=10.0))

    async def _live(self, consumer: AIOKafkaConsumer) -> None:
        self._assignor.generation = lambda: int(consumer._coordinator.generation)
        consumer.subscribe([self._settings.cursor_topic], listener=_Listener(self))
        while True:
            async with asyncio.timeout(JOIN_S):
                await consumer.getmany(timeout_ms=0)
            self._bug.tell()
            await asyncio.sleep(POLL_S)

    # -- told by aiokafka, which only logs what goes wrong in here ---------------------------

    async def revoked(self) -> None:
        """The group decides anew: hold every lane where its batch ends, and give commits under way a moment."""
        with self._bug:
            self._hold()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    for gate in self.gates.values():
                        await gate.quiet()

    def assigned(self, places: set[TopicPartition]) -> None:
        """The group has decided: what stays goes on, what went is let go, what is new may be claimed."""
        if (
            self._consumer is None
        ):  # while it is being closed aiokafka still waits for a join under way, and tells of it
            return
        with self._bug:
            self._consumer.pause(*places)
            for place in places:  # a known position is neither looked up nor read on
                self._consumer.seek(place, 0)
            self._decide()

    def _hold(self) -> None:
        self._moved.clear()
        for gate in self.gates.values():
            if gate.ours:
                gate.hold()

    def _decide(self) -> None:
        given = self._assignor.given
        owned = frozenset(stream for stream in self.gates if stream.name in given.streams)
        self._generation = self._consumer._coordinator.generation if self._consumer else -1
        self._share = Share(owned, self._settings.group, given.members, given.owners)
        self._news.set()  # first, so that whoever is turned away below has been asked to stop by then
        for stream, gate in self.gates.items():
            if stream in owned:
                gate.open()
            else:
                gate.shut(f"the group gave {stream.name} to {given.owners.get(stream.name) or 'nobody'}")
        self._moved.set()

    def _tell_apart(self, error: OrchbridgeError) -> None:
        self._share = msgspec.structs.replace(self._share, apart=error)
        self._news.set()

    # -- asked by lanes -----------------------------------------------------------------------

    async def confirm(self, stream: StreamId) -> None:
        """Return once the group has just said that the stream is ours; raise Fenced where it says otherwise,
        SinkLost where it does not answer, Refused where we may not be a member."""
        standing = await self.standing(stream)
        if standing is Standing.ANOTHERS:
            raise Fenced(f"the group {self._settings.group} does not count {stream.name} as ours")
        if standing is Standing.UNKNOWN:
            apart = self._share.apart
            if isinstance(apart, Refused):
                raise apart
            raise SinkLost(
                f"the group {self._settings.group} does not say whether {stream.name} is still ours",
                hint=apart.line() if apart else "look at the brokers; orchbridge tries again by itself",
            )

    async def standing(self, stream: StreamId, limit_s: float = ASK_S) -> Standing:
        """Return what a heartbeat sent from now on says; UNKNOWN where none is answered well in time."""
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    await self._moved.wait()
                    generation = self._generation
                    answer = await self._beat()
                    if not self._moved.is_set() or generation != self._generation:
                        continue
                    if answer is kafka.NoError:
                        return Standing.OURS if self.gates[stream].ours else Standing.ANOTHERS
                    if answer in _OUT:
                        return Standing.ANOTHERS
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            return Standing.UNKNOWN

    async def _beat(self) -> type[BaseException]:
        """Send a heartbeat; return the kind of error it was answered with, NoError where all is well."""
        if self._consumer is None:
            return kafka.GroupCoordinatorNotAvailableError  # type: ignore[no-any-return]
        coordinator = self._consumer._coordinator
        request = HeartbeatRequest(self._settings.group, self._generation, coordinator.member_id)
        try:
            response = await coordinator._send_req(request)
        except DOUBT as error:
            return type(error)
        return kafka.for_code(response.error_code)  # type: ignore[no-any-return]


class _Bug:
    """Keeps what its blocks raise, for somebody who does more than log it."""

    def __init__(self) -> None:
        self._found: BaseException | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            self._found = error

    def tell(self) -> None:
        """Raise what was kept, if anything; once, for the next consumer had no part in it."""
        found, self._found = self._found, None
        if found is not None:
            raise found


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka wants one of its own."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 - all, always
        await self._member.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._member.assigned(assigned)


@contextlib.asynccontextmanager
async def membership(
    clients: Clients, settings: KafkaSettings, streams: Sequence[StreamId], worker: str
) -> AsyncIterator[Member]:
    """Be a member while the block runs."""
    member = Member(clients, settings, streams, worker)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(member.run(), name="group")
        try:
            yield member
        finally:
            running.cancel()
