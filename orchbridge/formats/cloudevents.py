"""Records as CloudEvents 1.0 messages, in binary and in structured mode, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from orchbridge.core.errors import Corrupt
from orchbridge.core.records import COMPACTED, Message, Record
from orchbridge.formats.stamps import milliseconds

TYPE_PREFIX = "io.orchbridge.pe"
SCHEMAS = "https://orchbridge.io/schemas"
REMOVED = ".document.removed.v1"

_STATIC_MAX = 4_096  # combinations of instance, type, severity and epoch; far more than can be real
_encode_json = msgspec.json.Encoder().encode


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A structured-mode event; the field names are the attribute names (a-z0-9, at most 20 characters)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    partitionkey: str
    recordedtime: str
    severitynumber: int
    peepoch: str
    sequence: str | None = None
    correlationid: str | None = None
    replay: bool = False
    data: Any = None


class Line(msgspec.Struct, frozen=True):
    """What `decode` needs of a structured event."""

    type: str
    partitionkey: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Names:
    """Topics, keys, types, sources and schemas, alike in both modes (event-formats 2.2, 6.1, 6.2)."""

    topic_prefix: str
    type_prefix: str
    shared: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared", "{source}" not in self.topic_prefix)

    def topic(self, instance: str, channel: str) -> str:
        """Return the full topic of a source's channel."""
        return f"{self.topic_prefix.replace('{source}', instance)}.{channel}"

    def key(self, record: Record) -> str:
        """Return the record key: bare where the topic names the source, `<source>/<key>` where topics are shared."""
        return f"{record.instance}/{record.key}" if self.shared else record.key

    def bare(self, instance: str, key: str) -> str | None:
        """Return the record key without its source; None where it is another source's."""
        if not self.shared:
            return key
        owner, slash, bare = key.partition("/")
        return bare if slash and owner == instance else None

    def type(self, record: Record) -> str:
        """Return the full type; a deletion of `node.document.v1` is `node.document.removed.v1`."""
        return f"{self.type_prefix}.{record.type if record.data is not None else removed(record.type)}"

    def source(self, record: Record) -> str:
        return f"pe://{record.instance}/{record.service}"


def removed(type_: str) -> str:
    """Return the type that says this document is gone."""
    stem, _, version = type_.rpartition(".")
    return type_ if stem.endswith(".removed") else f"{stem}.removed.{version}"


@lru_cache(maxsize=256)
def schema(type_: str) -> str:
    """Return the schema's address: the type without its verb and version, dots to dashes.

    Verbs are told by their ending, so that a new type needs no entry here: `job.node.failed.v1`
    is `job-node`, `job.summary.v1` stays `job-summary`.
    """
    *words, version = type_.split(".")
    while len(words) > 1 and words[-1].endswith(("ed", "ing")):
        words.pop()
    return f"{SCHEMAS}/{'-'.join(words)}/{version.removeprefix('v')}.json"


def _check_removal(record: Record) -> None:
    """A null value on an event topic would look like an event to some readers and like nothing to others."""
    if record.channel not in COMPACTED:
        raise ValueError(f"record {record.id} on channel {record.channel} has no data; only state channels delete")


@lru_cache(maxsize=512)  # events come in crowds that share their second and when they were read; more only fills up
def _times(time: str, observed: str) -> tuple[str, int]:
    """Return the `time` attribute and the Kafka timestamp in ms.

    Both fall back to when we read it where PE's own text is no RFC 3339 time: readers refuse
    an event whose `time` is not. The text itself stays in the data. Raises ValueError where
    `observed` is none either.
    """
    read = milliseconds(observed)
    if read is None:
        raise ValueError(f"observed is no RFC 3339 time: {observed!r}")
    stamp = milliseconds(time)
    if stamp is None:
        return observed, read
    return time, max(0, min(stamp, read))


