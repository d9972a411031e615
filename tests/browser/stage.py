"""A real bridge beside simulated orchestrators, for browsers to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.programs import Program, get, running, simulator, wait_until

SOURCE = """
[[sources]]
name = "{name}"
url = "{url}"
token_file = "{token}"
start = "{start}"
poll_interval_s = 0.5
inventory_interval_s = 1.0
requests_per_s = {rate}
job_url = "https://pe.example.com/#/run/jobs/{{job}}"
"""
CONFIG = """
{sources}
[sink]
type = "jsonl"
directory = "{folder}/records"

[http]
listen = "127.0.0.1:{port}"
"""


class World:
    """One simulated orchestrator, commanded as its users would."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a command or pull a lever; return the answer."""
        headers = {"X-Authentication": "letmein"}
        answer = httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=10, trust_env=False)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def task(self, nodes: Sequence[str], description: str = "", task: str = "service::restart") -> int:
        """Start a task; return the job's number."""
        body = {"task": task, "params": {}, "scope": {"nodes": list(nodes)}, "description": description}
        return int(self.post("/orchestrator/v1/command/task", body)["job"]["name"])

    def deploy(self, nodes: Sequence[str], description: str = "") -> int:
        """Start a puppet run; return the job's number."""
        body = {"environment": "production", "scope": {"nodes": list(nodes)}, "description": description}
        return int(self.post("/orchestrator/v1/command/deploy", body)["job"]["name"])

    def plan(self, nodes: Sequence[str], name: str = "rollout::web") -> None:
        body = {"plan_name": name, "params": {"batch": 5}, "environment": "production", "description": "wave 2 of 3"}
        self.post("/orchestrator/v1/command/plan_run", body)

    def connect(self, nodes: Sequence[str], connected: bool = True) -> None:
        """Let nodes come or go."""
        for node in nodes:
            self.post("/sim/inventory", {"node": node, "connected": connected})


@contextmanager
def bridged(
    folder: Path,
    *scenes: tuple[str, str, str],
    rates: dict[str, float] | None = None,
    port: int = 0,
    http: str = "",
    looked: bool = True,
) -> Iterator[tuple[str, dict[str, World], Program]]:
    """Run a bridge over sources (name, scenario, start); yield its address, the worlds by name, the program.

    It has looked at each of them by then: what ends before the first look is nothing new to a bridge that starts now.
    `http` are more lines of that section; with those that demand a password nobody can be asked what was `looked` at.
    """
    with ExitStack() as stack:
        worlds, sources = dict[str, World](), ""
        for name, scenario, start in scenes:
            place = folder / name
            place.mkdir()
            url, _ = stack.enter_context(simulator(place, scenario))
            worlds[name] = World(url)
            rate = (rates or {}).get(name, 50)
            sources += SOURCE.format(name=name, url=url, token=place / "token", start=start, rate=rate)
        config = folder / "config.toml"
        config.write_text(CONFIG.format(sources=sources, folder=folder, port=port) + http)
        program = stack.enter_context(running(folder / "bridge.out", "run", "-c", str(config)))
        found = program.wait_for(r'"http": ?"(http://[^"]+)"|http=(http://\S+)')
        address = found[1] or found[2]
        if looked:
            wait_until("the first look at everything", lambda: _looked(address.rstrip("/")))
        yield address, worlds, program


def _looked(address: str) -> bool:
    """Whether every live stream has committed where it begins."""
    told = get(address, "/status.json").json()
    streams = [stream for source in told["sources"] for stream in source["streams"]]
    return all(stream["last_commit"] for stream in streams if "backfill" not in stream["kind"])
