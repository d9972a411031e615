"""`orchbridge run` from a simulator into a real Kafka, killed again and again."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.programs import consumed, get, running, simulator, wait_until
from tests.oracle import Verdict, facts, judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "earliest"
streams = ["jobs", "plans", "inventory"]
poll_interval_s = 0.5
inventory_interval_s = 2.0

[sink]
type = "kafka"
topic_prefix = "{prefix}.{{source}}"
bootstrap_servers = "{bootstrap}"
group = "{prefix}"
partitions = 3

[http]
listen = "127.0.0.1:0"
"""


def config(folder: Path, url: str, bootstrap: str, prefix: str) -> Path:
    path = folder / "config.toml"
    path.write_text(CONFIG.format(url=url, folder=folder, bootstrap=bootstrap, prefix=prefix))
    return path


def verdict(folder: Path, bootstrap: str, prefix: str, until: float | None = None) -> Verdict:
    seen = asyncio.run(consumed(bootstrap, f"{prefix}.prod"))  # before the truth: the world goes on meanwhile
    return judge(facts(folder / "truth.log"), seen, until=until)


def states(address: str) -> list[str]:
    """Return what the status page says of each stream."""
    return [stream["state"] for stream in get(address, "/status.json").json()["sources"][0]["streams"]]


def test_killed_ten_times_every_record_is_there_once(kafka: str, prefix: str, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url, kafka, prefix)
        for turn in range(10):
            with running(tmp_path / f"run{turn}.out", "run", "-c", str(path)) as program:
                address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
                program.wait_for("stream.claimed")
                assert get(address, "/healthz").status_code == 200
                assert "orchbridge_build_info" in get(address, "/metrics").text
                time.sleep(chance.uniform(0.2, 2.5))  # a random moment is what is tested
        with running(tmp_path / "last.out", "run", "-c", str(path)) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            wait_until("readiness", lambda: get(address, "/readyz").status_code == 200)
            until = facts(tmp_path / "truth.log")[-1]["at"]
            wait_until("everything", lambda: verdict(tmp_path, kafka, prefix, until - 1.0), 60)
            wait_until("every stream live", lambda: set(states(address)) <= {"live", "done"}, 30)
            assert program.end() == 0
    found = verdict(tmp_path, kafka, prefix, until - 1.0)
    assert found.well, str(found)
    assert found.events > 100


def test_jobs_started_through_commands_are_found_complete(kafka: str, prefix: str, tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet") as (url, _):
        path = config(tmp_path, url, kafka, prefix)
        with running(tmp_path / "run.out", "run", "-c", str(path)) as program:
            program.wait_for("stream.claimed")
            nodes = httpx.get(f"{url}/orchestrator/v1/inventory", headers={"X-Authentication": "letmein"}).json()
            names = [item["name"] for item in nodes["items"]][:3]
            answer = httpx.post(
                f"{url}/orchestrator/v1/command/deploy",
                headers={"X-Authentication": "letmein"},
                json={"environment": "production", "scope": {"nodes": names}, "userdata": {"change": "CHG77"}},
            )
            assert answer.status_code == 202
            job = answer.json()["job"]["name"]

            def certified() -> bool:
                records = asyncio.run(consumed(kafka, f"{prefix}.prod"))
                return any(r.key == job and r.type.endswith("job.summary.v1") for r in records)

            wait_until("the certificate", certified, 60)
    records = [record for record in asyncio.run(consumed(kafka, f"{prefix}.prod")) if record.key == job]
    (summary,) = [record.data for record in records if record.type.endswith("job.summary.v1")]
    assert summary is not None
    assert summary["complete"] is True
    assert summary["expected"]["nodes"] == len(names)
    changed = [r.data for r in records if r.type.endswith("job.state.changed.v1") and r.data]
    assert changed[0]["pe"]["userdata"] == {"change": "CHG77"}
