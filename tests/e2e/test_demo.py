"""`orchbridge demo` as people meet it: a process with a terminal or a pipe, a folder, and signals."""

import contextlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from collections import Counter
from datetime import datetime
from fcntl import ioctl

import pytest

from orchbridge.cli.demo.audit import audit
from orchbridge.sim.catalogue import PLANTED

DEMO = (sys.executable, "-m", "orchbridge", "demo")
REQUIRED = {"specversion", "id", "source", "type"}


@contextlib.contextmanager
def demo(data, *options):
    """Run a demo whose output can be read line by line; it never outlives the test."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"}
    command = [*DEMO, "--data", str(data), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process, pattern):
    """Read on until a line matches; return what its group holds."""
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found.group(1)
    pytest.fail(f"no line like {pattern!r}; stderr: {process.stderr.read()}")


def events(data):
    return [json.loads(line) for path in data.glob("*.jsonl") for line in path.read_bytes().splitlines()]


def assert_sound(data):
    """What anybody may check who knows CloudEvents and our event types, and nothing of how they are made."""
    found = events(data)
    for event in found:
        assert event.keys() >= REQUIRED
        assert all(event[name] and isinstance(event[name], str) for name in REQUIRED)
        assert event["specversion"] == "1.0"
        assert all(re.fullmatch(r"[a-z0-9]+", name) for name in event)
        assert datetime.fromisoformat(event["time"]).tzinfo
    ids = Counter((event["source"], event["id"]) for event in found)
    assert [id_ for id_, count in ids.items() if count > 1] == []
    ended = {
        event["subject"]
        for event in found
        if event["type"].endswith(".job.state.changed.v1")
        and event["data"]["state"] in {"finished", "failed", "stopped"}
    }
    certificates = {e["subject"]: e["data"]["complete"] for e in found if e["type"].endswith(".job.summary.v1")}
    assert len(ended) >= 3
    assert {job: certificates.get(job) for job in ended} == dict.fromkeys(ended, True)


def assert_no_secret(data):
    files = [path for path in data.rglob("*") if path.is_file()]
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_it_ends_by_itself_with_everything_delivered_once(tmp_path):
    data = tmp_path / "new"
    with demo(data, "--for", "8s") as process:
        page = until(process, r"status page +(\S+)")
        until(process, r"jobs (\d+), finished [1-9]")
        assert "orchbridge_commits_total" in get(f"{page}metrics")
        assert get(f"{page}readyz") == "ready\n"
        assert json.loads(get(f"{page}status.json"))["ready"] is True
        out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert err == ""
    assert "Every fact of every finished job, exactly once." in out
    assert re.search(r"\d+ records, 0 twice", out)
    assert re.search(r"[1-9]\d* finished jobs with [1-9]\d* facts, 0 missing, 0 that never happened", out)
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) < 160
    assert_sound(data)
    assert_no_secret(data)
    task = "vault::rotate"  # whose parameters hold planted secrets: without it the search above proves nothing
    assert any(task in json.dumps(event["data"]) for event in events(data))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_as_well_as_time_does(tmp_path, number):
    with demo(tmp_path) as process:
        until(process, r"jobs (\d+), finished [1-9]")
        process.send_signal(number)
        out, err = process.communicate(timeout=25)
    assert (process.returncode, err) == (0, "")
    assert "exactly once" in out
    assert_sound(tmp_path)


def test_a_second_signal_cuts_it(tmp_path):
    with demo(tmp_path) as process:
        until(process, r"jobs (\d+), finished [1-9]")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 75
    assert "cut short" in err


def test_killed_it_leaves_files_true_up_to_their_mark_and_the_next_demo_clears_them(tmp_path):
    with demo(tmp_path) as process:
        until(process, r"jobs (\d+), finished [1-9]")
        process.kill()
        process.communicate()
    marks = json.loads((tmp_path / "orchbridge.cursors.json").read_bytes())["files"]
    kept = [
        json.loads(line)
        for topic, mark in marks.items()
        if mark["size"]
        for line in (tmp_path / f"{topic}.jsonl").read_bytes()[: mark["size"]].splitlines()
    ]
    assert len(kept) > 20
    old = {event["recordedtime"] for event in kept}
    with demo(tmp_path, "--for", "1s") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, out + err
    assert "Cleared the files of an earlier demo" in out
    assert_sound(tmp_path)
    assert old.isdisjoint(event["recordedtime"] for event in events(tmp_path))


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path, made):
    precious = tmp_path / "thesis.jsonl"
    precious.write_text("precious")
    if made:
        (tmp_path / ".orchbridge-demo").touch()
    with demo(tmp_path, "--for", "1s") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "name a new or empty folder with --data DIR" in err
    assert precious.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1 + made


def test_two_demos_do_not_share_a_folder_nor_a_port(tmp_path):
    data = tmp_path / "first"
    with demo(data) as process:
        port = until(process, r"status page +http://127\.0\.0\.1:(\d+)/")
        until(process, r"jobs (\d+), finished [1-9]")
        with demo(data, "--for", "1s") as second:
            _, err = second.communicate(timeout=30)
        assert second.returncode == 2
        assert f"process {process.pid}" in err
        with demo(tmp_path / "second", "--for", "1s", "--listen", f"127.0.0.1:{port}") as third:
            _, err = third.communicate(timeout=30)
        assert third.returncode == 2
        assert "Address already in use" in err
        process.terminate()
        process.communicate(timeout=25)
    assert process.returncode == 0


def test_on_a_terminal_there_is_a_live_table(tmp_path):
    screen, code = on_a_terminal([*DEMO, "--data", str(tmp_path / "data"), "--for", "12s"], rows=24, columns=80)
    assert code == 0
    assert "\x1b[?25l" in screen
    assert "\x1b[?25h" in screen  # the cursor is given back
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen)
    frames = [frame for frame in plain.split("orchbridge demo")[1:] if "Ctrl-C" in frame]
    assert len(frames) > 2  # it moved; how often depends on the machine
    last = frames[-1].split("What ")[0]
    for words in ("jobs        live", "inventory   live", "events a second", "connected", "█", "/metrics"):
        assert words in last
    assert any(
        "complete" in frame.split("What ")[0] for frame in frames
    )  # the newest jobs may all be running at the end
    assert max(len(line.rstrip()) for line in last.splitlines()) <= 80
    assert "exactly once" in plain
    assert (tmp_path / "data" / "demo.log").read_text() == ""


def on_a_terminal(command, *, rows, columns):
    """Run a command with a terminal of this size; return everything written to it, and the exit code."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # the terminal's way to say that nobody writes any more
            while chunk := os.read(ours, 65_536):
                written += chunk
        os.close(ours)
    return written.decode(), process.returncode


