"""The Kafka sink: one transactional producer for every stream that this process carries."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TypeAlias

from orchbridge.core.errors import ConfigError, OrchbridgeError, Refused, SinkLost
from orchbridge.core.ports import Codec, Finding, Group, Kept, Recalled, StreamId
from orchbridge.sinks.kafka import admin, brokers, inspection, owners
from orchbridge.sinks.kafka.clients import Clients
from orchbridge.sinks.kafka.errors import DOUBT, lost, meaning
from orchbridge.sinks.kafka.fitting import Fitting
from orchbridge.sinks.kafka.group import Member, membership
from orchbridge.sinks.kafka.lane import KafkaLane, Memory
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.suspects import Suspects
from orchbridge.sinks.kafka.topics import Topic, required, short
from orchbridge.sinks.needs import Quarantine

Warn: TypeAlias = Callable[[Finding], None]


class KafkaSink:
    """Records and cursors in one transaction; nothing is kept between claims but what topics look like."""

    def __init__(
        self, settings: KafkaSettings, codec: Codec, *, quarantine: Quarantine, warn: Warn = lambda _: None
    ) -> None:
        self._settings = settings
        self._warn = warn
        self._codec = codec
        self._quarantine = quarantine
        self._clients = Clients(settings)
        self._topics: dict[str, Topic] = {}
        self._verified: set[StreamId] = set()
        self._suspects: defaultdict[StreamId, Suspects] = defaultdict(Suspects)
        self._member: Member | None = None

    async def open(self, streams: Sequence[StreamId]) -> None:
        """Verify every topic these streams need, creating what is missing where that is allowed;
        raise Refused naming all that is wrong, SinkLost where no broker answers.

        `warn` is told of topics that keep records for less long than the source keeps its jobs."""
        await self._verify(streams, create_missing=self._settings.create_topics)
        for need in required(streams, self._codec, self._settings):
            for finding in short(need, self._topics[need.topic], self._settings.bootstrap_servers):
                self._warn(finding)

    @asynccontextmanager
    async def join(self, streams: Sequence[StreamId], worker: str) -> AsyncIterator[Group]:
        """Be a member of the consumer group while the block runs; its claims then ask the group first."""
        async with membership(self._clients, self._settings, streams, worker) as member:
            self._member = member
            try:
                yield member
            finally:
                self._member = None

    @asynccontextmanager
    async def claim(self, stream: StreamId) -> AsyncIterator[KafkaLane]:
        """Fence older owners, anywhere; raise SinkLost where that does not succeed in time, Fenced where the group
        says that the stream is not ours.

        It is asked before, so that a worker that slept fences nobody, and after, because it may have slept between.
        Topics are looked at again after a loss, because a topic that was deleted or changed
        is one of its causes; then nothing is created any more, for the memory would be gone unseen.
        """
        settings = self._settings
        member = self._member if self._member is not None and stream in self._member.gates else None
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(settings.claim_limit_s):
                    if member is not None:
                        await member.confirm(stream)
                    if stream not in self._verified:
                        await self._verify([stream], create_missing=False)
                    producer = await stack.enter_async_context(
                        self._clients.producer(settings.transactional_id(stream))
                    )
                    if member is not None:
                        await member.confirm(stream)
            except DOUBT as error:
                what = f"stream {stream.name} cannot be claimed"
                raise meaning(error, f"stream {stream.name}") or lost(error, what) from error
            fitting = Fitting(settings, self._codec, self._quarantine, self._topics)
            suspects = self._suspects[stream]
            lane = KafkaLane(stream, self._memory(stream), producer, fitting, suspects, settings, member)
            try:
                yield lane
            except SinkLost:
                self._verified.discard(stream)
                raise
            finally:
                lane.dead = True

    async def close(self) -> None:
        """Nothing is open but in lanes, and these end with their claims."""

    async def check(self, streams: Sequence[StreamId]) -> Iterable[Finding]:
        """Look at brokers, topics and rights without changing anything."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.claim_limit_s):
                return await inspection.inspect(self._clients, settings, streams, self._codec)
        except (Refused, ConfigError, SinkLost) as error:
            return [Finding("kafka", "failed", str(error), error.hint), *await self._knocked()]
        except DOUBT as error:
            where = f"Kafka at {settings.bootstrap_servers}"
            found = meaning(error, where) or lost(error, f"{where} does not answer")
            hint = "check bootstrap_servers, and that the brokers are up"
            return [Finding("kafka", "failed", str(found), hint), *await self._knocked()]

    async def _knocked(self) -> Sequence[Finding]:
        """Where nothing works, which of several brokers answer tells the cluster's trouble from one machine's."""
        places = brokers.configured(self._settings.bootstrap_servers)
        try:
            answers = await brokers.knock(self._clients, places) if len(places) > 1 else {}
        except ConfigError:
            return ()
        return brokers.judge(answers, advertised=False)

    async def peek(self, stream: StreamId) -> list[Recalled]:
        """Return the stream's documents as last committed by anybody, without claiming anything."""
        found: dict[str, Recalled] = {}
        documents = self._memory(stream).documents()
        try:
            async with aclosing(documents):
                async for item in documents:
                    found.pop(item.key, None)
                    if item.value is not None:
                        found[item.key] = item
        except DOUBT as error:
            what = f"the memory of {stream.name} cannot be read"
            raise meaning(error, f"stream {stream.name}") or lost(error, what) from error
        return list(found.values())

    async def kept(self) -> Sequence[Kept]:
        """Return every stream's documents, without a claim; no topic comes into being by asking."""
        settings = self._settings
        try:
            return await owners.kept(self._clients, settings.cursor_topic, settings.recall_stall_s)
        except DOUBT as error:
            raise self._silence(error, f"topic {settings.cursor_topic} cannot be read") from error

    async def owner(self, stream: StreamId) -> str | None:
        """Return the member of our consumer group that was assigned the stream's partition."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.claim_limit_s):
                return await owners.owner(self._clients, settings, stream)
        except DOUBT as error:
            raise self._silence(error, f"who carries {stream.name} cannot be learnt") from error

    def _silence(self, error: BaseException, what: str) -> OrchbridgeError:
        found = meaning(error, f"Kafka at {self._settings.bootstrap_servers}")
        return found or SinkLost(
            f"{what}: {error or type(error).__name__}", hint="look at bootstrap_servers and the brokers"
        )

    def _memory(self, stream: StreamId) -> Memory:
        return Memory(stream, self._settings, self._clients, self._codec)

    async def _verify(self, streams: Sequence[StreamId], *, create_missing: bool) -> None:
        try:
            async with asyncio.timeout(self._settings.claim_limit_s):
                found = await admin.verify(
                    self._clients, self._settings, streams, self._codec, create_missing=create_missing
                )
        except DOUBT as error:
            where = self._settings.bootstrap_servers
            raise meaning(error, f"Kafka at {where}") or lost(error, f"Kafka at {where} cannot be used") from error
        self._topics.update(found)
        self._verified.update(streams)