class BinaryCodec:
    """Binary mode: attributes in `ce_` headers, the value is the data; None there is a tombstone."""

    def __init__(self, topic_prefix: str, type_prefix: str = TYPE_PREFIX, *, version: str) -> None:
        self._names = Names(topic_prefix, type_prefix)
        self._version = version.encode()
        self._topics: dict[tuple[str, str], str] = {}
        self._static: dict[tuple[object, ...], list[tuple[str, bytes]]] = {}

    def topic(self, instance: str, channel: str) -> str:
        """Return the full topic of a source's channel."""
        found = self._topics.get((instance, channel))
        if found is None:
            found = self._topics[instance, channel] = self._names.topic(instance, channel)
        return found

    def encode(self, record: Record) -> Message:
        """Return the message; ValueError where a record without data is not on a state channel."""
        key = self._names.key(record).encode()
        time, timestamp = _times(record.time, record.observed)
        if record.data is None:
            return Message(self.topic(record.instance, record.channel), key, None, self._tombstone(record), timestamp)
        headers = [
            *self._constant(record),
            ("ce_id", record.id.encode()),
            ("ce_subject", record.subject.encode()),
            ("ce_time", time.encode()),
            ("ce_recordedtime", record.observed.encode()),
            ("ce_partitionkey", key),
        ]
        if record.sequence is not None:
            headers.append(("ce_sequence", b"%020d" % record.sequence))
        if record.correlation is not None:
            headers.append(("ce_correlationid", record.correlation.encode()))
        for name, value in record.headers:
            headers.append((name, value.encode()))
        topic = self.topic(record.instance, record.channel)
        return Message(topic, key, _encode_json(record.data), headers, timestamp)

    def decode(self, instance: str, key: bytes | None, value: bytes | None) -> tuple[str, bytes | None] | None:
        """Return (bare key, data as JSON or None for a removal); None where it is another source's."""
        bare = _bare(self._names, instance, key)
        return None if bare is None else (bare, value)

    def _constant(self, record: Record) -> list[tuple[str, bytes]]:
        """Return the headers that many records share; the caller must not change the list."""
        place = (record.instance, record.type, record.severity, record.epoch, record.service, record.replay)
        found = self._static.get(place)
        if found is None:
            if len(self._static) >= _STATIC_MAX:
                self._static.clear()
            found = self._static[place] = [
                ("content-type", b"application/json"),
                ("ce_specversion", b"1.0"),
                ("ce_source", self._names.source(record).encode()),
                ("ce_type", self._names.type(record).encode()),
                ("ce_dataschema", schema(record.type).encode()),
                ("ce_severitynumber", b"%d" % record.severity),
                ("ce_peepoch", record.epoch.encode()),
                *([("ce_replay", b"true")] if record.replay else []),
                *_transport(record, self._version),
            ]
        return found

    def _tombstone(self, record: Record) -> list[tuple[str, bytes]]:
        """Return the required attributes only: whoever compacts the topic drops them with the key."""
        _check_removal(record)
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", record.id.encode()),
            ("ce_source", self._names.source(record).encode()),
            ("ce_type", self._names.type(record).encode()),
            *_transport(record, self._version),
            *((name, value.encode()) for name, value in record.headers),
        ]


class StructuredCodec:
    """Structured mode: the value is the whole event as one compact JSON object without a newline.

    A removal is an event of type `*.document.removed.v1` with empty data, because a line in a
    file has no key beside it.
    """

    def __init__(self, topic_prefix: str, type_prefix: str = TYPE_PREFIX, *, version: str) -> None:
        self._names = Names(topic_prefix, type_prefix)
        self._version = version.encode()
        self._decode = msgspec.json.Decoder(Line).decode

    def topic(self, instance: str, channel: str) -> str:
        """Return the full topic of a source's channel."""
        return self._names.topic(instance, channel)

    def encode(self, record: Record) -> Message:
        """Return the message; ValueError where a record without data is not on a state channel."""
        if record.data is None:
            _check_removal(record)
        key = self._names.key(record)
        time, timestamp = _times(record.time, record.observed)
        event = Envelope(
            specversion="1.0",
            id=record.id,
            source=self._names.source(record),
            type=self._names.type(record),
            subject=record.subject,
            time=time,
            datacontenttype="application/json",
            dataschema=schema(record.type),
            partitionkey=key,
            recordedtime=record.observed,
            severitynumber=record.severity,
            peepoch=record.epoch,
            sequence=None if record.sequence is None else f"{record.sequence:020d}",
            correlationid=record.correlation,
            replay=record.replay,
            data={} if record.data is None else record.data,
        )
        headers = [
            ("content-type", b"application/cloudevents+json; charset=UTF-8"),
            *_transport(record, self._version),
            *((name, value.encode()) for name, value in record.headers),
        ]
        topic = self._names.topic(record.instance, record.channel)
        return Message(topic, key.encode(), _one_line(_encode_json(event)), headers, timestamp)

    def decode(self, instance: str, key: bytes | None, value: bytes | None) -> tuple[str, bytes | None] | None:
        """Return (bare key, data as JSON or None for a removal); None where it is another source's.

        The event's own partition key stands in where `key` is None. Raise Corrupt where the
        value is no event of ours.
        """
        if value is None:
            bare = _bare(self._names, instance, key)
            return None if bare is None else (bare, None)
        try:
            line = self._decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Corrupt(
                f"a state record of {instance} is no CloudEvent: {error}",
                hint="restore the file or topic from backup; nobody else may write to it",
            ) from error
        bare = _bare(self._names, instance, line.partitionkey.encode() if key is None else key)
        if bare is None:
            return None
        return bare, None if line.type.endswith(REMOVED) else bytes(line.data)


def _one_line(value: bytes) -> bytes:
    """Return JSON without line ends: a source's own text passes through raw, and there they can only be white space."""
    if b"\n" in value or b"\r" in value:
        return value.replace(b"\n", b" ").replace(b"\r", b" ")
    return value


def _bare(names: Names, instance: str, key: bytes | None) -> str | None:
    if key is None:
        return None
    try:
        return names.bare(instance, key.decode())
    except UnicodeDecodeError:
        return None  # our keys are text, so somebody else wrote it


def _transport(record: Record, version: bytes) -> list[tuple[str, bytes]]:
    """Return the headers operators filter by without decoding."""
    return [("orchbridge-version", version), ("orchbridge-instance", record.instance.encode())]
