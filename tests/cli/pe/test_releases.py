"""What an older PE lacks is told in one line with the release that brought it, or done without."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.pe.stage import Stage, said
from tests.e2e.programs import simulator

ONE = ("--nodes", "web01.example.com", "--yes")
LATER = (*ONE, "--at", "+2h")


@pytest.fixture(scope="module", params=["2016.2", "2018.1.5"])
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Stage]]:
    """An old release in which a few jobs and plans are over."""
    folder = tmp_path_factory.mktemp("old")
    with simulator(folder, "quiet:jobs=6,nodes=5", "--version", request.param) as (url, _):
        yield request.param, Stage(folder, url)


LACKING = [
    ("2016.2", ("run-task", "facts", *ONE), "2017.3"),
    ("2016.2", ("tasks",), "2017.3"),
    ("2016.2", ("inventory",), "2016.5"),
    ("2016.2", ("plan-jobs",), "2018.1"),
    ("2016.2", ("schedules",), "2018.1.5"),
    ("2016.2", ("unschedule", "1", "--yes"), "2018.1.5"),
    ("2018.1.5", ("deploy", "--environment", "production", *LATER), "2019.8"),
    ("2018.1.5", ("plan-job", "1", "--follow"), "2019.2"),
    ("2018.1.5", ("run-plan", "rollout::web", "--yes"), "2019.2"),
    ("2018.1.5", ("targets",), "2019.4"),
    ("2018.1.5", ("usage",), "2019.0"),
]


def test_what_it_lacks_is_told_with_the_release_that_brought_it(old: tuple[str, Stage]) -> None:
    version, stage = old
    for command, since in [(command, since) for release, command, since in LACKING if release == version]:
        done = stage.run(*command)
        assert (done.exit_code, done.stdout) == (3, ""), command
        assert f"PE has it since {since};" in said(done).splitlines()[-1], command
        assert "goes on" not in said(done)


def test_a_number_of_nodes_that_is_not_told_is_not_made_up(old: tuple[str, Stage]) -> None:
    version, stage = old
    knows = version != "2016.2"
    rows = stage.run("jobs").stdout.splitlines()[1:]
    assert rows
    assert [row for row in rows if " 0 of 0 " in row or "  0  " in row] == []
    assert ("\nnodes " in stage.run("job", "1").stdout) == knows
    last = stage.run("job", "1", "--follow").stdout.splitlines()[-1]
    assert last.startswith("job 1: finished after some time")
    assert ("finished" in last.removeprefix("job 1: finished")) == knows


def test_scopes_are_told_with_the_release_that_brought_them(old: tuple[str, Stage]) -> None:
    version, stage = old
    done = stage.run("deploy", "--environment", "production", *ONE)
    assert done.exit_code == (2 if version == "2016.2" else 0)
    assert ("scopes since 2016.4" in said(done)) == (version == "2016.2")


def test_activity_of_the_first_version(old: tuple[str, Stage]) -> None:
    """It has no list of everything, so that the services are asked one by one; nor both ends of a time."""
    _, stage = old
    rbac = ("--rbac-url", stage.url)
    told = [json.loads(line) for line in stage.run("activity", "--json", "--limit", "500", *rbac).stdout.splitlines()]
    assert len(told) > 4
    assert [each["at"] for each in told] == sorted((each["at"] for each in told), reverse=True)
    some = [json.loads(line) for line in stage.run("activity", "--json", "--limit", "3", *rbac).stdout.splitlines()]
    assert [each["at"] for each in some] == [each["at"] for each in told][:3]
    jobs = stage.run("activity", "--json", "--service", "pe-console", *rbac).stdout
    assert "orchestrator job" in jobs
    assert stage.run("activity", "--until", "2001-01-01", *rbac).stdout == ""
    assert len(
        stage.run("activity", "--json", "--since", "2001-01-01", "--limit", "500", *rbac).stdout.splitlines()
    ) == len(told)
