"""`orchbridge replay` as an operator runs it: beside a live bridge or alone, killed, interrupted, refused."""

from __future__ import annotations

import os
import pty
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.programs import Program, running, simulator, wait_until
from tests.e2e.replays import Place, Told, twice

pytestmark = pytest.mark.timeout(180)

HISTORY = "backlog:jobs=24,events=6"
FACTS = {"jobs", "job-events", "plans"}
MOMENTARY = {"pe", "node_states", "child_jobs"}  # what a state record shows of its job or plan at that time


@pytest.fixture(params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def place(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Place:
    kafka = request.getfixturevalue("kafka") if request.param == "kafka" else ""
    return Place(tmp_path, prefix, kafka)


def orchbridge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchbridge", *arguments], capture_output=True, text=True, timeout=90, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def live(place: Place, out: str = "run.out") -> Iterator[Program]:
    with running(place.folder / out, "run", "-c", str(place.config)) as program:
        program.wait_for("stream.claimed")
        yield program


def certified(told: list[Told]) -> set[int]:
    return {int(one.key) for one in told if one.id.endswith(("summary/1", "summary/2"))}


def delivered(place: Place, jobs: set[int]) -> None:
    """Let a bridge deliver these jobs, and end it."""
    with live(place) as program:
        wait_until("the live records", lambda: jobs <= certified(place.told("prod")))
        assert program.end() == 0


def same(replayed: list[Told], alive: list[Told], *, watched: bool = False) -> None:
    """The replayed facts are those of the live stream, all marked, none twice.

    Where it `watched` jobs run, its records show them as they were then.
    """
    known = {one.id: one for one in alive}
    facts = [one for one in replayed if one.channel in FACTS]
    assert facts
    assert twice(facts) == []
    assert [one.id for one in facts if one.id not in known] == []
    differing = {one.id: _differing(one, known[one.id]) for one in facts}
    if watched:
        differing = {id_: fields - (MOMENTARY if "/state/" in id_ else set()) for id_, fields in differing.items()}
    assert {id_: fields for id_, fields in differing.items() if fields} == {}
    assert [one.id for one in facts if one.key != known[one.id].key] == []
    assert all(one.replay for one in facts)
    assert {one.run for one in alive if one.replay} <= {"backfill", ""}  # files do not tell the run


def _differing(one: Told, other: Told) -> set[str]:
    return {name for name in one.facts | other.facts if one.facts.get(name) != other.facts.get(name)}


def whole(replayed: list[Told], alive: list[Told], jobs: set[int]) -> None:
    """Everything of these jobs and of no others is there."""
    wanted = {one.id for one in alive if one.channel in {"jobs", "job-events"} and int(one.key) in jobs}
    assert {one.id for one in replayed if one.channel in {"jobs", "job-events"}} == wanted


def test_a_range_beside_a_bridge_that_rests_is_the_same_again_and_touches_nothing_else(place: Place) -> None:
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        delivered(place, set(range(1, 25)))
        before, alive = place.documents(), place.told("prod")
        done = orchbridge(*place.arguments("--jobs", "7..12", "--jobs", "20", to="again.{source}"))
    assert done.returncode == 0, done.stdout + done.stderr
    replayed = place.told("again.prod")
    same(replayed, alive)
    whole(replayed, alive, {*range(7, 13), 20})
    still = [one.id for one in place.told("prod")]
    assert sorted(still) == sorted(one.id for one in alive), "nothing was written to the live records"
    run = re.search(r"replay (\w+):", done.stdout)
    assert run is not None
    after = place.documents()
    lane = f"prod/replay-{run[1]}-jobs"
    assert {key: value for key, value in after.items() if key != lane} == before
    assert b'"over":true' in after[lane]
    assert len(after[lane]) < 400
    assert "7 replayed" in done.stdout
    if place.bootstrap:
        assert {one.run for one in replayed if one.channel in FACTS} == {run[1]}
        names = {"jobs", "job-events", "job-state", "notices", "quarantine"}
        assert {topic for topic in place.topics() if "again" in topic} == {
            f"{place.prefix}.again.prod.{name}" for name in names
        }


def test_done_is_done_until_it_is_wanted_again(place: Place) -> None:
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        arguments = place.arguments("--jobs", "3..5")
        assert orchbridge(*arguments).returncode == 0
        first = place.told("again")
        done = orchbridge(*arguments)
        assert (done.returncode, "was done before" in done.stdout) == (0, True), done.stdout
        assert "--again" in done.stdout
        assert len(place.told("again")) == len(first)
        done = orchbridge(*arguments, "--again")
        assert done.returncode == 0, done.stdout
    ids = [one.id for one in place.told("again") if one.channel in FACTS]
    assert sorted(ids) == sorted([one.id for one in first if one.channel in FACTS] * 2)
    assert {one.key for one in first} == {"prod/3", "prod/4", "prod/5"}, "without {source} keys name it"


def test_wanted_again_and_interrupted_it_goes_on_with_everything(place: Place) -> None:
    """What is read second was done before as well, and must not count as done this time."""

    def replayed() -> list[str]:
        return [one.id for one in place.told("again") if one.channel in FACTS]

    with simulator(place.folder, "demo:nodes=6,shortest=0.1,longest=0.4") as (url, _):
        place.configure(url)
        arguments = place.arguments("--jobs", "1..4", "--plan-jobs", "1")
        over = (r"jobs +4 to read", r"plans +1 to read")
        wait_until(
            "what can be replayed",
            lambda: all(re.search(each, orchbridge(*arguments, "--dry-run").stdout) for each in over),
        )
        assert orchbridge(*arguments, "--share", "1").returncode == 0
        first = replayed()
        assert any("plan/" in one for one in first)
        with running(place.folder / "out", *arguments, "--share", "0.2", "--again") as program:
            wait_until("some jobs again", lambda: len(replayed()) > len(first))
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(20) == 75, program.text
            onward = shlex.split(program.wait_for("go on with: orchbridge (.*)")[1].replace("--share 0.2 ", ""))
        assert len(replayed()) < 2 * len(first), "it was over before it was interrupted"
        done = orchbridge(*onward, "--share", "1")
        assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(replayed()) == sorted(first * 2)


def test_killed_in_the_middle_every_record_is_there_once(place: Place) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with simulator(place.folder, "backlog:jobs=60,events=6") as (url, _):
        place.configure(url)
        arguments = place.arguments("--jobs", "1..", "--share", "0.5")
        kills = 0
        for turn in range(4):
            with running(place.folder / f"{turn}.out", *arguments) as program:
                program.wait_for("to read")
                time.sleep(chance.uniform(0.8, 3.0))  # a random moment is what is tested
                kills += program.process.poll() is None
        done = orchbridge(*place.arguments("--jobs", "1..", "--share", "1"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert kills > 1
        delivered(place, set(range(1, 61)))
    replayed, alive = place.told("again"), place.told("prod")
    assert [one.id for one in replayed if not one.replay and one.channel in FACTS] == []
    assert twice([one for one in replayed if one.channel in FACTS]) == []
    whole([_bare(one) for one in replayed], alive, set(range(1, 61)))


def _bare(one: Told) -> Told:
    return Told(one.channel, one.key.removeprefix("prod/"), one.id, one.replay, one.run, one.data)


def test_interrupted_it_says_how_to_go_on_and_does(place: Place) -> None:
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        with running(place.folder / "out", *place.arguments("--since", "30d", "--share", "0.2")) as program:
            wait_until("the first records", lambda: _begun(place), 60)
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(15) == 75
            command = program.wait_for(r"go on with: orchbridge (.*)")[1]
        part = certified([_bare(one) for one in place.told("again")])
        assert len(part) < 24
        done = subprocess.run(
            f"{sys.executable} -m orchbridge {command} --share 1".replace("--share 0.2 ", ""), shell=True,
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "were done before" in done.stdout
    replayed = place.told("again")
    assert certified([_bare(one) for one in replayed]) == set(range(1, 25))
    assert twice([one for one in replayed if one.channel in FACTS]) == []


def _begun(place: Place) -> bool:
    try:
        return bool(place.told("again"))
    except FileNotFoundError:
        return False


def test_into_the_live_topics_with_consent(place: Place) -> None:
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        delivered(place, set(range(1, 25)))
        alive = place.told("prod")
        done = orchbridge(*place.arguments("--jobs", "5..6", "--yes", to="prod"))
        assert done.returncode == 0, done.stdout + done.stderr
    both = place.told("prod")
    known: set[str] = set()
    again = [one for one in both if one.channel in FACTS and (one.id in known or known.add(one.id))]  # type: ignore[func-returns-value]
    same(again, alive)
    whole(again, alive, {5, 6})
    facts = [one for one in both if one.channel in FACTS]
    assert len(facts) == len([one for one in alive if one.channel in FACTS]) + len(again)


@pytest.mark.parametrize("away", ["source", "sink"])
def test_what_does_not_answer_is_waited_for_and_then_given_up(place: Place, away: str) -> None:
    if away == "sink" and not place.bootstrap:
        pytest.skip("a directory does not go away")
    with simulator(place.folder, HISTORY) as (url, _):
        there = place if away == "source" else Place(place.folder, place.prefix, "127.0.0.1:9")
        there.configure(url if away == "sink" else "http://127.0.0.1:9")
        done = orchbridge(*there.arguments("--jobs", "3", "--patience", "3s"))
    assert done.returncode == 69, done.stdout + done.stderr
    assert "waiting for" in done.stderr
    assert "go on with: orchbridge replay" in done.stderr
    assert place.topics() == set()


def test_a_source_that_goes_away_in_the_middle_comes_back_to_the_same_place(place: Place) -> None:
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        arguments = place.arguments("--jobs", "1..24", "--patience", "4s")
        with running(place.folder / "out", *arguments) as program:
            program.wait_for("to read")
            time.sleep(2.0)
            httpx.post(f"{url}/sim/knobs", json={"faults": "503"}).raise_for_status()
            assert program.process.wait(40) == 69, program.text
            assert "gave up waiting for the orchestrator" in program.text
        httpx.post(f"{url}/sim/knobs", json={"faults": "none"}).raise_for_status()
        done = orchbridge(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    replayed = [one for one in place.told("again") if one.channel in FACTS]
    assert twice(replayed) == []
    assert certified([_bare(one) for one in replayed]) == set(range(1, 25))


def test_what_is_pruned_or_still_runs_is_named(place: Place) -> None:
    knobs = ("--knob", "prune=after:4", "--knob", "id_gaps=some")
    with simulator(place.folder, "demo:nodes=24,shortest=3,longest=9", *knobs) as (url, _):
        place.configure(url)

        def states() -> dict[int, bool]:
            answer = httpx.get(f"{url}/orchestrator/v1/jobs", headers={"X-Authentication": "letmein"})
            return {int(job["name"]): bool(job.get("finished_timestamp")) for job in answer.json()["items"]}

        wait_until("both kinds", lambda: min(states(), default=0) > 3 and set(states().values()) == {True, False})
        done = orchbridge(*place.arguments("--jobs", "1..", "--share", "1"))
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.partition("\n  time ")[2]  # what it says in the end
    running_ = re.search(r"still running: (.*)", told)
    gone = re.search(r"\(pruned, or never given out\): (.*)", told)
    assert running_ is not None
    assert gone is not None
    named, _, unnamed = running_[1].removesuffix(" more").partition(" and ")  # a long list is cut short
    left_out = {int(id_) for id_ in named.split(", ")} | _ids(gone[1])
    replayed = certified([_bare(one) for one in place.told("again")])
    assert not replayed & left_out
    missing = set(range(1, max(replayed | left_out) + 1)) - replayed - left_out
    pruned = re.search(r"(\d+) that were pruned before they were read", told)
    assert len(missing) == int(unnamed or 0) + (int(pruned[1]) if pruned else 0), told


def _ids(text: str) -> set[int]:
    ends = [span.partition("..") for span in text.split(", ")]
    return {id_ for first, _, last in ends for id_ in range(int(first), int(last or first) + 1)}


def test_a_directory_that_a_bridge_writes_to(tmp_path: Path, prefix: str) -> None:
    place = Place(tmp_path, prefix, "")
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        with live(place) as program:
            wait_until("the live records", lambda: set(range(1, 25)) <= certified(place.told("prod")))
            done = orchbridge(*place.arguments("--jobs", "3..4", to="again.{source}"))
            assert (done.returncode, len(done.stderr.splitlines())) == (3, 1), done.stderr
            assert "--directory" in done.stderr
            arguments = place.arguments("--jobs", "3..4", "--directory", str(tmp_path / "else"), to="again.{source}")
            done = orchbridge(*arguments)
            assert done.returncode == 0, done.stdout + done.stderr
            assert program.end() == 0
    replayed = place.told("again.prod", "else")
    same(replayed, place.told("prod"))
    whole(replayed, place.told("prod"), {3, 4})


LIVELY = "demo:nodes=24,shortest=0.4,longest=1.5"


@pytest.mark.kafka
def test_beside_a_bridge_at_work_jobs_and_plans_come_again_and_it_does_not_notice(
    tmp_path: Path, prefix: str, kafka: str
) -> None:
    place = Place(tmp_path, prefix, kafka)
    with simulator(place.folder, LIVELY) as (url, _):
        place.configure(url)
        with live(place) as program:
            wait_until("some history", lambda: _history(place.told("prod")), 90)
            done = orchbridge(*place.arguments("--since", "30d", to="again.{source}"))
            assert done.returncode == 0, done.stdout + done.stderr
            replayed = place.told("again.prod")
            ids = {one.id for one in replayed if one.channel in FACTS}
            wait_until("the live records", lambda: ids <= {one.id for one in place.told("prod")}, 60)
            assert program.end() == 0
            for kind in ("jobs", "plans"):
                claims = re.findall(rf'"stream.claimed".*"prod/{kind}"|"prod/{kind}".*"stream.claimed"', program.text)
                assert len(claims) <= 1, "nobody took the live stream away"
            assert "stumbled" not in program.text
    alive = place.told("prod")
    same(replayed, alive, watched=True)
    assert {one.channel for one in replayed} >= {"jobs", "job-events", "plans"}
    assert twice([one for one in alive if one.channel in FACTS]) == []
    assert all("replay" not in key or b'"over":true' in value for key, value in place.documents().items())


def _history(told: list[Told]) -> bool:
    plans = [one for one in told if one.channel == "plans" and one.data.get("outcome")]
    return len(certified(told)) >= 6 and bool(plans)


def test_after_a_restore_ids_are_those_of_the_epoch_they_were_delivered_in(tmp_path: Path, prefix: str) -> None:
    place = Place(tmp_path, prefix, "")
    with simulator(place.folder, LIVELY, "--knob", "id_restart=at:9,back=3") as (url, _):
        place.configure(url)
        with live(place) as program:
            wait_until("an epoch", lambda: any(one.id.startswith("e2:job") for one in place.told("prod")), 60)
            wait_until("its certificates", lambda: _certificates(place, "e2") > 2, 60)
            done = orchbridge(
                *place.arguments("--jobs", "1..", "--directory", str(tmp_path / "else"), to="again.{source}")
            )
            assert done.returncode == 0, done.stdout + done.stderr
            replayed = place.told("again.prod", "else")
            ids = {one.id for one in replayed if one.channel in FACTS}
            wait_until("the live records", lambda: ids <= {one.id for one in place.told("prod")}, 60)
            assert program.end() == 0
    same(replayed, place.told("prod"), watched=True)
    assert {one.id.partition(":")[0] for one in replayed if one.channel in FACTS} == {"e1", "e2"}


def _certificates(place: Place, epoch: str) -> int:
    return len({one.key for one in place.told("prod") if one.id.startswith(f"{epoch}:job") and "/summary/" in one.id})


def test_another_history_than_the_live_one_is_refused(tmp_path: Path, prefix: str) -> None:
    place = Place(tmp_path, prefix, "")
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        delivered(place, set(range(1, 25)))
    before = place.topics()
    (tmp_path / "other").mkdir()
    with simulator(tmp_path / "other", "backlog:jobs=9,events=6") as (url, _):
        place.config.write_text(re.sub(r"http://[^\"]+", url, place.config.read_text(), count=1))
        place.config.write_text(place.config.read_text().replace("start =", "adopt_cursor = true\nstart ="))
        done = orchbridge(*place.arguments("--jobs", "3..5"))
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1), done.stderr
    assert "was it restored?" in done.stderr
    assert place.topics() == before


def test_the_bar_on_a_terminal(tmp_path: Path, prefix: str) -> None:
    place = Place(tmp_path, prefix, "")
    with simulator(place.folder, HISTORY) as (url, _):
        place.configure(url)
        seen = on_a_terminal(*place.arguments("--jobs", "1..12", "--share", "0.5"))
    assert re.search(r"jobs .*\d+/12 .*left", seen), seen
    assert "12 replayed" in seen


def on_a_terminal(*arguments: str) -> str:
    """Run a command with a terminal for its output; return what was on it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "orchbridge", *arguments]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as program:
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # the other end has closed
            while piece := os.read(ours, 65_536):
                seen += piece
        assert program.wait(60) == 0, seen
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode(errors="replace"))
