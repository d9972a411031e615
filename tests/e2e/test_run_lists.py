"""`orchbridge run` with activity and scheduled jobs beside all else, killed again and again."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.acts import People
from tests.e2e.programs import consumed, get, running, simulator, wait_until
from tests.e2e.test_run_jsonl import records
from tests.oracle import Seen, Verdict, facts, judge
from tests.oracle_lists import judge_activity, judge_schedules

pytestmark = pytest.mark.timeout(180)

SERVICES = ("rbac", "classifier", "pe-console", "code-manager")
REASONS = ["submission_error", "no_run"]
MUST_COME = {"audit.activity.v1", "schedule.created.v1", "schedule.run.missed.v1"}
SOURCE = """
[[sources]]
name = "prod"
url = "{url}"
rbac_url = "{rbac}"
token_file = "{folder}/token"
start = "{start}"
streams = ["jobs", "plans", "inventory", "activity", "schedules"]
poll_interval_s = 0.3
inventory_interval_s = 1.0
activity_interval_s = 0.3
schedules_interval_s = 0.3
missed_after = "3s"

[http]
listen = "127.0.0.1:0"

"""
FILES = """[sink]
type = "jsonl"
directory = "{folder}/records"
"""
KAFKA = """[sink]
type = "kafka"
topic_prefix = "{prefix}.{{source}}"
bootstrap_servers = "{kafka}"
group = "{prefix}"
partitions = 3
"""


def config(folder: Path, url: str, sink: str = FILES, *, rbac: str = "", start: str = "earliest", **more: str) -> Path:
    path = folder / "config.toml"
    path.write_text((SOURCE + sink).format(folder=folder, url=url, rbac=rbac or url, start=start, **more))
    return path


def verdict(folder: Path, seen: list[Seen], until: float, *, whole: bool) -> Verdict:
    """Judge all streams together; `whole`: what was read is in one order, not only within each key."""
    truth = facts(folder / "truth.log")
    seen = [record for record in seen if not record.channel.endswith("-state")]
    found = judge(truth, seen, until=until)
    found.take(judge_activity(truth, seen, services=SERVICES, until=until, whole=whole))
    found.take(judge_schedules(truth, seen, until=until, patient=False))
    audit = [record for record in seen if record.channel == "audit" and record.data is not None]
    own = [record.id for record in audit if (record.data or {})["subject"]["name"] == "bridge"]
    found.invented += [f"{id_} is the bridge's own doing" for id_ in own]
    return found


def told(seen: list[Seen]) -> set[str]:
    """Return the types of all records, without whose they are."""
    return {record.type.removeprefix("io.orchbridge.pe.") for record in seen}


def killed(folder: Path, url: str, path: Path, *, acts: int) -> None:
    """Run a bridge while people work, and kill it after every so many of their acts."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    week = People(url, folder).week()
    for life in count():
        if next(week, None) is None:
            return
        with running(folder / f"run{life}.out", "run", "-c", str(path)) as program:
            program.wait_for("stream.claimed")
            for _ in range(acts - 1):
                time.sleep(chance.uniform(0.0, 1.0))
                next(week, None)
            time.sleep(chance.uniform(0.0, 1.2))  # a random moment is what is tested


def test_files_hold_every_commit_and_every_schedule_once(tmp_path: Path) -> None:
    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url)
        killed(tmp_path, url, path, acts=1)
        with running(tmp_path / "last.out", "run", "-c", str(path)) as program:
            program.wait_for("stream.claimed")
            until = facts(tmp_path / "truth.log")[-1]["at"]
            wait_until("everything", lambda: verdict(tmp_path, records(tmp_path), until, whole=True))
            assert program.end() == 0
    seen = records(tmp_path)
    found = verdict(tmp_path, seen, until, whole=True)
    assert found.well, str(found)
    assert told(seen) > MUST_COME


@pytest.mark.kafka
def test_topics_hold_every_commit_and_every_schedule_once(kafka: str, prefix: str, tmp_path: Path) -> None:
    def found() -> Verdict:
        return verdict(tmp_path, asyncio.run(consumed(kafka, f"{prefix}.prod")), until, whole=False)

    with simulator(tmp_path, "demo") as (url, _):
        path = config(tmp_path, url, KAFKA, prefix=prefix, kafka=kafka)
        killed(tmp_path, url, path, acts=2)
        with running(tmp_path / "last.out", "run", "-c", str(path)) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            wait_until("readiness", lambda: get(address, "/readyz").status_code == 200)
            until = facts(tmp_path / "truth.log")[-1]["at"]
            wait_until("everything", found)
            assert program.end() == 0
    assert found().well


