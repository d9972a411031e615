"""Records and documents as messages that their topics will take."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from orchbridge.core.errors import Refused
from orchbridge.core.ports import Codec
from orchbridge.core.records import Message, Record
from orchbridge.sinks.kafka.packing import size
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.suspects import Suspects
from orchbridge.sinks.kafka.topics import Topic
from orchbridge.sinks.needs import Quarantine, bare, encode

HEADERS_MAX = 32_768  # far more than key and headers ever have; saves measuring nearly every record


class Fitting:
    """Measures before anything is sent; what does not fit is replaced by its quarantine record."""

    def __init__(
        self, settings: KafkaSettings, codec: Codec, quarantine: Quarantine, topics: Mapping[str, Topic]
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._quarantine = quarantine
        self._topics = topics

    def message(self, record: Record, suspects: Suspects) -> Message:
        """Return the record's message, or that of its quarantine record; raise Refused where not even that fits."""
        reason = suspects.verdict(record.id)
        if reason is None:
            message = encode(record, self._codec, self._quarantine)
            room = self.room(message.topic)
            if len(message.value or b"") < room // 2 - HEADERS_MAX or size(message) <= room:
                return message
            reason = f"too large: {size(message)} bytes where topic {message.topic} takes {room}"
        stand_in = self._quarantine(record, reason)
        message = encode(stand_in, self._codec, self._quarantine)
        if suspects.bare(record.id) or size(message) > self.room(message.topic):
            message = encode(bare(stand_in), self._codec, self._quarantine)
        if size(message) > self.room(message.topic):
            raise Refused(
                f"not even the quarantine record of {record.id} fits into topic {message.topic}",
                hint="raise its max.message.bytes to 1048588",
            )
        return message

    def document(self, key: str, value: bytes | None) -> Message:
        """Return a cursor document's message; raise Refused where the cursor topic would not take it."""
        topic = self._settings.cursor_topic
        message = Message(topic, key.encode(), value, [], int(time.time() * 1000))
        if size(message) > self.room(topic):
            raise Refused(
                f"the memory of {key} has {len(value or b'')} bytes where topic {topic} takes {self.room(topic)}",
                hint=f"raise max.message.bytes of {topic}",
            )
        return message

    def room(self, topic: str) -> int:
        """Return how many bytes a batch for this topic may have."""
        found = self._topics.get(topic)
        limit = self._settings.max_request_size
        return limit if found is None else min(limit, found.message_bytes_max)


def owner(document: bytes | None) -> str | None:
    """Return the owner stamp in a head document, None where it has none."""
    try:
        return msgspec.json.decode(document, type=_Stamp).owner if document else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _Stamp(msgspec.Struct):
    owner: str | None = None
