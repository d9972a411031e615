"""A place to replay into: a configuration on either sink, and what a careful reader finds there."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from orchbridge.cli import wiring
from orchbridge.config import load
from tests.e2e.programs import messages

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "earliest"
streams = ["jobs", "plans"]
poll_interval_s = 0.3

[sink]
{sink}

[http]
listen = "127.0.0.1:0"
"""


@dataclass(frozen=True)
class Told:
    """One record as it lies there: `run` names the replay it belongs to, "" for a live one and in files."""

    channel: str
    key: str
    id: str
    replay: bool
    run: str
    data: dict[str, Any] = field(hash=False)

    @property
    def facts(self) -> dict[str, Any]:
        """What must be the same whenever it is read."""
        return {name: value for name, value in self.data.items() if name != "observed_at"}


@dataclass(frozen=True)
class Place:
    """Where live records go (`<prefix>.prod.*`) and what is remembered; `bootstrap` "" is a directory."""

    folder: Path
    prefix: str
    bootstrap: str

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def configure(self, url: str) -> None:
        (self.folder / "token").write_text("letmein\n")
        lines = [f'topic_prefix = "{self.prefix}.{{source}}"']
        if self.bootstrap:
            lines += ['type = "kafka"', f'bootstrap_servers = "{self.bootstrap}"', f'group = "{self.prefix}"']
            lines += ["partitions = 2"]
        else:
            lines += ['type = "jsonl"', f'directory = "{self.folder}/records"']
        text = CONFIG.format(url=url, folder=self.folder, sink="\n".join(lines))
        self.config.write_text(text)

    def arguments(self, *more: str, to: str = "again") -> list[str]:
        """Return a replay's command line, into a prefix of this place's own."""
        return ["replay", "-c", str(self.config), *more, "--to", f"{self.prefix}.{to}"]

    def told(self, prefix: str, folder: str = "records") -> list[Told]:
        """Return what a read-committed reader finds under this place's `prefix`."""
        if self.bootstrap:
            found = asyncio.run(messages(self.bootstrap, f"{self.prefix}.{prefix}"))
            return [_message(channel, record) for channel, record in found if record.value is not None]
        return _lines(self.folder / folder, f"{self.prefix}.{prefix}.")

    def documents(self) -> dict[str, bytes]:
        """Return what is remembered, by key."""

        async def kept() -> dict[str, bytes]:
            sink = wiring.sink_of(load(self.config, {}, files_exist=False).sink)
            try:
                return {one.key: one.value for one in await sink.kept()}
            finally:
                await sink.close()

        return asyncio.run(kept())

    def topics(self) -> set[str]:
        """Return every topic or file there is."""
        if not self.bootstrap:
            return {path.name for path in (self.folder / "records").glob("*")}

        async def listed() -> set[str]:
            from aiokafka.admin import AIOKafkaAdminClient

            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return {topic for topic in await admin.list_topics() if topic.startswith(self.prefix)}
            finally:
                await admin.close()

        return asyncio.run(listed())


def _message(channel: str, record: Any) -> Told:
    headers = {name: value.decode() for name, value in record.headers}
    return Told(
        channel, record.key.decode(), headers["ce_id"], headers.get("ce_replay") == "true",
        headers.get("orchbridge-replay", ""), msgspec.json.decode(record.value),
    )  # fmt: skip


def _lines(folder: Path, prefix: str) -> list[Told]:
    ledger = json.loads((folder / "orchbridge.cursors.json").read_text())
    told: list[Told] = []
    for topic, mark in ledger["files"].items():
        if topic.startswith(prefix) and mark["size"]:
            for line in (folder / f"{topic}.jsonl").read_bytes()[: mark["size"]].splitlines():
                event = json.loads(line)
                told.append(
                    Told(
                        topic.removeprefix(prefix), event["partitionkey"], event["id"], event.get("replay", False),
                        "", event["data"],
                    )
                )  # fmt: skip
    return told


def twice(several: Sequence[Told]) -> list[str]:
    """Return the ids that are there more than once."""
    return sorted(id_ for id_, count in Counter(one.id for one in several).items() if count > 1)
