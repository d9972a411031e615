"""Work that the public client starts and stops is found in the sink, whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchbridge.orchestrator import Access, Client, Scope
from tests.e2e.acts import OPS, People
from tests.e2e.programs import get, running, simulator, wait_until
from tests.e2e.test_run_jsonl import records
from tests.e2e.test_run_lists import config, verdict
from tests.oracle import Seen, facts

pytestmark = pytest.mark.timeout(120)


def of(seen: list[Seen], key: str, kind: str) -> list[Any]:
    """Return what records of one type say of one job or plan."""
    return [record.data for record in seen if record.key == key and record.type.endswith(f"{kind}.v1")]


async def test_what_commands_start_and_stop_is_found_whole(tmp_path: Path) -> None:
    with simulator(tmp_path, "empty:nodes=6,shortest=0.5,longest=1.5") as (url, _):
        nodes = People(url, tmp_path).nodes
        with running(tmp_path / "run.out", "run", "-c", str(config(tmp_path, url))) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            wait_until("readiness", lambda: get(address, "/readyz").status_code == 200, 30)
            async with Client(Access("pe", url, token=OPS)) as client:
                order = client.commands
                secret = {"database": "hr", "password": "0-never-shown"}
                task = await order.task("dbx::dump", secret, Scope(nodes=nodes), description="nightly")
                deploy = await order.deploy("production", Scope(nodes=nodes[:2]), userdata={"change": "CHG77"})
                plan = await order.plan_run("rollout::web", {"batch": 2})
                doomed = await order.deploy("production", Scope(nodes=nodes))
                stopped = await order.stop(doomed.id)
            assert stopped.id == doomed.id

            def all_told() -> bool:
                seen = records(tmp_path)
                certified = all(of(seen, str(job.id), "job.summary") for job in (task, deploy, doomed))
                return certified and bool(of(seen, str(plan.id), "plan.finished"))

            wait_until("certificates and the plan", all_told, 60)
            until = facts(tmp_path / "truth.log")[-1]["at"]
            wait_until("everything", lambda: verdict(tmp_path, records(tmp_path), until, whole=True))
            assert program.end() == 0
    seen = records(tmp_path)
    for job, count in ((task, len(nodes)), (deploy, 2), (doomed, len(nodes))):
        summary = of(seen, str(job.id), "job.summary")[-1]
        assert summary["complete"] is True, summary
        assert summary["expected"]["nodes"] == count
    assert of(seen, str(doomed.id), "job.summary")[-1]["outcome"] == "stopped"
    assert of(seen, str(deploy.id), "job.state.changed")[0]["pe"]["userdata"]["change"] == "CHG77"
    files = [path for path in (tmp_path / "records").iterdir() if path.is_file()]
    assert "0-never-shown" not in "".join(path.read_text() for path in (*files, tmp_path / "run.out"))
    assert {record.data["subject"]["name"] for record in seen if record.channel == "audit" and record.data} == {"ops"}
