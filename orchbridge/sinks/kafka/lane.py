"""One claim on a stream in Kafka: what it remembers, and how a batch becomes one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer, TopicPartition

from orchbridge.core.batch import Batch
from orchbridge.core.errors import Fenced, OrchbridgeError, Refused, SinkLost
from orchbridge.core.ports import Codec, Recalled, StreamId
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import CONTESTING, DOUBT, MAYBE_FENCED, RECORD_LEVEL, chain, lost, meaning
from orchbridge.sinks.kafka.fitting import Fitting, owner
from orchbridge.sinks.kafka.group import Member, Standing
from orchbridge.sinks.kafka.packing import Packed, Packer, Parcel, cursor_partition, partition_for
from orchbridge.sinks.kafka.recall import committed
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.suspects import Suspects
from orchbridge.sinks.needs import of_stream, stream_of

STAMP_S = 5.0
_Sent: TypeAlias = tuple[Packed, "asyncio.Future[Any]"]

UNKNOWN = "the outcome of its last commit is unknown"
TURN = 200  # records encoded before others get a turn


class Memory:
    """A stream's memory as committed, to be read with or without a claim."""

    def __init__(self, stream: StreamId, settings: KafkaSettings, clients: Clients, codec: Codec) -> None:
        self._stream = stream
        self._settings = settings
        self._clients = clients
        self._codec = codec

    async def documents(self) -> AsyncGenerator[Recalled, None]:
        """Yield every committed version of the stream's documents, oldest first."""
        settings = self._settings
        partition = cursor_partition(self._stream.name)
        records = committed(self._clients, settings.cursor_topic, [partition], settings.recall_stall_s)
        async with aclosing(records):
            async for record in records:
                key = (record.key or b"").decode(errors="replace")
                if of_stream(self._stream, key):
                    yield Recalled("cursor", key, record.value)

    async def channel(self, channel: str) -> AsyncGenerator[Recalled, None]:
        """Yield every committed version of this source's records of a state channel, oldest first."""
        source = self._stream.source
        topic = self._codec.topic(source, channel)
        records = committed(self._clients, topic, None, self._settings.recall_stall_s)
        async with aclosing(records):
            async for record in records:
                found = self._codec.decode(source, record.key, record.value)
                if found is not None:
                    yield Recalled(channel, *found)

    async def stamp(self) -> str | None:
        """Return the owner stamp that was committed last."""
        found = None
        documents = self.documents()
        async with aclosing(documents):
            async for item in documents:
                if item.key == self._stream.name:
                    found = owner(item.value)
        return found


