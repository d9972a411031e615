"""A bridge on two simulators, scraped by Prometheus: what happened on it, and when it was asked."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from orchbridge import __version__
from tests.broker import free_port
from tests.dashboards.acts import Pe, now, parked, play
from tests.dashboards.grafana import Window
from tests.dashboards.story import Story
from tests.e2e.programs import get, running, simulator, wait_until
from tests.prometheus import Prometheus

SCRAPE_S = 0.4  # also how long a scrape may take
STEP_S = 0.25
SOURCES = {"prod": "quiet:jobs=8,nodes=36", "lab": "quiet:jobs=1,nodes=4"}
RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
CONSOLE = "https://pe.example.com/#/run/jobs/{job}"

_SOURCE = """
[[sources]]
name = "{name}"
url = "{url}"
ca_file = "{folder}/{name}/tls/ca.pem"
token_file = "{folder}/{name}/token"
job_url = "{console}"
start = "earliest"
rbac_url = "{url}"
poll_interval_s = 0.25
inventory_interval_s = 0.4
heartbeat_interval_s = 0
"""
_REST = """
[metrics]
node_series = 100

[sink]
type = "jsonl"
directory = "{folder}/records"

[http]
listen = "{listen}"
"""


@dataclass(frozen=True)
class Stage:
    """What is left when all is quiet. Moments are Unix seconds: `busy` is within the last, long job."""

    prometheus: str
    instance: str
    window: Window
    busy: float
    stories: dict[str, Story]
    requests: dict[str, tuple[Counter[str], Counter[str]]]  # source -> before the window, after it
    lines: dict[str, Counter[str]]  # source -> channel -> lines in its files
    lines_before: dict[str, Counter[str]]  # the same before the window
    expiry: dict[str, float]  # source -> end of its certificate's life
    parked: float  # a moment at which the streams of `lab` are parked
    refused: float  # answers of 503 that `lab` gave
    version: str
    firing: set[tuple[str, ...]]  # alert, severity, source


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Let things happen, wait until all is told and scraped, and hand over what can be asked; it stays up meanwhile."""
    with ExitStack() as stack:
        pes, blocks = {}, []
        for name, scenario in SOURCES.items():
            (folder / name).mkdir()
            url, _ = stack.enter_context(simulator(folder / name, scenario, "--tls", str(folder / name / "tls")))
            pes[name] = stack.enter_context(closing(Pe(folder / name, url)))
            blocks.append(_SOURCE.format(name=name, url=url, folder=folder, console=CONSOLE))
        instance = f"127.0.0.1:{free_port()}"
        bridge = f"http://{instance}"
        path = folder / "config.toml"
        path.write_text("".join(blocks) + _REST.format(folder=folder, listen=instance))
        prometheus = stack.enter_context(Prometheus(_config(instance)))  # first, to see history being delivered
        program = stack.enter_context(running(folder / "run.out", "run", "-c", str(path)))
        program.wait_for("stream.claimed")
        begun, before, lines = _at_rest(prometheus, bridge, pes, folder)
        clocks, refused = play(prometheus, pes)
        ended = _told(prometheus, pes, folder, begun)
        after = {name: pe.requests() for name, pe in pes.items()}
        stories = {name: Story.read(name, folder / name / "truth.log", clocks[name]) for name in pes}
        long = max(stories["prod"].jobs, key=lambda job: job.seconds)
        yield Stage(
            prometheus=prometheus.url,
            instance=instance,
            window=Window(begun, ended, STEP_S, SCRAPE_S),
            busy=_scraped(prometheus, long.ended - 0.2, -0.1),
            stories=stories,
            requests={name: (before[name], after[name]) for name in pes},
            lines=_lines(folder),
            lines_before=lines,
            expiry={name: _expiry(folder / name / "tls") for name in pes},
            parked=parked(prometheus, pes["lab"]),
            refused=refused,
            version=__version__,
            firing={
                tuple(alert["labels"].get(label, "") for label in ("alertname", "severity", "source"))
                for alert in prometheus.alerts()
                if alert["state"] == "firing"
            },
        )


def _config(instance: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": f"{round(SCRAPE_S * 1000)}ms", "evaluation_interval": "500ms"},
        "rule_files": [str(path) for path in sorted(RULES.glob("*.yml")) if path.name != "prometheus.yml"],
        "scrape_configs": [{"job_name": "orchbridge", "static_configs": [{"targets": [instance]}]}],
    }


