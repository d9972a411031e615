"""A directory as a careful reader sees it: closed parts whole, open files up to their voucher."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchbridge.core.ports import Sink
from orchbridge.formats.cloudevents import StructuredCodec
from orchbridge.sinks.jsonl import JsonlSettings, JsonlSink
from tests.sinks.contract import Seen, quarantined


class JsonlPlace:
    def __init__(self, directory: Path, rotate_bytes: int = 1 << 30) -> None:
        self.directory = directory
        self.rotate_bytes = rotate_bytes

    def sink(self) -> JsonlSink:
        codec = StructuredCodec("pe.{source}", version="0")
        return JsonlSink(JsonlSettings(self.directory, self.rotate_bytes), codec, quarantine=quarantined)

    def rival(self, sink: Sink) -> Sink:
        """Another process is refused outright (see test_jsonl); within one, claims compete in one sink."""
        return _Shared(sink)

    async def seen(self) -> list[Seen]:
        return [
            Seen(topic, event["partitionkey"], event["id"])
            for topic in self.ledger()["files"]
            for event in map(msgspec.json.decode, self.lines(topic))
        ]

    def ledger(self) -> dict[str, dict]:
        path = self.directory / "orchbridge.cursors.json"
        return msgspec.json.decode(path.read_bytes()) if path.exists() else {"files": {}, "documents": {}}

    def lines(self, topic: str) -> list[bytes]:
        mark = self.ledger()["files"][topic]
        closed = [self.directory / f"{topic}.{part:06}.jsonl" for part in range(1, mark["part"])]
        content = b"".join(path.read_bytes() for path in closed if path.exists())
        path = self.directory / f"{topic}.jsonl"
        current = path.read_bytes() if path.exists() else b""
        assert len(current) >= mark["size"], f"{path} is shorter than its voucher"
        return (content + current[: mark["size"]]).splitlines()


class _Shared:
    """The same sink under the name of a second one: its life belongs to the first."""

    def __init__(self, sink: Sink) -> None:
        self.claim = sink.claim

    async def open(self, streams: object) -> None: ...
    async def close(self) -> None: ...