def test_the_verdict_sees_what_is_lost_doubled_or_invented(tmp_path):
    """A checker that cannot find fault proves nothing."""
    with demo(tmp_path, "--for", "1s") as process:
        process.communicate(timeout=30)
    truth = tmp_path / "simulator" / "truth.log"
    file = tmp_path / "pe.demo.job-events.jsonl"
    whole = file.read_bytes().splitlines(keepends=True)

    def judged(lines):
        file.write_bytes(b"".join(lines))
        return audit(tmp_path.glob("*.jsonl"), truth, ["job/1"])

    assert judged(whole).sound
    due = next(line for line in whole if json.loads(line)["id"].startswith("e1:job/1/"))
    first = json.loads(due)["id"]
    lost = judged([line for line in whole if line != due])
    assert ([f"e1:{name}" for name in lost.missing], lost.sound) == ([first], False)
    doubled = judged([*whole, due])
    assert (doubled.twice, doubled.sound) == ([first], False)
    invented = judged([*whole, due.replace(first.encode(), b"e1:job/1/event/999999")])
    assert (invented.invented, invented.sound) == (["job/1/event/999999"], False)
    file.write_bytes(b"".join(whole))
    jobs = tmp_path / "pe.demo.jobs.jsonl"
    jobs.write_bytes(b"".join(line for line in jobs.read_bytes().splitlines(keepends=True) if b"summary" not in line))
    bare = judged(whole)
    assert (len(bare.incomplete), bare.sound) == (len(bare.outcomes), False)
    jobs.unlink()
    assert "job/1/state/finished" in judged(whole).missing  # it was due, though nothing tells its end
