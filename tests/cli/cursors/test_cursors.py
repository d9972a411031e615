"""`orchbridge cursors` against real sinks: what it says, what it writes, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchbridge.cli.cursors.change import Change, Wish, carry_out
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Fenced, Refused, SinkLost
from orchbridge.core.ports import StreamId
from orchbridge.sinks.memory import MemorySink, MemoryStore
from tests.cli.cursors.stage import JOBS, NODES, URL, Stage, job
from tests.sinks.contract import record
from tests.sinks.kafka_place import KafkaPlace
from tests.sinks.test_owner import member


def lines(text: str) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in text.splitlines()]


def test_show_tells_where_each_stream_stands(stage: Stage) -> None:
    done = stage.run("show")
    assert done.exit_code == 0, done.output
    head, jobs, plans, nodes = (line.split() for line in done.stdout.splitlines())
    assert head[:2] == ["stream", "position"]
    assert jobs[:9] == ["prod/jobs", "job", "412", "e1", "2", "2", "open,", "1", "waiting"]
    assert plans[:4] == ["prod/plans", "plan", "31", "e1"]
    assert nodes[:4] == ["prod/inventory", "every", "node", "e1"]
    assert all("nobody" in line for line in (jobs, plans, nodes))


def test_show_as_json_gives_the_figures(stage: Stage) -> None:
    found = {one["stream"]: one for one in map(json.loads, stage.run("show", "--json").stdout.splitlines())}
    assert set(found) == {"prod/jobs", "prod/plans", "prod/inventory"}
    jobs = found["prod/jobs"]
    mine = {key: value for key, value in stage.documents().items() if key.startswith("prod/jobs")}
    assert jobs["position"] == 412
    assert jobs["tracked"] == {"open": 2, "waiting": 1}
    assert jobs["bytes"] == sum(len(key) + len(value) for key, value in mine.items())
    assert (jobs["written"] is not None) == ("kafka" in stage.sink)
    assert jobs["trouble"] is None


def test_show_of_nothing_says_where_it_would_begin_and_creates_nothing(bare: Stage) -> None:
    done = bare.run("show")
    assert done.exit_code == 0
    assert "prod/jobs" in done.stdout
    assert "no memory yet: would begin at now" in done.stdout
    assert not (bare.folder / "records").exists()
    assert bare.documents() == {}


def test_show_finds_what_the_configuration_does_not_name(stage: Stage) -> None:
    stage.write(StreamId("lab", "jobs"), {"lab/jobs": b'{"v":1,"url":"https://lab","high":7}'})
    done = stage.run("show")
    assert "lab/jobs: found in the sink, not in the configuration" in done.stdout
    assert "job 7" in done.stdout
    assert stage.run("show", "lab").stdout.count("prod/") == 0


def test_show_says_what_a_worker_could_not_use(stage: Stage) -> None:
    stage.write(JOBS, {"prod/jobs": b'{"v":1,"url":"https://other:8143","high":9}'})
    done = stage.run("show", "prod/jobs")
    assert done.exit_code == 0
    assert "CANNOT BE USED" in done.stdout
    assert "belongs to https://other:8143" in done.stdout
    stage.configure(more="adopt_cursor = true")
    assert "CANNOT" not in stage.run("show", "prod/jobs").stdout


def test_set_back_forgets_what_lies_above_and_says_so(stage: Stage) -> None:
    before = stage.documents()
    done = stage.run("set", "prod/jobs", "--job", "399", "--yes")
    assert done.exit_code == 0, done.output
    assert "jobs 400 to 412 will be delivered a second time, with the same ids" in done.stdout
    assert "400, 410" in done.stdout
    after = stage.documents()
    assert set(before) - set(after) == {"prod/jobs/400", "prod/jobs/410"}
    head = stage.head("prod/jobs")
    assert (head["high"], head["gaps"]) == (399, [355])
    assert str(head["owner"]).startswith("cursors-set by ")
    assert {key: after[key] for key in after if key != "prod/jobs"} == {
        key: before[key] for key in before if key in after and key != "prod/jobs"
    }


def test_set_keeps_fields_of_other_versions(stage: Stage) -> None:
    strange = b'{"v":1,"url":"%s","high":50,"eras":[[3,2]],"later":{"a":[1]}}' % URL.encode()
    stage.write(JOBS, {"prod/jobs": strange, "prod/jobs/400": None, "prod/jobs/410": None})
    assert stage.run("set", "prod/jobs", "--job", "49", "--yes").exit_code == 0
    head = stage.head("prod/jobs")
    assert (head["high"], head["eras"], head["later"]) == (49, [[3, 2]], {"a": [1]})


@pytest.mark.parametrize(
    ("to", "told"),
    [
        (45, "jobs 46 to 50 will be delivered a second time, with the same ids\n"),
        (30, "but jobs 31 to 40, delivered before epoch e3 began, with new ids of e3"),
    ],
)
def test_set_back_into_an_earlier_epoch_says_which_ids_are_new(to: int, told: str, stage: Stage) -> None:
    restored = {"v": 1, "url": URL, "epoch": 3, "high": 50, "eras": [[48, 2, []], [40, 3, [12]]]}
    stage.write(JOBS, {"prod/jobs": json.dumps(restored).encode(), "prod/jobs/400": None, "prod/jobs/410": None})
    assert told in stage.run("set", "prod/jobs", "--job", str(to), "--yes").stdout


def test_show_tells_how_far_a_backfill_is_and_that_it_cannot_be_moved(stage: Stage) -> None:
    head = {"v": 1, "url": URL, "high": 120, "passage": {"mark": "m", "done": 30, "total": 90}}
    stage.write(StreamId("prod", "jobs-backfill"), {"prod/jobs-backfill": json.dumps(head).encode()})
    assert "job 120, 30 of 90 read (33 %)" in stage.run("show").stdout
    [one] = map(json.loads, stage.run("show", "prod/jobs-backfill", "--json").stdout.splitlines())
    assert one["configured"] is True
    assert one["progress"] == {"done": 30, "total": 90, "over": False}
    done = stage.run("set", "prod/jobs-backfill", "--job", "1", "--yes")
    assert (done.exit_code, "replay" in done.stderr) == (2, True)
    done = stage.run("reset", "prod/jobs-backfill", "--yes")
    assert (done.exit_code, "not read any more" in done.stdout) == (0, True)
    assert "prod/jobs" in stage.documents()


def test_a_backfill_that_has_not_begun_is_no_damage(stage: Stage, tmp_path: Path) -> None:
    """Its live stream has left it a window, and no head."""
    backfill, key = StreamId("prod", "jobs-backfill"), "prod/jobs-backfill/window"
    stage.write(backfill, {key: b'{"v":1,"mark":"m","total":90,"last":90}'})
    assert "not begun: 90 to read" in stage.run("show", "prod/jobs").stdout
    file = tmp_path / "saved.json"
    assert stage.run("export", "prod/jobs", "-o", str(file)).exit_code == 0
    assert set(json.loads(file.read_text())["streams"]) == {"prod/jobs", "prod/jobs-backfill"}
    before = stage.documents()
    assert stage.run("reset", "prod/jobs-backfill", "--yes").exit_code == 0
    assert key not in stage.documents()
    assert stage.run("import", str(file), "--yes").exit_code == 0
    assert stage.documents() == before


def test_a_replay_is_shown_and_can_be_forgotten_but_not_moved(stage: Stage) -> None:
    name = "prod/replay-1a2b3c-jobs"
    passage = {"done": 4, "total": 8}
    head = {"v": 1, "url": URL, "keys": "prefixed", "high": 353, "passage": passage}
    stage.write(
        StreamId("prod", "replay-1a2b3c-jobs"), {name: json.dumps(head).encode(), f"{name}/353": job(events=(1,))}
    )
    shown = stage.run("show", "prod").stdout
    assert "job 353, 4 of 8 read (50 %)" in shown
    assert f"{name}: a replay" in shown
    assert stage.run("set", name, "--job", "350", "--yes").exit_code == 2
    done = stage.run("reset", name, "--yes")
    assert (done.exit_code, "run again" in done.stdout) == (0, True), done.output
    assert not any(key.startswith(name) for key in stage.documents())


def test_set_to_where_it_stands_writes_nothing(stage: Stage) -> None:
    before = stage.documents()
    done = stage.run("set", "prod/plans", "--plan", "31", "--yes")
    assert (done.exit_code, stage.documents()) == (0, before)
    assert "already" in done.stdout


def test_reset_forgets_one_stream(stage: Stage) -> None:
    done = stage.run("reset", "prod/jobs", "--yes")
    assert done.exit_code == 0, done.output
    assert "start = now" in done.stdout
    assert set(stage.documents()) == {"prod/plans", "prod/plans/31", "prod/inventory"}
    assert "would begin at now" in stage.run("show", "prod/jobs").stdout
    again = stage.run("reset", "prod/jobs", "--yes")
    assert (again.exit_code, "nothing was changed" in again.stdout) == (0, True)


def test_reset_helps_where_the_memory_is_damaged(stage: Stage) -> None:
    stage.write(JOBS, {"prod/jobs": b'"damaged"'})
    assert stage.run("set", "prod/jobs", "--job", "1", "--yes").exit_code == 3
    assert stage.run("reset", "prod/jobs", "--yes").exit_code == 0
    assert not any(key.startswith("prod/jobs") for key in stage.documents())


def test_reset_of_an_inventory_removes_the_nodes(stage: Stage) -> None:
    nodes = [
        record(n, f"web{n:02}", "node-state", data={"connected": True, "revision": 1} if n else {"odd": n})
        for n in range(5)
    ]
    stage.write(NODES, {}, *nodes)
    done = stage.run("reset", "prod/inventory", "--yes")
    assert done.exit_code == 0, done.output
    assert "next inventory" in done.stdout

    async def left() -> set[tuple[str, str]]:
        sink = stage.make_sink()
        found: dict[tuple[str, str], bytes] = {}
        try:
            await sink.open([NODES])
            async with sink.claim(NODES) as lane:
                async for item in lane.recall(("node-state",)):
                    found.pop((item.place, item.key), None)
                    if item.value is not None:
                        found[item.place, item.key] = item.value
        finally:
            await sink.close()
        return set(found)

    assert asyncio.run(left()) == set()


def test_what_was_exported_can_be_put_back(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "saved.json"
    before = stage.documents()
    done = stage.run("export", "-o", str(file))
    assert (done.exit_code, stage.documents()) == (0, before)
    assert "s3cret" not in file.read_text()
    saved = json.loads(file.read_text())
    assert (saved["v"], set(saved["streams"])) == (1, {"prod/jobs", "prod/plans", "prod/inventory"})
    assert saved["streams"]["prod/jobs"]["documents"]["prod/jobs/400"].encode() == before["prod/jobs/400"]
    for which in ("prod/jobs", "prod/plans"):
        assert stage.run("reset", which, "--yes").exit_code == 0
    stage.write(JOBS, {"prod/jobs": b'{"v":1,"url":"%s","high":500}' % URL.encode(), "prod/jobs/499": job(events=(1,))})
    done = stage.run("import", str(file), "--yes")
    assert done.exit_code == 0, done.output
    assert "from job 500 to job 412" in done.stdout
    assert "jobs 413 to 500 will be delivered a second time" in done.stdout
    assert "prod/plans: no memory now; then plan 31" in done.stdout
    after = stage.documents()
    assert set(after) == set(before)
    assert {key for key in after if after[key] != before[key]} == {"prod/jobs", "prod/plans", "prod/inventory"}
    head = stage.head("prod/jobs")
    assert str(head.pop("owner")).startswith("cursors-import by ")
    assert head == {name: value for name, value in json.loads(before["prod/jobs"]).items() if name != "owner"}
    again = stage.run("import", str(file), "--yes")
    assert again.stdout.count("nothing to do") == 3
    assert stage.documents() == after


def test_import_into_an_empty_sink(bare: Stage, tmp_path: Path) -> None:
    file = tmp_path / "saved.json"
    file.write_text(export({"prod/jobs": {"prod/jobs": GOOD}}))
    done = bare.run("import", str(file), "--yes")
    assert done.exit_code == 0, done.output
    assert bare.head("prod/jobs")["high"] == 9


def export(streams: dict[str, dict[str, str]], **more: object) -> str:
    saved = {name: {"url": URL, "documents": documents} for name, documents in streams.items()}
    form = {"kind": "orchbridge.cursors", "v": 1, "program": "0", "written": "", "sink": "jsonl", "group": None}
    return json.dumps({**form, "streams": saved, **more})


GOOD = json.dumps({"v": 1, "url": URL, "high": 9})
DAMAGED = {"prod/jobs": GOOD, "prod/jobs/7": '{"epoch":1,"events":"??"}'}
WRONG: dict[str, tuple[int, str, Callable[[Path], list[str]]]] = {
    "unknown stream": (2, "choose from", lambda _: ["set", "prod/job", "--job", "1", "--yes"]),
    "no stream at all": (2, "choose from", lambda _: ["set", "prod", "--job", "1", "--yes"]),
    "a negative id": (2, "not in the range", lambda _: ["set", "prod/jobs", "--job", "-1", "--yes"]),
    "no number": (2, "not a valid integer", lambda _: ["set", "prod/jobs", "--job", "abc", "--yes"]),
    "neither job nor plan": (2, "one of --job", lambda _: ["set", "prod/jobs", "--yes"]),
    "both": (2, "one of --job", lambda _: ["set", "prod/jobs", "--job", "1", "--plan", "1", "--yes"]),
    "a plan of jobs": (2, "--job 5", lambda _: ["set", "prod/jobs", "--plan", "5", "--yes"]),
    "an id of an inventory": (2, "reset prod/inventory", lambda _: ["set", "prod/inventory", "--job", "5", "--yes"]),
    "nobody to ask": (2, "--yes", lambda _: ["set", "prod/jobs", "--job", "5"]),
    "nobody to ask, reset": (2, "--yes", lambda _: ["reset", "prod/jobs"]),
    "beyond, and nobody to tell": (69, "nothing was changed", lambda _: ["set", "prod/jobs", "--job", "413", "--yes"]),
    "reset of nothing known": (2, "choose from", lambda _: ["reset", "lab/jobs", "--yes"]),
    "show of nothing known": (2, "choose from", lambda _: ["show", "lab"]),
    "export of nothing known": (2, "choose from", lambda _: ["export", "lab"]),
    "no place for the export": (2, "-o", lambda f: ["export", "-o", str(f / "no" / "where.json")]),
    "no such file": (2, "cannot be read", lambda f: ["import", str(f / "nowhere.json"), "--yes"]),
    "no export": (2, "no export", lambda f: imported(f, "{}")),
    "no JSON": (2, "no export", lambda f: imported(f, "\x00\xff")),
    "another kind": (2, "no export", lambda f: imported(f, export({}, kind="else"))),
    "a later version": (2, "version 2", lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD}}, v=2))),
    "empty": (2, "no stream", lambda f: imported(f, export({}))),
    "not configured": (2, "not in the conf", lambda f: imported(f, export({"lab/jobs": {"lab/jobs": GOOD}}))),
    "no head": (2, "no head", lambda f: imported(f, export({"prod/jobs": {"prod/jobs/1": "{}"}}))),
    "of another stream": (
        2,
        "other streams",
        lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD, "prod/plans": GOOD}})),
    ),
    "a damaged head": (2, "cannot be read", lambda f: imported(f, export({"prod/jobs": {"prod/jobs": "[]"}}))),
    "a damaged memo": (
        2,
        "prod/jobs/7",
        lambda f: imported(
            f,
            export(
                {
                    "prod/plans": {"prod/plans": GOOD},
                    "prod/jobs": {"prod/jobs": GOOD, "prod/jobs/7": '{"epoch":1,"events":"??"}'},
                }
            ),
        ),
    ),
    "an epoch that cannot be": (
        2,
        "where no stream can be",
        lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD.replace('"v"', '"epoch": 0, "v"')}})),
    ),
    "a place that cannot be": (
        2,
        "where no stream can be",
        lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD.replace(": 9", ": -9")}})),
    ),
    "of another server": (
        2,
        "belongs to",
        lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD.replace(":9", ":8")}})),
    ),
    "of other keys": (
        2,
        "prefixed",
        lambda f: imported(f, export({"prod/jobs": {"prod/jobs": GOOD.replace('"v"', '"keys": "prefixed", "v"')}})),
    ),
}


def imported(folder: Path, content: str) -> list[str]:
    (folder / "wrong.json").write_text(content, encoding="latin-1")
    return ["import", str(folder / "wrong.json"), "--yes"]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_moves_nothing_and_says_what_to_do(name: str, untouched: Stage, tmp_path: Path) -> None:
    stage = untouched
    code, word, arguments = WRONG[name]
    before = stage.documents()
    done = stage.run(*arguments(tmp_path))
    assert (done.exit_code, stage.documents()) == (code, before), done.output
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.output


def test_two_streams_of_which_one_is_wrong_write_neither(untouched: Stage, tmp_path: Path) -> None:
    stage = untouched
    before = stage.documents()
    done = stage.run(*imported(tmp_path, export({"prod/plans": {"prod/plans": GOOD}, "prod/jobs": {"prod/jobs": "1"}})))
    assert (done.exit_code, stage.documents()) == (2, before)


@pytest.mark.kafka
def test_two_streams_of_which_one_moved_meanwhile_write_neither() -> None:
    """Both were looked at; then a worker that nobody saw writes to the second."""

    class Meanwhile(MemorySink):
        async def open(self, streams: Sequence[StreamId]) -> None:
            store.documents["prod/plans"] = b'{"v":1,"high":8}'

    store = MemoryStore()
    store.documents |= {"prod/jobs": b'{"v":1,"high":7}', "prod/plans": b'{"v":1,"high":7}'}
    before = dict(store.documents)

    def moved(id_: StreamId) -> Wish:
        return Wish(id_, {id_.name: before[id_.name]}, lambda _: Change(("moved",), {id_.name: b'{"v":1,"high":1}'}))

    wishes = [moved(JOBS), moved(StreamId("prod", "plans"))]
    with pytest.raises(Refused, match="prod/plans moved while this was being looked at"):
        asyncio.run(carry_out(Meanwhile(store), wishes, force=False, yes=True))
    assert store.documents["prod/jobs"] == before["prod/jobs"]


def test_a_sink_that_is_not_there(tmp_path: Path) -> None:
    from tests.broker import free_port

    stage = Stage(tmp_path, f'type = "kafka"\nbootstrap_servers = "127.0.0.1:{free_port()}"')
    stage.configure()
    for arguments in (
        ["show"],
        ["export"],
        ["set", "prod/jobs", "--job", "3", "--yes"],
        ["reset", "prod/jobs", "--yes"],
    ):
        done = stage.run(*arguments)
        assert done.exit_code == 69, (arguments, done.output)
        assert "bootstrap_servers" in done.stderr


def test_stdout_has_no_memory(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 'type = "stdout"')
    stage.configure()
    assert (stage.run("show").exit_code, stage.run("reset", "prod/jobs", "--yes").exit_code) == (0, 2)
    assert "no memory" in stage.run("show").stdout


async def carry(stage: Stage, said: list[int]) -> None:
    """Be a worker, and have the place set meanwhile: first without, then with force."""
    sink = stage.make_sink()
    head = {"v": 1, "url": URL, "high": 20, "owner": "w1"}
    await sink.open([JOBS])
    async with sink.claim(JOBS) as lane:
        await lane.commit(Batch((), {"prod/jobs": json.dumps(head).encode()}, None))
        for force in ((), ("--force",)):
            done = await asyncio.to_thread(stage.run, "set", "prod/jobs", "--job", "7", "--yes", *force)
            said.append(done.exit_code)
        if said[-1] == 0:
            with pytest.raises((Fenced, SinkLost)):
                await lane.commit(Batch((), {"prod/jobs": json.dumps({**head, "high": 21}).encode()}, None))
    await sink.close()


def test_a_directory_cannot_be_taken_from_its_writer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, f'type = "jsonl"\ndirectory = "{tmp_path}/records"')
    stage.configure()
    said: list[int] = []
    asyncio.run(carry(stage, said))
    assert (said, stage.head("prod/jobs")["high"]) == ([3, 3], 20)


def test_a_directory_that_is_held_says_so_before_anything_is_promised(tmp_path: Path) -> None:
    stage = Stage(tmp_path, f'type = "jsonl"\ndirectory = "{tmp_path}/records"')
    stage.configure()
    stage.furnish()

    async def scene() -> None:
        sink = stage.make_sink()
        await sink.open([JOBS])
        done = await asyncio.to_thread(stage.run, "set", "prod/jobs", "--job", "7", "--yes", "--force")
        await sink.close()
        assert (done.exit_code, done.stdout) == (3, ""), done.output
        assert "stop the worker: it holds the directory" in done.stderr

    asyncio.run(scene())


@pytest.mark.kafka
def test_a_worker_in_the_group_is_named_and_fenced_only_by_force(kafka: str, prefix: str, tmp_path: Path) -> None:
    table = f'type = "kafka"\nbootstrap_servers = "{kafka}"\ngroup = "{prefix}"\ntopic_prefix = "{prefix}.{{source}}"'
    stage = Stage(tmp_path, f"{table}\npartitions = 1")
    stage.configure()
    stage.furnish()
    said: list[int] = []

    async def scene() -> None:
        async with member(KafkaPlace(kafka, prefix), "worker-one"):
            done = await asyncio.to_thread(stage.run, "show", "prod/jobs")
            assert "worker-one at " in done.stdout
            await carry(stage, said)

    asyncio.run(scene())
    assert (said, stage.head("prod/jobs")["high"]) == ([3, 0], 7)


@pytest.mark.parametrize(("answer", "code", "high"), [(b"y\n", 0, 7), (b"n\n", 3, 412), (b"\n", 3, 412)])
def test_on_a_terminal_it_asks(answer: bytes, code: int, high: int, tmp_path: Path) -> None:
    stage = Stage(tmp_path, f'type = "jsonl"\ndirectory = "{tmp_path}/records"')
    stage.configure()
    stage.furnish()
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "orchbridge", "cursors", "set", "-c", str(stage.path), "prod/jobs", "--job", "7"]
    with subprocess.Popen(line, stdin=theirs, stdout=subprocess.PIPE) as process:
        os.write(ours, answer)
        out, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, stage.head("prod/jobs")["high"]) == (code, high), out
    assert b"jobs 8 to 412 will be delivered a second time" in out
