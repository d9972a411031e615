"""A house: one consumer group of bridges that carries the world into topics of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.programs import Program

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{token}"
start = "earliest"
streams = {kinds}
poll_interval_s = {poll_s}
inventory_interval_s = 2.0
activity_interval_s = {poll_s}
schedules_interval_s = {poll_s}
missed_after = "3s"
requests_per_s = 400
timeout_s = 10

[sink]
type = "kafka"
topic_prefix = "{name}.{{source}}"
bootstrap_servers = "{bootstrap}"
group = "{name}"
partitions = 3

[http]
listen = "127.0.0.1:0"

[log]
format = "json"
"""
KINDS = ["jobs", "plans", "inventory"]
SERVICES = ("rbac", "classifier", "pe-console", "code-manager")
LISTS = frozenset({"prod/schedules", *(f"prod/activity-{service}" for service in SERVICES)})
LOOK_S = 0.05
OBEYED, CUT = 0, 75


class Worker:
    """One `orchbridge run` of a house, in all its lives; their output goes to one file."""

    def __init__(self, config: Path, out: Path) -> None:
        self.out = out
        self.frozen = False
        self.up = False  # this life of it has said that it began
        self.lives = 0
        self._config = config
        self._program: Program | None = None
        self._read = 0

    @property
    def alive(self) -> bool:
        return self._program is not None and self._program.process.poll() is None

    @property
    def pid(self) -> int:
        assert self._program is not None
        return self._program.process.pid

    @property
    def died_by_itself(self) -> bool:
        """Whether it is gone though nobody ended it."""
        return self._program is not None and self._program.process.poll() is not None

    def start(self) -> None:
        assert not self.alive
        self.lives += 1
        self.up = False
        self._program = Program(self.out, "run", "-c", str(self._config))

    def kill(self) -> None:
        """SIGKILL."""
        if self._program is not None:
            self._program.kill()
        self._program, self.frozen = None, False

    async def end(self, limit_s: float = 20.0) -> str:
        """SIGTERM; return what is wrong about how it ended: nothing where it obeyed in time."""
        assert self._program is not None
        process, self._program, up = self._program.process, None, self.up
        process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(process.wait, limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"{self.out.name}: did not end within {limit_s:.0f} s"
        if code in {OBEYED, CUT} or (code == -signal.SIGTERM and not up):  # Python itself was still starting
            return ""
        return f"{self.out.name}: ended with {code} when asked to"

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing else of it is there."""
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        if self.frozen and self.alive:
            os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def news(self) -> list[dict[str, object]]:
        """Return the log lines since the last call."""
        if not self.out.exists():
            return []
        with self.out.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]


class House:
    """Its workers, and who of them claimed which stream last, and when (monotonic seconds)."""

    def __init__(
        self, name: str, folder: Path, *, url: str, bootstrap: str, token: Path, workers: int, poll_s: float,
        lists: bool,
    ):  # fmt: skip
        self.name = name
        kinds = [*KINDS, "activity", "schedules"] if lists else KINDS
        self.services = SERVICES if lists else ()
        self.streams = {f"prod/{kind}" for kind in KINDS} | (LISTS if lists else frozenset())
        self.prefix = f"{name}.prod"
        config = folder / f"{name}.toml"
        given = {"url": url, "bootstrap": bootstrap, "token": token, "poll_s": poll_s, "kinds": json.dumps(kinds)}
        config.write_text(CONFIG.format(name=name, **given))
        self.workers = [Worker(config, folder / f"{name}-{number}.log") for number in range(workers)]
        self.claims: dict[str, tuple[int, float]] = {}
        self.parked: list[str] = []

    async def watch(self) -> None:
        """Keep `claims` true until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        for number, worker in enumerate(self.workers):
            for line in worker.news():
                match line.get("event"):
                    case "bridge.started":
                        worker.up = True
                    case "stream.claimed" if line["stream"] in self.streams:
                        self.claims[str(line["stream"])] = (number, time.monotonic())
                    case "stream.parked":
                        self.parked.append(f"{line.get('stream')}: {line}")

    def carried_by(self, worker: Worker) -> set[str]:
        """Return the streams this worker claimed last."""
        return {stream for stream, (number, _) in self.claims.items() if self.workers[number] is worker}

    async def claimed(self, streams: set[str], since: float, limit_s: float) -> float | None:
        """Wait until all these were claimed after `since`; return how long after, None where they were not."""
        ends = time.monotonic() + limit_s
        while True:
            moments = [self.claims.get(stream, (0, 0.0))[1] for stream in streams]
            if all(moment > since for moment in moments):
                return max((moment - since for moment in moments), default=0.0)
            if time.monotonic() > ends:
                return None
            await asyncio.sleep(LOOK_S)
