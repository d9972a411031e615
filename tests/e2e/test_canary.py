"""Two workers on a real Kafka with a canary: one sends it, and the heir does once it carries the stream."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path

import httpx
import pytest

from orchbridge.cli.canary import flight, keeper
from orchbridge.cli.run import Running, bridge
from orchbridge.config import load
from orchbridge.ops.catalogue import CANARY_REASONS
from orchbridge.runtime.stop import Stop
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.e2e.programs import consumed

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token = "letmein"
streams = ["jobs"]
poll_interval_s = 0.2
certificate_grace_s = 1.0

[sources.canary]
task = "facts"
nodes = {nodes}
interval_s = 600
timeout_s = 60

[sink]
type = "kafka"
topic_prefix = "{prefix}.{{source}}"
bootstrap_servers = "{bootstrap}"
group = "{prefix}"
partitions = 3

[http]
listen = "127.0.0.1:0"
"""


class Worker:
    """One bridge in this process."""

    def __init__(self, path: Path, name: str) -> None:
        self._address: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self.stop = Stop()
        settings = load(path, {})
        self.task = asyncio.create_task(bridge(settings, self.stop, name=name, started=self._address.set_result))

    async def value(self, series: str) -> float:
        """Return what it exports of a series, 0 where it does not."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"{(await self._address).address}metrics", timeout=10)).text
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def failures(self) -> float:
        names = [f'orchbridge_canary_failures_total{{source="prod",reason="{each}"}}' for each in CANARY_REASONS]
        return sum([await self.value(name) for name in names])


LANDED = 'orchbridge_canary_seconds_count{source="prod"}'


async def until_one(worker: Worker, series: str) -> None:
    async with asyncio.timeout(60):
        while await worker.value(series) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_one_worker_sends_it_and_the_heir_goes_on(
    kafka: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FIRST_S", 0.0)
    monkeypatch.setattr("orchbridge.sim.drafts.FAILING", 0.0)
    world = World("empty:nodes=4,shortest=0.1,longest=0.3", start=time.time())
    async with served(world, token="letmein") as url:
        while len(world.agents) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        nodes = sorted(world.agents)[:2]
        path = tmp_path / "config.toml"
        path.write_text(CONFIG.format(url=url, nodes=json.dumps(nodes), bootstrap=kafka, prefix=prefix))

        def sent() -> list[int]:
            return [job.id for job in world.jobs.values() if job.options.get("description") == flight.MARK]

        first = Worker(path, "first")
        await until_one(first, LANDED)
        second = Worker(path, "second")
        async with asyncio.timeout(60):
            while await second.value("orchbridge_group_workers") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert await second.value(LANDED) == 0
        assert len(sent()) == 1
        first.stop.ask()
        await first.task
        await until_one(second, LANDED)
        assert len(sent()) == 2
        assert await second.failures() == 0
        second.stop.ask()
        await second.task
    seen = await consumed(kafka, f"{prefix}.prod")
    summaries = [each for each in seen if each.type.endswith("job.summary.v1") and int(each.key) in sent()]
    assert sorted(int(each.key) for each in summaries) == sent()
    assert all(each.data["complete"] for each in summaries)
