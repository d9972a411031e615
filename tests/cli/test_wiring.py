"""Which streams a configuration makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchbridge.cli import wiring
from orchbridge.cli.run import stream_of
from orchbridge.config import load
from orchbridge.core.ports import StreamId
from orchbridge.core.records import JOB_EVENTS, JOBS, NODE_STATE, PLANS
from orchbridge.core.window import marked
from orchbridge.ops import catalogue
from orchbridge.sinks import needs
from tests.ops.stage import record

CONFIG = """
[[sources]]
name = "prod"
url = "https://pe.test:8143"
token_file = "{token}"
start = "{start}"
[sink]
{sink}
"""


@pytest.mark.parametrize("start", ["now", "earliest", "job:350"])
@pytest.mark.parametrize("lasting", [True, False])
def test_an_unfinished_backfill_is_carried_on_whatever_the_start(tmp_path: Path, start: str, lasting: bool) -> None:
    (tmp_path / "token").write_text("t")
    sink = f'type = "jsonl"\ndirectory = "{tmp_path}"' if lasting else 'type = "stdout"'
    file = tmp_path / "orchbridge.toml"
    file.write_text(CONFIG.format(token=tmp_path / "token", start=start, sink=sink))
    streams = {stream.id.kind: stream for stream in wiring.streams_of(load(file, {}))["prod"]}
    past = {"jobs-backfill", "plans-backfill"} if lasting else set()
    assert set(streams) == {"jobs", "plans", "inventory"} | past
    assert streams["jobs"].settings.backfill is (lasting and start != "now")


def test_an_inventory_is_told_how_many_nodes_to_name(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    file = tmp_path / "orchbridge.toml"
    plain = CONFIG.format(token=tmp_path / "token", start="now", sink='type = "stdout"')
    for text, wanted in ((plain, 0), (f"{plain}\n[metrics]\nnode_series = 500\n", 500)):
        file.write_text(text)
        streams = {stream.id.kind: stream for stream in wiring.streams_of(load(file, {}))["prod"]}
        assert streams["inventory"].settings.node_series == wanted


@pytest.mark.parametrize(
    ("channel", "run", "kind"),
    [
        (JOB_EVENTS, None, "jobs"),
        (PLANS, None, "plans"),
        (NODE_STATE, None, "inventory"),
        (JOB_EVENTS, "backfill", "jobs-backfill"),
        (PLANS, "backfill", "plans-backfill"),
        (JOBS, "k3f9", "replay-k3f9"),
    ],
)
def test_what_the_sink_refuses_is_counted_with_the_stream_it_came_from(
    channel: str, run: str | None, kind: str
) -> None:
    (given,) = (record("job.state.changed.v1", channel=channel),)
    if run is not None:
        (given,) = marked([given], run)
    assert stream_of(given) == StreamId("prod", kind)


def test_activity_and_schedules_come_on_request(tmp_path: Path) -> None:
    file = tmp_path / "orchbridge.toml"
    (tmp_path / "token").write_text("t")
    more = 'start = "earliest"\nstreams = ["activity", "schedules"]\nactivity_services = ["rbac"]\n'
    more += "activity_interval_s = 7.0\nschedules_interval_s = 9.0\n"
    plain = CONFIG.format(token=tmp_path / "token", start="now", sink='type = "stdout"')
    file.write_text(plain.replace('start = "now"\n', more))
    streams = {stream.id.kind: stream for stream in wiring.streams_of(load(file, {}))["prod"]}
    assert {kind: stream.settings.poll_s for kind, stream in streams.items()} == {
        "activity-rbac": 7.0,
        "schedules": 9.0,
    }
    assert streams["schedules"].settings.missed_after_s == 300.0
    for kind, channel in (("activity-rbac", "audit"), ("schedules", "jobs")):
        assert channel in needs.channels(streams[kind].id)
        assert channel in catalogue.channels(kind)