def _at_rest(
    prometheus: Prometheus, bridge: str, pes: dict[str, Pe], folder: Path
) -> tuple[float, dict[str, Counter[str]], dict[str, Counter[str]]]:
    """Wait until history is delivered and scraped; return when the story begins, requests and lines so far."""
    past = 'sum(orchbridge_notices_total{kind="backfill_done"}) == 3'  # prod's jobs and plans, lab's jobs
    nodes = "count(pe_inventory_age_seconds) == 2"
    prometheus.wait_until("history and inventory", lambda: prometheus.query(past) and prometheus.query(nodes), 30)
    wait_until("readiness", lambda: get(bridge, "/readyz").status_code == 200, 20)
    calm = now(prometheus) + 6 * SCRAPE_S  # a rate looks back over four scrapes
    prometheus.wait_until("calm", lambda: now(prometheus) > calm)
    prometheus.wait_until_scraped()
    begun, lines = now(prometheus), _lines(folder)
    before = {name: pe.requests() for name, pe in pes.items()}
    prometheus.wait_until_scraped()  # what the range begins with
    return begun, before, lines


def _told(prometheus: Prometheus, pes: dict[str, Pe], folder: Path, begun: float) -> float:
    """Wait until all that began has ended, is certified, committed and scraped; return when, whole seconds on."""

    def ended() -> bool:
        stories = [Story.read(name, folder / name / "truth.log") for name in pes]
        works = [work for story in stories for work in (*story.jobs, *story.plans)]
        jobs = sum(len(story.jobs) for story in stories)
        proven = prometheus.value("sum(orchbridge_jobs_complete_total) + sum(orchbridge_jobs_incomplete_total)")
        left = prometheus.value("sum(pe_jobs) + sum(pe_plans)")
        return all(work.over for work in works) and (proven or 0) >= jobs and left == 0

    prometheus.wait_until("the end of all jobs", ended, 60)
    prometheus.wait_until_scraped()
    return _scraped(prometheus, begun + math.ceil(now(prometheus) - begun), 1.0)  # $__range has whole seconds


def _scraped(prometheus: Prometheus, moment: float, step: float) -> float:
    """Return the first moment, in these steps, before which the bridge answered a scrape: it may be late for one."""
    for _ in range(20):
        prometheus.wait_until("the moment", lambda at=moment: now(prometheus) > at + SCRAPE_S)
        if prometheus.query(f"sum(up @ {moment:.3f}) == 1"):
            return moment
        moment += step
    raise AssertionError("the bridge answers no scrape")


def _lines(folder: Path) -> dict[str, Counter[str]]:
    """Return how many records the vouched part of the files holds, values redacted, and notices by kind."""
    found: dict[str, Counter[str]] = {name: Counter() for name in SOURCES}
    place = folder / "records"
    for topic, mark in json.loads((place / "orchbridge.cursors.json").read_text())["files"].items():
        _, source, channel = topic.split(".")
        parts = [place / f"{topic}.{number:06}.jsonl" for number in range(1, mark["part"])]
        data = b"".join(part.read_bytes() for part in parts)
        data += (place / f"{topic}.jsonl").read_bytes()[: mark["size"]] if mark["size"] else b""
        found[source][channel] += data.count(b"\n")
        if not channel.endswith("-state"):
            events = (json.loads(line) for line in data.splitlines() if b'"redacted"' in line)
            told = (event["data"].get("redacted", ()) for event in events if not event.get("replay"))
            found[source]["redacted"] += sum(map(len, told))
            found[source]["late"] += data.count(b'"late":true')
            if channel == "jobs":
                told = (json.loads(line) for line in data.splitlines() if b"job.summary.v1" in line)
                whole = (event["data"]["complete"] for event in told if not event.get("replay"))
                found[source].update("complete" if each else "incomplete" for each in whole)
            if channel == "notices":
                kinds = (json.loads(line)["data"]["kind"] for line in data.splitlines())
                found[source].update(f"notice {kind}" for kind in kinds)
    return found


def _expiry(tls: Path) -> float:
    """Return when the simulator's certificate ends."""
    return x509.load_pem_x509_certificate((tls / "server.pem").read_bytes()).not_valid_after_utc.timestamp()
