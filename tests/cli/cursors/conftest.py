"""The stage of these tests, on each sink that remembers."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.cursors.stage import Stage


@pytest.fixture(params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """A furnished sink."""
    made = _stage(request, tmp_path)
    made.furnish()
    return made


@pytest.fixture(params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """A sink that nobody has written to."""
    return _stage(request, tmp_path)


@pytest.fixture(scope="module", params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def untouched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A furnished sink for commands that must change nothing: one for all of them."""
    made = _stage(request, tmp_path_factory.mktemp("untouched"))
    made.furnish()
    return made


def _stage(request: pytest.FixtureRequest, folder: Path) -> Stage:
    table = f'type = "jsonl"\ndirectory = "{folder}/records"'
    if request.param == "kafka":
        kafka, prefix = request.getfixturevalue("kafka"), f"cursors-{uuid4().hex[:10]}"
        table = (
            f'type = "kafka"\nbootstrap_servers = "{kafka}"\ngroup = "{prefix}"\n'
            f'topic_prefix = "{prefix}.{{source}}"\npartitions = 1'
        )
    made = Stage(folder, table)
    made.configure()
    return made
