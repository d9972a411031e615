"""What a replay refuses: one clear line, and nothing moved."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from orchbridge.cli.main import main
from tests.e2e.programs import simulator
from tests.e2e.replays import Place

WRONG = {
    "nothing asked for": ([], "--jobs 350..400"),
    "backwards": (["--jobs", "9..7"], "7..9"),
    "no range": (["--jobs", "all"], "350..400"),
    "zero": (["--plan-jobs", "0"], "begin with 1"),
    "a time to come": (["--since", "2999-01-01T00:00:00Z"], "still to come"),
    "a time without its offset": (["--since", "2026-01-01T00:00:00"], "offset"),
    "an end without a beginning": (["--until", "2h"], "--since"),
    "an end before the beginning": (["--since", "2h", "--until", "3h"], "before"),
    "ids and a time": (["--jobs", "3", "--since", "2h"], "one after the other"),
    "a source that is not there": (["--jobs", "3", "--source", "dev"], "prod"),
    "a share of nothing": (["--jobs", "3", "--share", "0"], "0.25"),
    "patience without end": (["--jobs", "3", "--patience", "ever"], "2m"),
    "jobs that do not exist yet": (["--jobs", "900..950"], "the newest is 6"),
}


def replayed(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module", params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def untouched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place that nothing may be written to."""
    kafka = request.getfixturevalue("kafka") if request.param == "kafka" else ""
    found = Place(tmp_path_factory.mktemp("untouched"), f"untouched-{uuid4().hex[:8]}", kafka)
    with simulator(found.folder, "backlog:jobs=6,events=2") as (url, _):
        found.configure(url)
        yield found


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line_and_moves_nothing(untouched: Place, case: str) -> None:
    options, word = WRONG[case]
    done = replayed(*untouched.arguments(*options))
    assert done.exit_code == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert word in done.stderr
    assert done.stdout == ""
    assert untouched.topics() == set()


@pytest.mark.parametrize("to", ["with space", "a/b", "{job}", "x" * 245, ""])
def test_a_prefix_that_makes_no_topics(untouched: Place, to: str) -> None:
    done = replayed("replay", "-c", str(untouched.config), "--jobs", "3", "--to", to)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "--to" in done.stderr
    assert untouched.topics() == set()


def test_looking_first_moves_nothing(untouched: Place) -> None:
    done = replayed(*untouched.arguments("--jobs", "2..", "--dry-run"))
    assert done.exit_code == 0, done.stderr
    assert "5 to read: 2 to 6" in done.stdout
    assert "25% of the requests allowed to prod" in done.stdout
    assert untouched.topics() == set()


def test_the_live_prefix_takes_a_word(untouched: Place) -> None:
    done = replayed(*untouched.arguments("--jobs", "3", to="prod"))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "will see these again" in done.stderr
    assert "--yes" in done.stderr
    assert untouched.topics() == set()
