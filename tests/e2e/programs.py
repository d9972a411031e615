"""The programs of end-to-end tests, as an operator starts them: child processes, real sockets."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.oracle import Seen, Verdict


class Program:
    """One `orchbridge` process; its output goes to a file."""

    def __init__(self, out: Path, *arguments: str, **environment: str) -> None:
        self.out = out
        with out.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchbridge", *arguments],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, limit_s: float = 15.0) -> int:
        """Ask to end; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)

    @property
    def text(self) -> str:
        return self.out.read_text(errors="replace")

    def wait_for(self, pattern: str, limit_s: float = 30.0) -> re.Match[str]:
        """Return the first match in the output; fail with the output where it does not come."""
        ends = time.monotonic() + limit_s
        while time.monotonic() < ends:
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} never came in:\n{self.text[-4000:]}")


@contextmanager
def running(out: Path, *arguments: str, **environment: str) -> Iterator[Program]:
    """Run a program while the block runs."""
    program = Program(out, *arguments, **environment)
    try:
        yield program
    finally:
        program.kill()


@contextmanager
def simulator(folder: Path, scenario: str = "demo", *more: str) -> Iterator[tuple[str, Program]]:
    """Run a simulator with a token and a truth file in `folder`; yield its address."""
    (folder / "token").write_text("letmein\n")
    arguments = ["simulate", "--port", "0", "--token-file", str(folder / "token"), "--scenario", scenario]
    with running(folder / "simulator.out", *arguments, "--truth", str(folder / "truth.log"), *more) as program:
        address = program.wait_for(r"on (https?://\S+)")[1]
        yield address, program


def wait_until(what: str, look: Callable[[], object], limit_s: float = 60.0) -> None:
    """Wait until `look()` is true (or a verdict that is well); fail with what it saw last."""
    ends = time.monotonic() + limit_s
    while True:
        seen = look()
        if seen.well if isinstance(seen, Verdict) else seen:
            return
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come within {limit_s} s: {seen}")
        time.sleep(0.1)


def get(address: str, path: str) -> httpx.Response:
    """Ask an operations endpoint."""
    return httpx.get(f"{address}{path}", timeout=5.0, trust_env=False)


async def consumed(bootstrap: str, prefix: str) -> list[Seen]:
    """Return everything a read-committed consumer sees on the topics of a prefix, in order per partition."""
    return [_seen(channel, record) for channel, record in await messages(bootstrap, prefix)]


async def messages(bootstrap: str, prefix: str) -> list[tuple[str, Any]]:
    """Return the same as (channel, message of the client)."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix + ".")]
        described = await admin.describe_topics(topics) if topics else []
    finally:
        await admin.close()
    parts = [TopicPartition(topic["topic"], part["partition"]) for topic in described for part in topic["partitions"]]
    if not parts:  # aiokafka cannot stop a consumer in the very moment in which it started
        return []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        seen: list[tuple[str, Any]] = []
        async with asyncio.timeout(60):
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for part, records in (await consumer.getmany(timeout_ms=500)).items():
                    seen += [(part.topic.removeprefix(prefix + "."), record) for record in records]
        return seen
    finally:
        await consumer.stop()


def _seen(channel: str, record: Any) -> Seen:
    headers = {name: value.decode() for name, value in record.headers}
    value = record.value
    sequence = headers.get("ce_sequence")
    return Seen(
        channel,
        record.key.decode(),
        headers["ce_id"],
        headers["ce_type"],
        None if value is None else msgspec.json.decode(value),
        None if sequence is None else int(sequence),
    )