class KafkaLane:
    """Commits are transactions of one producer; after any doubt the lane is dead and nothing is aborted.

    An abort can wait as long as the broker is away, and the next claim ends an open transaction
    anyway.
    """

    def __init__(
        self,
        stream: StreamId,
        memory: Memory,
        producer: AIOKafkaProducer,
        fitting: Fitting,
        suspects: Suspects,
        settings: KafkaSettings,
        member: Member | None = None,
    ) -> None:
        self._stream = stream
        self._memory = memory
        self._producer = producer
        self._fitting = fitting
        self._suspects = suspects
        self._member = member
        self._commit_limit_s = settings.commit_limit_s
        self._batch_bytes = settings.max_batch_size
        self._cursor_topic = settings.cursor_topic
        self._home = cursor_partition(stream.name)
        self._owner: str | None = None  # the owner stamp committed last, as far as this lane knows
        self.dead = False

    async def recall(self, channels: tuple[str, ...] = ()) -> AsyncGenerator[Recalled, None]:
        """Yield the stream's documents and these state channels, every version, oldest first."""
        try:
            for items in (self._memory.documents(), *map(self._memory.channel, channels)):
                async with aclosing(items):
                    async for item in items:
                        if item.place == "cursor" and item.key == self._stream.name:
                            self._owner = owner(item.value)
                        yield item
        except DOUBT as error:
            raise self._lost(error, "cannot be recalled") from error

    async def commit(self, batch: Batch) -> None:
        """Publish records and documents in one transaction, or raise and promise nothing.

        While the workers share out the streams anew a commit waits before it begins.
        """
        if self.dead:
            raise SinkLost(f"the lane of {self._stream.name} is closed", hint="claim the stream again")
        if batch.empty:
            return
        self.dead = True  # until the outcome is known; what is cancelled here may still happen there
        turn = contextlib.nullcontext() if self._member is None else self._member.gates[self._stream].passing()
        try:
            async with turn, asyncio.timeout(self._commit_limit_s):
                await self._begin()
                await self._publish(batch)
                await self._producer.commit_transaction()
        except DOUBT as error:  # judged when the turn is over: the group must not wait for what asks the group
            raise await self._judge(self._behind(error), owner(batch.documents.get(self._stream.name))) from error
        self._suspects.arrived(record.id for record in batch.records)
        self._owner = owner(batch.documents.get(self._stream.name)) or self._owner
        self.dead = False

    async def _begin(self) -> None:
        """Begin, and have the cursor's partition announced while the batch is still being encoded.

        The coordinator takes nothing new until the last transaction's markers are written, which
        would otherwise be waited for in idleness.
        """
        await self._producer.begin_transaction()
        home = TopicPartition(self._cursor_topic, self._home)
        self._producer._txn_manager.maybe_add_partition_to_txn(home)

    async def _publish(self, batch: Batch) -> None:
        """Send everything, cursor documents last, and see it arrive: a commit does not notice a batch that failed.

        Full batches travel while the next ones are encoded.
        """
        packer = Packer(self._producer.create_batch, self._batch_bytes, self._suspects.per_batch)
        sent: list[_Sent] = []
        counts: dict[str, int] = {}
        for number, record in enumerate(batch.records):
            if number % TURN == 0:
                await asyncio.sleep(0)
            message = self._fitting.message(record, self._suspects)
            if message.topic not in counts:
                counts[message.topic] = len(await self._producer.partitions_for(message.topic))
            partition = partition_for(message.key, counts[message.topic])
            suspect = self._suspects.suspect(record.id)
            full = packer.add(Parcel(message, partition, self._fitting.room(message.topic), record.id, suspect))
            if full is not None:
                sent.append(await self._send(full))
        for key, value in batch.documents.items():
            message = self._fitting.document(key, value)
            home = cursor_partition(stream_of(key))
            full = packer.add(Parcel(message, home, self._fitting.room(message.topic)))
            if full is not None:
                sent.append(await self._send(full))
        for packed in packer.rest():
            sent.append(await self._send(packed))
        await self._arrival(sent)

    async def _send(self, packed: Packed) -> _Sent:
        future = await self._producer.send_batch(packed.builder, packed.topic, partition=packed.partition)
        future.add_done_callback(_heard)
        return packed, future

    async def _arrival(self, sent: Iterable[_Sent]) -> None:
        for packed, future in sent:
            try:
                await future
            except RECORD_LEVEL as error:
                if not self._suspects.accuse(packed.ids, f"refused by the broker: {error}"):
                    raise Refused(
                        f"topic {packed.topic} takes neither a record nor what stands for it: {error}",
                        hint=f"look at max.message.bytes and the message.timestamp settings of {packed.topic}",
                    ) from error
                raise

    def _behind(self, error: BaseException) -> BaseException:
        """Return the refusal that ended the transaction, where something that followed from it was heard first.

        Once the coordinator has refused a partition, what is sent is told that there is no transaction, by aiokafka
        or by the broker; or it is refused without a name.
        """
        ended = self._producer._txn_manager._transaction_waiter
        if ended is not None and ended.done() and not ended.cancelled():
            cause: BaseException | None = ended.exception()
            if cause is not None and meaning(cause, self._stream.name) is not None:
                return cause
        return error

    async def _judge(self, error: BaseException, own: str | None) -> OrchbridgeError:
        """Return what a failed commit means: something for a person, a newer owner, or nobody's fault.

        aiokafka reports the coordinator's own abort and a newer owner alike. The group tells them apart,
        in an answer to a question asked after the doubt; where there is no group, or it is silent, who
        committed last does. `own` is the stamp in the batch itself: it may have been committed after all.
        """
        refused = meaning(error, f"stream {self._stream.name}")
        causes = chain(error)
        if refused is not None or not any(isinstance(cause, MAYBE_FENCED) for cause in causes):
            return refused or self._lost(error, UNKNOWN)
        standing = Standing.UNKNOWN if self._member is None else await self._member.standing(self._stream)
        if standing is Standing.ANOTHERS:
            return Fenced(f"{self._stream.name} is no longer ours: {_why(error)}, and the group agrees")
        if standing is Standing.UNKNOWN:
            try:
                async with asyncio.timeout(STAMP_S):
                    stamp = await self._memory.stamp()
            except (*DOUBT, SinkLost) as silence:
                return self._lost(silence, "was cut off, and who did it cannot be read")
            if self._owner is not None and stamp is not None and stamp not in {self._owner, own}:
                return Fenced(f"{self._stream.name} is carried by {stamp} now")
        loss = self._lost(error, UNKNOWN)
        if isinstance(loss, SinkLost) and any(isinstance(cause, CONTESTING) for cause in causes):
            return SinkLost(str(loss), hint=loss.hint, contested=True)
        return loss

    def _lost(self, error: BaseException, what: str) -> OrchbridgeError:
        found = meaning(error, f"stream {self._stream.name}")
        return found or lost(error, f"stream {self._stream.name}: {what}")


def _why(error: BaseException) -> str:
    found = next(cause for cause in chain(error) if isinstance(cause, MAYBE_FENCED))
    return str(getattr(found, "message", type(found).__name__))


def _heard(future: asyncio.Future[Any]) -> None:
    """Nobody may be left to hear of a failure; asyncio would log it then."""
    if not future.cancelled():
        future.exception()
