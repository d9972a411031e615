"""The JSONL sink on a real directory: crashes, foreign hands, full disks, rotation."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchbridge.core.errors import Corrupt, OrchbridgeError, Refused, SinkLost
from orchbridge.core.ports import Finding
from tests.sinks.contract import (
    JOBS,
    NODES,
    PLANS,
    STREAMS,
    Contract,
    batch,
    claimed,
    cursors,
    head,
    opened,
    recalled,
    record,
    remember,
)
from tests.sinks.jsonl_place import JsonlPlace


@pytest.fixture
def place(tmp_path: Path) -> JsonlPlace:
    return JsonlPlace(tmp_path / "data")


class TestJsonl(Contract):
    pass


@pytest.fixture
def small(tmp_path: Path) -> JsonlPlace:
    return JsonlPlace(tmp_path / "data", rotate_bytes=2_000)


async def refusal(place: JsonlPlace) -> OrchbridgeError:
    with pytest.raises(OrchbridgeError) as caught:
        async with opened(place.sink()):
            pass
    return caught.value


async def findings(place: JsonlPlace, level: str) -> list[Finding]:
    sink = place.sink()
    try:
        return [finding for finding in await sink.check(STREAMS) if finding.level == level]
    finally:
        await sink.close()


def test_a_crash_at_any_step_loses_and_repeats_nothing() -> None:
    command = [sys.executable, "-m", "tests.sinks.jsonl_crashes"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 60, "steps to die at"


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.sinks.contract import *
from tests.sinks.jsonl_place import JsonlPlace

async def main():
    async with claimed(JsonlPlace(Path(sys.argv[1]), 20_000)) as lane:
        high = (await cursors(lane)).get("prod/jobs", {"high": 0})["high"]
        while True:
            items = [record(n, str(n % 3)) for n in range(high + 1, high + 8)]
            high += 7
            await lane.commit(remember({"prod/jobs": head("w", high=high)}, *items))
            print(high, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def writer(place: JsonlPlace) -> Iterator[subprocess.Popen[str]]:
    with start_writer(place) as process:
        yield process
        process.kill()


def start_writer(place: JsonlPlace) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(place.directory)], stdout=subprocess.PIPE, text=True)


async def test_a_killed_writer_leaves_whole_batches_and_a_free_directory(place: JsonlPlace) -> None:
    for lines in (3, 10, 1):
        with start_writer(place) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(lines)]
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        async with claimed(place) as lane:
            high = (await cursors(lane))["prod/jobs"]["high"]
        seen = await place.seen()
        assert high >= said[-1], "what was acknowledged is there"
        assert sorted(int(item.id.rsplit("/", 1)[1]) for item in seen) == list(range(1, high + 1))


async def test_one_directory_takes_one_writer(place: JsonlPlace, writer: subprocess.Popen[str]) -> None:
    assert writer.stdout is not None
    writer.stdout.readline()
    error = await refusal(place)
    assert isinstance(error, Refused)
    assert f"is being written by process {writer.pid}" in str(error)
    assert "one directory takes one writer" in error.hint
    assert str(writer.pid) in (await findings(place, "warning"))[0].message
    writer.kill()
    writer.wait()
    async with opened(place.sink()):
        pass


async def test_two_sinks_of_one_process_are_two_writers(place: JsonlPlace) -> None:
    async with opened(place.sink()):
        assert f"process {os.getpid()}" in str(await refusal(place))


async def test_a_file_shorter_than_its_voucher_is_never_guessed_at(place: JsonlPlace) -> None:
    async with claimed(place) as lane:
        await lane.commit(batch(record(1)))
    path = place.directory / "pe.prod.job-events.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    error = await refusal(place)
    assert isinstance(error, Corrupt)
    assert "pe.prod.job-events.jsonl" in str(error)
    assert "restore the whole directory" in error.hint
    assert "shorter" in (await findings(place, "failed"))[0].message


async def test_files_without_a_cursor_file_are_not_built_upon(place: JsonlPlace) -> None:
    async with claimed(place) as lane:
        await lane.commit(batch(record(1)))
    (place.directory / "orchbridge.cursors.json").unlink()
    error = await refusal(place)
    assert isinstance(error, Corrupt)
    assert "restore the cursor file" in error.hint
    assert (await findings(place, "failed"))[0].subject == "orchbridge.cursors.json"


async def test_a_stranger_in_the_directory_is_left_alone_and_named(place: JsonlPlace) -> None:
    async with opened(place.sink()):
        pass
    stranger = place.directory / "notes.jsonl"
    stranger.write_text("mine\n")
    error = await refusal(place)
    assert isinstance(error, Corrupt)
    assert "nothing vouches for" in str(error)
    assert stranger.read_text() == "mine\n"


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"v": 1}', b'{"v": 1, "files": {"a": {"size": -1}}, "documents": {}}']
)
async def test_an_unreadable_cursor_file_parks(place: JsonlPlace, content: bytes) -> None:
    async with opened(place.sink()):
        pass
    (place.directory / "orchbridge.cursors.json").write_bytes(content)
    assert isinstance(await refusal(place), Corrupt)
    assert await findings(place, "failed")


async def test_a_newer_cursor_file_asks_for_the_newer_program(place: JsonlPlace) -> None:
    place.directory.mkdir()
    (place.directory / "orchbridge.cursors.json").write_text('{"v": 2, "files": {}, "documents": {}}')
    assert "run the version of orchbridge that wrote it" in (await refusal(place)).hint


async def test_a_failing_disk_loses_the_lane_and_nothing_else(place: JsonlPlace) -> None:
    async with opened(place.sink()) as sink:
        async with sink.claim(JOBS) as lane, sink.claim(PLANS) as bystander:
            await lane.commit(remember({"prod/jobs": head("a", high=1)}, record(1)))
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
            try:
                with pytest.raises(SinkLost, match="cannot write to") as caught:
                    await lane.commit(remember({"prod/jobs": head("a", high=2)}, record(2, data={"x": "x" * 9_000})))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert caught.value.hint
            with pytest.raises(SinkLost, match="closed"):
                await lane.commit(batch(record(3)))
            with pytest.raises(SinkLost, match="uncertain"):
                await bystander.commit(batch(record(4, channel="plans")))
        async with sink.claim(JOBS) as lane:
            assert (await cursors(lane))["prod/jobs"]["high"] == 1
            await lane.commit(remember({"prod/jobs": head("a", high=2)}, record(2)))
    assert [item.id[-1] for item in await place.seen()] == ["1", "2"]


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = JsonlPlace(tmp_path / "file" / "data")
    error = await refusal(place)
    assert isinstance(error, Refused)
    assert "let the user of orchbridge write" in error.hint
    assert "is not a directory" in (await findings(place, "failed"))[0].message


async def test_large_event_files_are_closed_and_numbered(small: JsonlPlace) -> None:
    async with opened(small.sink()) as sink, sink.claim(JOBS) as lane:
        for n in range(1, 31):
            await lane.commit(remember({"prod/jobs": head("a", high=n)}, record(n)))
    parts = sorted(path.name for path in small.directory.glob("pe.prod.job-events*.jsonl"))
    assert parts[0] == "pe.prod.job-events.000001.jsonl"
    assert len(parts) == small.ledger()["files"]["pe.prod.job-events"]["part"] > 3
    assert [int(item.id.rsplit("/", 1)[1]) for item in await small.seen()] == list(range(1, 31))
    (small.directory / parts[0]).unlink()  # closed parts belong to the operator
    async with claimed(small) as lane:
        assert (await cursors(lane))["prod/jobs"]["high"] == 30


async def test_state_files_are_rewritten_only_where_that_pays(small: JsonlPlace) -> None:
    async with opened(small.sink()) as sink, sink.claim(NODES) as lane:
        for n in range(40):
            await lane.commit(batch(record(n, f"web{n}", "node-state")))
        assert small.ledger()["files"]["pe.prod.node-state"]["part"] == 1, "every line still counts"
        for n in range(200):
            await lane.commit(batch(record(n, f"web{n % 40}", "node-state", data={"n": n})))
        assert small.ledger()["files"]["pe.prod.node-state"]["part"] > 1
        assert len(small.lines("pe.prod.node-state")) < 120
        states = await recalled(lane, "node-state")
    assert len(states) == 40
    assert states["node-state", "web7"] == msgspec.json.encode({"n": 167})


async def test_peeking_takes_nothing_from_the_writer(place: JsonlPlace) -> None:
    async with opened(place.sink()) as sink, sink.claim(JOBS) as lane:
        onlooker = place.sink()
        try:
            assert await onlooker.peek(JOBS) == []
            await lane.commit(remember({"prod/jobs": head("a"), "prod/jobs/1": b"[]"}))
            assert [item.key for item in await onlooker.peek(JOBS)] == ["prod/jobs", "prod/jobs/1"]
        finally:
            await onlooker.close()
        await lane.commit(remember({"prod/jobs/1": None}))


async def test_a_thousand_documents_do_not_make_a_commit_slow(place: JsonlPlace) -> None:
    loop = asyncio.get_running_loop()
    async with claimed(place) as lane:
        await lane.commit(remember({f"prod/jobs/{n}": b'{"ids":"%s"}' % (b"x" * 300) for n in range(1_000)}))
        begun = loop.time()
        for n in range(20):
            await lane.commit(remember({f"prod/jobs/{n}": b"[]"}, record(n)))
        assert (loop.time() - begun) / 20 < 0.5
