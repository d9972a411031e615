"""The simulator that these tests work with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.pe.stage import Stage
from tests.e2e.programs import simulator


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Five connected nodes, no jobs, work that takes a moment."""
    folder = tmp_path_factory.mktemp("pe")
    with simulator(folder, "empty:nodes=5,shortest=0.3,longest=0.8") as (url, _):
        yield Stage(folder, url)


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same, where work takes long enough to be seen."""
    folder = tmp_path_factory.mktemp("brisk")
    with simulator(folder, "empty:nodes=5,shortest=2,longest=3") as (url, _):
        yield Stage(folder, url)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The same, where work takes a minute."""
    folder = tmp_path_factory.mktemp("slow")
    with simulator(folder, "empty:nodes=5,shortest=50,longest=60") as (url, _):
        yield Stage(folder, url)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A few jobs and plans that are over; nothing moves."""
    folder = tmp_path_factory.mktemp("past")
    with simulator(folder, "quiet:jobs=12") as (url, _):
        yield Stage(folder, url)
