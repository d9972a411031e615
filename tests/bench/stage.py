"""The processes under measurement: a simulator and a bridge, as an operator would start them."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import Program, get, running

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "{start}"
streams = [{streams}]
poll_interval_s = {poll_s}
inventory_interval_s = {inventory_s}
requests_per_s = {requests_per_s}

[sink]
{sink}

[http]
listen = "127.0.0.1:0"

[log]
format = "json"
"""
TICKS = os.sysconf("SC_CLK_TCK")
_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Plan:
    """How the bridge is to be configured; `sink` is the body of its table."""

    url: str
    sink: str
    streams: tuple[str, ...] = ("jobs",)
    start: str = "earliest"
    poll_s: float = 2.0
    inventory_s: float = 30.0
    requests_per_s: float = 1000.0

    def write(self, folder: Path) -> Path:
        path = folder / "config.toml"
        streams = ", ".join(f'"{name}"' for name in self.streams)
        path.write_text(CONFIG.format(folder=folder, **{**vars(self), "streams": streams}))
        return path


class Bridge:
    """A running bridge: what it counts, and what it costs."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pid = program.process.pid
        self.address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]

    def counts(self) -> dict[str, float]:
        """Return its metrics, summed by name and, for some, by `name/label value`."""
        found: defaultdict[str, float] = defaultdict(float)
        for name, labels, value in _LINE.findall(get(self.address, "/metrics").text):
            found[name] += float(value)
            for part in re.findall(r'(?:channel|api)="([^"]+)"', labels):
                found[f"{name}/{part}"] += float(value)
        return found

    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    def rss_mb(self, peak: bool = False) -> float:
        """Return resident memory in MB, the highest ever with `peak`."""
        name = "VmHWM" if peak else "VmRSS"
        found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024 / 1e6

    def wait_until(self, name: str, least: float, limit_s: float) -> None:
        """Wait until a count is reached; fail with what it was where the bridge ends or takes too long."""
        ends = time.monotonic() + limit_s
        while (now := self.counts().get(name, 0.0)) < least:
            if self.program.process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"{name} is {now:g} instead of {least:g}:\n{self.program.text[-3000:]}")
            time.sleep(0.2)


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU a process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def simulated(folder: Path, scenario: str) -> Iterator[tuple[str, Program]]:
    """Run a simulator with a truth log; yield its address once it has built its world."""
    (folder / "token").write_text("letmein\n")
    given = ["simulate", "--port", "0", "--token-file", str(folder / "token"), "--scenario", scenario]
    with running(folder / "simulator.out", *given, "--truth", str(folder / "truth.log")) as program:
        yield program.wait_for(r"on (https?://\S+)", 180)[1], program


@contextmanager
def bridged(folder: Path, plan: Plan) -> Iterator[Bridge]:
    """Run a bridge; fail where it does not end well when asked to."""
    with running(folder / "bridge.out", "run", "-c", str(plan.write(folder))) as program:
        bridge = Bridge(program)
        yield bridge
        code = program.end()
        if code:
            raise SystemExit(f"the bridge ended with {code}:\n{program.text[-3000:]}")


def kafka_sink(bootstrap: str, name: str) -> str:
    """Return a Kafka sink whose topics begin with `<name>.prod`."""
    return (
        f'type = "kafka"\ntopic_prefix = "{name}.{{source}}"\nbootstrap_servers = "{bootstrap}"\n'
        f'group = "{name}"\npartitions = 6'
    )


def jsonl_sink(folder: Path) -> str:
    """Return a JSONL sink into `<folder>/data`."""
    return f'type = "jsonl"\ntopic_prefix = "{{source}}"\ndirectory = "{folder}/data"'
