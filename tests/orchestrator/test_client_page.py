"""docs/client.md: its example runs and has its types, its table leaves nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchbridge.orchestrator import Access, Client
from orchbridge.orchestrator.endpoints import ENDPOINTS
from orchbridge.sim.serve import served
from orchbridge.sim.world import World

TOP = Path(__file__).parents[2]
TEXT = (TOP / "docs" / "client.md").read_text(encoding="utf-8")
EXAMPLE = "".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
TOKEN = "0simulated"


async def test_the_example_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, "docs/client.md", "exec"), names)
    world = World("empty:nodes=3,shortest=0.2,longest=0.4")
    async with served(world, token=TOKEN) as url:
        access = Access("sim", url, token=TOKEN, rbac_url=url)
        assert await names["patch"](access, ["web01.example.com"]) == "finished"
        async with Client(access) as client:
            assert ("task", "facts") in [(each.type, each.name) async for each in client.schedules.list()]
    told = capsys.readouterr().out
    assert [line.split()[2] for line in told.splitlines()[:3]] == ["node_running", "node_finished", "job_finished"]
    assert "web01.example.com finished" in told
    assert 'via orchestrator job "1"' in told


async def test_a_client_that_is_not_open_says_how_it_is_opened() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client(Access("sim", "http://localhost:1", token=TOKEN)).jobs.get(1)


def test_the_example_has_its_types(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLE)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "example.py")],
        cwd=TOP, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_every_namespace_and_its_page_are_told() -> None:
    spaces = {endpoint.call.partition(".")[0] for endpoint in ENDPOINTS}
    assert {space for space in spaces if f"`client.{space}`" not in TEXT} == set()
    assert "docs/client.md" in (TOP / "README.md").read_text(encoding="utf-8")
