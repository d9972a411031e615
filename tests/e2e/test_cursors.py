"""Moving the place of a running pipeline: what comes twice, what is skipped, and that nothing else does or is."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import test_run_jsonl
from tests.e2e.programs import consumed, running, simulator, wait_until
from tests.oracle import Seen, Verdict, facts, judge

pytestmark = pytest.mark.timeout(240)

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "earliest"
poll_interval_s = 0.3
inventory_interval_s = 1.0

[sink]
{sink}

[http]
listen = "127.0.0.1:0"
"""
JOB = re.compile(r"e\d+:(?:job/|jobs/notice/gap/)(\d+)")


@dataclass
class Pipeline:
    """A simulator, a configuration, and how a careful consumer reads the sink."""

    folder: Path
    read: Callable[[], list[Seen]]
    runs: int = 0

    def seen(self) -> list[Seen]:
        return [one for one in self.read() if not one.channel.endswith(("-state", "heartbeat"))]

    def verdict(self, until: float) -> Verdict:
        once = {record.id: record for record in reversed(self.seen())}
        return judge(self.truth(), reversed(once.values()), until=until)

    def truth(self) -> list[dict[str, object]]:
        return facts(self.folder / "truth.log")

    def now(self) -> float:
        return float(self.truth()[-1]["at"])  # type: ignore[arg-type]

    def run_until(self, what: str, look: Callable[[], object]) -> None:
        """Let a bridge run until `look()` is content, and stop it."""
        self.runs += 1
        out = self.folder / f"run{self.runs}.out"
        with running(out, "run", "-c", str(self.folder / "config.toml")) as program:
            program.wait_for("stream.claimed")
            wait_until(what, look)
            assert program.end() == 0

    def run_until_whole(self) -> None:
        until = self.now() - 0.5
        self.run_until("everything", lambda: self.verdict(until))

    def cursors(self, command: str, *arguments: str, code: int = 0) -> str:
        """Run a cursors command; return what it said."""
        line = [sys.executable, "-m", "orchbridge", "cursors", command, "-c", str(self.folder / "config.toml")]
        done = subprocess.run([*line, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def position(self) -> int:
        found = re.search(r'"position":(\d+)', self.cursors("show", "prod/jobs", "--json"))
        assert found
        return int(found[1])


@pytest.fixture(params=["jsonl", pytest.param("kafka", marks=pytest.mark.kafka)])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], list[Seen]]]:
    """The sink table and its reader."""
    if request.param == "jsonl":
        return f'type = "jsonl"\ndirectory = "{tmp_path}/records"', lambda: test_run_jsonl.records(tmp_path)
    kafka, prefix = request.getfixturevalue("kafka"), request.getfixturevalue("prefix")
    table = f'type = "kafka"\nbootstrap_servers = "{kafka}"\ngroup = "{prefix}"\npartitions = 3\n'
    read = lambda: asyncio.run(consumed(kafka, f"{prefix}.prod"))  # noqa: E731 - one line, one meaning
    return table + f'topic_prefix = "{prefix}.{{source}}"', read


def job_of(id_: str) -> int:
    """Return the job a record speaks of, 0 for none."""
    found = JOB.match(id_)
    return int(found[1]) if found else 0


def twice(records: Iterable[Seen]) -> set[str]:
    counts = Counter(record.id for record in records)
    assert set(counts.values()) <= {1, 2}
    return {id_ for id_, count in counts.items() if count > 1}


def test_set_back_repeats_exactly_these_jobs(sink: tuple[str, Callable[[], list[Seen]]], tmp_path: Path) -> None:
    with simulator(tmp_path, "demo:nodes=24,shortest=0.3,longest=1.2") as (url, _):
        pipe = Pipeline(tmp_path, sink[1])
        (tmp_path / "config.toml").write_text(CONFIG.format(url=url, folder=tmp_path, sink=sink[0]))
        wait_until("some jobs", lambda: len({fact["id"] for fact in pipe.truth() if fact["fact"] == "job"}) > 6)
        pipe.run_until_whole()
        before, high = pipe.seen(), pipe.position()
        to = high - 4
        told = pipe.cursors("set", "prod/jobs", "--job", str(to), "--yes")
        assert f"jobs {to + 1} to {high} will be delivered a second time, with the same ids" in told
        pipe.run_until_whole()
        after = pipe.seen()
        again = {record.id for record in before if job_of(record.id) > to}
        assert len(again) > 20
        wait = again - twice(after)
        assert twice(after) == again, f"not again: {sorted(wait)[:5]}; more: {sorted(twice(after) - again)[:5]}"
        content = {record.id: record.data for record in before}
        for record in after:
            if record.id in again and "/event/" in record.id:
                assert _facts(record.data) == _facts(content[record.id])