def parked(address: str) -> set[str]:
    """Return the streams that the status page calls parked."""
    streams = get(address, "/status.json").json()["sources"][0]["streams"]
    return {stream["kind"] for stream in streams if stream["state"] == "parked"}


def test_a_console_that_refuses_the_token_parks_activity_alone(tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    with simulator(tmp_path, "quiet") as (url, _), simulator(tmp_path / "console", "quiet") as (console, _):
        People(console, tmp_path).lever("tokens", login="ops", token="good-there")
        people = People(url, tmp_path)
        people.lever("tokens", login="ops", token="good-here")
        path = config(tmp_path, url, rbac=console)
        (tmp_path / "token").write_text("good-here\n")
        with running(tmp_path / "run.out", "run", "-c", str(path)) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            activity = {f"activity-{service}" for service in SERVICES}
            wait_until("parked", lambda: parked(address) == activity)
            made = people.schedule(86_400)
            wait_until("schedules", lambda: any(r.key == f"schedule/{made}" for r in records(tmp_path)))
            assert parked(address) == activity
            assert "good-here" not in program.text
            for server in (people, People(console, tmp_path)):
                server.lever("tokens", login="ops", token="good-everywhere")
            (tmp_path / "token").write_text("good-everywhere\n")
            wait_until("activity", lambda: not parked(address), 30)
            wait_until("entries", lambda: "audit.activity.v1" in told(records(tmp_path)))
            assert program.end() == 0


def test_a_scheduled_run_that_is_refused_or_does_not_happen_is_told_and_counted(tmp_path: Path) -> None:
    with simulator(tmp_path, "empty") as (url, _):
        people = People(url, tmp_path)
        with running(tmp_path / "run.out", "run", "-c", str(config(tmp_path, url, start="now"))) as program:
            address = program.wait_for(r'"http": "(http://[^"]+?)/"')[1]
            counters = [f'pe_scheduled_runs_missed_total{{reason="{why}",source="prod"}}' for why in REASONS]

            def counted(number: float) -> bool:
                text = get(address, "/metrics").text
                return all(f"{counter} {number}" in text for counter in counters)

            wait_until("the counters", lambda: counted(0.0))
            people.schedule(2, environment="staging")
            people.lever("environments", name="staging", present=False)
            wait_until("the refusal", lambda: "schedule.run.missed.v1" in told(records(tmp_path)))
            people.lever("knobs", scheduler="skips")
            people.schedule(1)
            wait_until("both", lambda: counted(1.0))
            assert program.end() == 0
    missed = [record.data or {} for record in records(tmp_path) if record.type.endswith("schedule.run.missed.v1")]
    assert [data["reason"] for data in missed] == REASONS
    assert missed[0]["error"]["kind"] == "puppetlabs.orchestrator/unknown-environment"
    assert missed[0]["schedule"]["environment"] == "staging"
    skipped = [fact["time"] for fact in facts(tmp_path / "truth.log") if fact["fact"] == "schedule_skipped"]
    assert [data["planned_at"] for data in missed[1:]] == skipped


def test_a_server_before_2021_7_begins_with_the_newest_and_lists_schedules_by_another_api(tmp_path: Path) -> None:
    with simulator(tmp_path, "scheduled:every=3", "--version", "2019.8") as (url, _):
        people, path = People(url, tmp_path), config(tmp_path, url)
        for life in range(2):
            people.edit()
            with running(tmp_path / f"run{life}.out", "run", "-c", str(path)) as program:
                program.wait_for("stream.claimed")
                people.edit()
                wait_until("everything", partial(old_verdict, tmp_path, facts(tmp_path / "truth.log")[-1]["at"]))
    assert told(records(tmp_path)) > {"audit.activity.v1", "schedule.created.v1"}


def old_verdict(folder: Path, until: float) -> Verdict:
    """Judge what an old server told of the two."""
    truth, seen = facts(folder / "truth.log"), records(folder)
    found = judge_activity(truth, seen, services=SERVICES, until=until)
    found.take(judge_schedules(truth, seen, until=until, patient=False, old=True))
    return found
