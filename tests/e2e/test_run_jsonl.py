"""`orchbridge run` over verified TLS into JSONL files, killed again and again; and what its operator sees."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.e2e.programs import get, running, simulator, wait_until
from tests.oracle import Seen, Verdict, facts, judge

pytestmark = pytest.mark.timeout(180)

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
ca_file = "{folder}/{ca}"
token_file = "{folder}/{token}"
start = "earliest"
poll_interval_s = 0.3
inventory_interval_s = 1.0

[sink]
type = "jsonl"
directory = "{folder}/records"
rotate_bytes = 200000

[http]
listen = "127.0.0.1:0"
"""


def config(folder: Path, url: str, *, ca: str = "tls/ca.pem", token: str = "token") -> Path:
    path = folder / "config.toml"
    path.write_text(CONFIG.format(url=url, folder=folder, ca=ca, token=token))
    return path


def records(folder: Path) -> list[Seen]:
    """Return what a careful reader sees: only the bytes that the cursor file vouches for."""
    place = folder / "records"
    ledger = json.loads((place / "orchbridge.cursors.json").read_text())
    seen = []
    for topic, mark in ledger["files"].items():
        parts = [(place / f"{topic}.{number:06}.jsonl").read_bytes() for number in range(1, mark["part"])]
        current = (place / f"{topic}.jsonl").read_bytes()[: mark["size"]] if mark["size"] else b""
        for line in b"".join([*parts, current]).splitlines():
            event = json.loads(line)
            assert event["specversion"] == "1.0"
            sequence = event.get("sequence")
            seen.append(
                Seen(
                    topic.removeprefix("pe.prod."),
                    event["partitionkey"],
                    event["id"],
                    event["type"],
                    event["data"],
                    None if sequence is None else int(sequence),
                )
            )
    return seen


def verdict(folder: Path, until: float) -> Verdict:
    seen = [record for record in records(folder) if not record.channel.endswith("-state")]
    return judge(facts(folder / "truth.log"), seen, until=until)


def test_killed_often_every_record_is_there_once(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with simulator(tmp_path, "demo", "--tls", str(tmp_path / "tls")) as (url, _):
        path = config(tmp_path, url)
        for turn in range(15):
            with running(tmp_path / f"run{turn}.out", "run", "-c", str(path)) as program:
                program.wait_for("stream.claimed")
                time.sleep(chance.uniform(0.0, 1.2))  # a random moment is what is tested
        with running(tmp_path / "last.out", "run", "-c", str(path)) as program:
            program.wait_for("stream.claimed")
            until = facts(tmp_path / "truth.log")[-1]["at"] - 1.0
            wait_until("everything", lambda: verdict(tmp_path, until))
            assert program.end() == 0
    assert verdict(tmp_path, until).events > 100
    everything = b"".join(path.read_bytes() for path in (tmp_path / "records").iterdir() if path.is_file())
    assert b"PLANTED" not in everything
    assert b"PLANTED" not in b"".join(path.read_bytes() for path in tmp_path.glob("*.out"))


def test_a_second_writer_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls")) as (url, _):
        path = config(tmp_path, url)
        with running(tmp_path / "first.out", "run", "-c", str(path)) as first:
            first.wait_for("stream.claimed")
            with running(tmp_path / "second.out", "run", "-c", str(path)) as second:
                assert second.process.wait(20) == 3
                assert f"process {first.process.pid}" in second.text
                assert str(tmp_path / "records") in second.text
            address = first.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            status = get(address, "/status.json").json()
            assert {stream["role"] for stream in status["sources"][0]["streams"]} == {"owner"}
            first.kill()
        with running(tmp_path / "third.out", "run", "-c", str(path)) as third:
            third.wait_for("stream.claimed")  # the lock died with its holder
            assert third.end() == 0


def test_a_refused_token_parks_and_a_fresh_one_resumes(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls")) as (url, _):
        (tmp_path / "mine").write_text("not this one\n")
        path = config(tmp_path, url, token="mine")
        with running(tmp_path / "run.out", "run", "-c", str(path)) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            program.wait_for("stream.parked")
            answer = get(address, "/readyz")
            assert answer.status_code == 503
            assert "parked" in answer.text
            assert get(address, "/healthz").status_code == 200
            assert "not this one" not in program.text
            asked = _requests(address)
            time.sleep(1.5)  # nothing may be asked meanwhile: only time can show that
            assert _requests(address) == asked
            (tmp_path / "mine").write_text("letmein\n")
            wait_until("readiness", lambda: get(address, "/readyz").status_code == 200, 20)
            assert program.end() == 0


def _requests(address: str) -> float:
    lines = get(address, "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("orchbridge_requests_total"))


def test_a_wrong_ca_is_never_accepted_and_says_what_to_do(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls")) as (url, _):
        with simulator(tmp_path / "..", "quiet", "--tls", str(tmp_path / "other")):
            pass
        path = config(tmp_path, url, ca="other/ca.pem")
        with running(tmp_path / "run.out", "run", "-c", str(path)) as program:
            line = program.wait_for(r"page.refused.*")[0]
            assert "other/ca.pem" in line
            assert program.end() == 0
        with running(tmp_path / "check.out", "check", "-c", str(path)) as check:
            assert check.process.wait(30) == 3
            assert "is not accepted" in check.text


def test_a_slow_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with simulator(tmp_path, "quiet", "--tls", str(tmp_path / "tls"), "--knob", "latency=20") as (url, _):
        with running(tmp_path / "run.out", "run", "-c", str(config(tmp_path, url))) as program:
            program.wait_for("stream.claimed")
            begun = time.monotonic()
            assert program.end() == 0
            assert time.monotonic() - begun < 10