def _facts(data: object) -> object:
    assert isinstance(data, dict)
    return {key: value for key, value in data.items() if key not in {"observed_at", "late"}}


def test_export_reset_import_loses_and_repeats_nothing(
    sink: tuple[str, Callable[[], list[Seen]]], tmp_path: Path
) -> None:
    with simulator(tmp_path, "demo:nodes=24,shortest=0.3,longest=1.2") as (url, _):
        pipe = Pipeline(tmp_path, sink[1])
        (tmp_path / "config.toml").write_text(CONFIG.format(url=url, folder=tmp_path, sink=sink[0]))
        pipe.run_until_whole()
        saved = tmp_path / "saved.json"
        pipe.cursors("export", "-o", str(saved))
        for stream in ("jobs", "plans", "inventory"):
            pipe.cursors("reset", f"prod/{stream}", "--yes")
        shown = {line.split()[0]: line for line in pipe.cursors("show").splitlines() if line}
        assert all("no memory yet" in shown[f"prod/{stream}"] for stream in ("jobs", "plans", "inventory"))
        pipe.cursors("import", str(saved), "--yes")
        pipe.run_until_whole()
        assert twice(pipe.seen()) == set()


def test_set_forward_skips_exactly_these_jobs(sink: tuple[str, Callable[[], list[Seen]]], tmp_path: Path) -> None:
    with simulator(tmp_path, "demo:nodes=24,shortest=0.3,longest=1.2") as (url, _):
        pipe = Pipeline(tmp_path, sink[1])
        (tmp_path / "config.toml").write_text(CONFIG.format(url=url, folder=tmp_path, sink=sink[0]))
        pipe.run_until_whole()
        high = pipe.position()

        def newest() -> int:
            return max(int(fact["id"]) for fact in pipe.truth() if fact["fact"] == "job")  # type: ignore[call-overload]

        wait_until("five more jobs", lambda: newest() >= high + 5)
        told = pipe.cursors("set", "prod/jobs", "--job", "1000000", "--yes", code=3)
        assert "the newest that prod shows is" in told
        assert pipe.position() == high
        to = newest() - 1
        told = pipe.cursors("set", "prod/jobs", "--job", str(to), "--yes")
        assert f"jobs {high + 1} to {to} will not be delivered" in told
        skipped = set(range(high + 1, to + 1))
        pipe.run_until("the next certificate", lambda: any(f"job/{to + 1}/summary" in r.id for r in pipe.seen()))
        seen = pipe.seen()
        assert {job_of(record.id) for record in seen} & skipped == set()
        assert twice(seen) == set()


@pytest.mark.kafka
def test_a_live_worker_is_left_alone_or_fenced_and_goes_on(kafka: str, prefix: str, tmp_path: Path) -> None:
    """With --force the same process claims again and repeats exactly what was said, without a restart."""
    sink = f'type = "kafka"\nbootstrap_servers = "{kafka}"\ngroup = "{prefix}"\npartitions = 3\n'
    sink += f'topic_prefix = "{prefix}.{{source}}"'
    with simulator(tmp_path, "demo:nodes=24,shortest=0.3,longest=1.2") as (url, _):
        pipe = Pipeline(tmp_path, lambda: asyncio.run(consumed(kafka, f"{prefix}.prod")))
        (tmp_path / "config.toml").write_text(CONFIG.format(url=url, folder=tmp_path, sink=sink))
        with running(tmp_path / "run.out", "run", "-c", str(tmp_path / "config.toml")) as program:
            program.wait_for("stream.claimed")
            wait_until("some jobs", lambda: len({job_of(one.id) for one in pipe.seen()}) > 6)
            pid = str(program.process.pid)
            assert pid in json.loads(pipe.cursors("show", "prod/jobs", "--json").splitlines()[0])["owner"]
            to = pipe.position() - 4
            told = pipe.cursors("set", "prod/jobs", "--job", str(to), "--yes", code=3)
            assert pid in told
            assert pipe.position() > to
            told = pipe.cursors("set", "prod/jobs", "--job", str(to), "--yes", "--force")
            assert "it is fenced" in told
            wait_until("these jobs again", lambda: {job_of(id_) for id_ in twice(pipe.seen())} >= {to + 1, to + 2})
            until = pipe.now() - 0.5
            wait_until("everything", lambda: pipe.verdict(until))
            assert {job_of(id_) for id_ in twice(pipe.seen())} <= set(range(to + 1, to + 10))
            assert program.end() == 0
