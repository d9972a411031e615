"""A bridge on two simulators, scraped by Prometheus: what happened on it, and when it was asked."""

from __future__ import annotations

import json
import math
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509

from orchbridge import __version__
from tests.broker import free_port
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


class Pe:
    """One simulator, as somebody at its console."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        token = (folder / "token").read_text().strip()
        verify = ssl.create_default_context(cafile=str(folder / "tls" / "ca.pem"))
        self._client = httpx.Client(
            base_url=url, verify=verify, headers={"X-Authentication": token}, timeout=10, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def do(self, command: str, **body: Any) -> str:
        answer = self._client.post(f"/orchestrator/v1/command/{command}", json=body)
        assert answer.is_success, f"{command} {body}: {answer.text}"
        told = answer.json()
        return str(told["job"]["name"] if "job" in told else told["name"])

    def connect(self, node: str, connected: bool) -> None:
        assert self._client.post("/sim/inventory", json={"node": node, "connected": connected}).is_success

    def lever(self, name: str, **body: Any) -> None:
        assert self._client.post(f"/sim/{name}", json=body).is_success

    def about_plans(self) -> int:
        return sum(count for what, count in self.requests().items() if what.startswith("GET plan_jobs"))

    def requests(self) -> Counter[str]:
        return Counter(self._client.get("/sim/requests").json()["requests"])


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
        clocks, refused = _play(prometheus, pes)
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
            parked=_parked(prometheus, pes["lab"]),
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
    calm = _now(prometheus) + 6 * SCRAPE_S  # a rate looks back over four scrapes
    prometheus.wait_until("calm", lambda: _now(prometheus) > calm)
    prometheus.wait_until_scraped()
    begun, lines = _now(prometheus), _lines(folder)
    before = {name: pe.requests() for name, pe in pes.items()}
    prometheus.wait_until_scraped()  # what the range begins with
    return begun, before, lines


def _play(prometheus: Prometheus, pes: dict[str, Pe]) -> tuple[dict[str, tuple[int, float]], float]:
    """Jobs that end in every way, in three environments; plans; nodes that go and come back; a long job at last.

    Return a job of each source with the moment when it began, to set the clock of its truth by; and how many
    answers were 503.
    """
    prod, lab = pes["prod"], pes["lab"]
    names = [f"{group}{number:02d}.example.com" for number in range(1, 10) for group in ("web", "app", "db", "cache")]
    gone = names[-1]  # never connected: whatever is asked of it errors at once
    flapping = names[-2]

    def scope(*nodes: str) -> dict[str, Any]:
        return {"nodes": list(nodes)}

    first = prod.do("task", task="facts", params={}, scope=scope(*names[:3]))
    clocks = {"prod": (int(first), time.time())}
    prod.do("task", task="package", params={"name": "openssl"}, scope=scope(gone, *names[3:5]), environment="staging")
    prod.do("deploy", environment="staging", scope=scope(*names[5:10]))
    prod.do("deploy", environment="production", scope=scope(gone, *names[10:12]))
    for node in names[7:9]:  # so many fail that no other outcome is as frequent
        prod.do("task", task="facts", params={}, scope=scope(gone, node), environment="development")
    to_stop = prod.do("deploy", environment="development", scope=scope(*names[12:30]))
    prod.do("plan_run", plan_name="rollout::web", params={})
    plan_to_stop = prod.do("plan_run", plan_name="patching::weekly", params={})
    refused, clocks["lab"] = _trouble(prometheus, lab)
    lab.do("task", task="facts", params={}, scope=scope("web01.example.com", "db01.example.com"))
    lab.do("deploy", environment="production", scope=scope("web01.example.com", "app01.example.com"))
    lab.do("plan_run", plan_name="rollout::web", params={})
    for turn in range(1, 4):
        prod.connect(flapping, False)
        _seen(prometheus, "disconnected", turn)
        prod.connect(flapping, True)
        _seen(prometheus, "connected", turn)
        if turn == 1:
            prod.do("stop", job=to_stop)
            prod.do("stop_plan", plan_job=plan_to_stop)
            # Over in an instant, and the first of its name and environment: no scrape ever sees its series at 0.
            asked = {"params": {"name": "openssl"}, "environment": "staging"}
            lab.do("task", task="package", scope=scope("cache01.example.com"), **asked)
    for node in names[:2]:
        prod.connect(node, False)
    lab.connect("db01.example.com", False)
    prod.do("task", task="service::restart", params={"service": "httpd"}, scope=scope(*names[6:9]))
    prod.do("deploy", environment="production", scope=scope(*names[2:28]))
    lab.lever("skip", jobs=2)  # ids that no job has, and one above them
    lab.do("deploy", environment="production", scope=scope("web01.example.com"))
    return clocks, refused


def _trouble(prometheus: Prometheus, pe: Pe) -> tuple[float, tuple[int, float]]:
    """A job that is pruned while it runs, events that come late, answers of 503.

    Return how many of these there were, and the job with the moment when it began.
    """
    number = pe.do("deploy", environment="production", scope={"nodes": ["web01.example.com", "app01.example.com"]})
    clock = (int(number), time.time())
    running = 'pe_jobs{source="lab", state="running"} == 1'
    prometheus.wait_until("it runs", lambda: prometheus.query(running), 20)
    pe.lever("prune", oldest=100)
    pe.lever("knobs", event_visibility="seconds:0.8,p=0.5")
    pe.do("task", task="facts", params={}, scope={"nodes": ["web01.example.com", "app01.example.com"]})
    asked = pe.about_plans()
    pe.lever("knobs", faults="503,on=plan_jobs")
    failed = 'orchbridge_troubles_total{source="lab", kind="server"} >= 3'
    prometheus.wait_until("failed answers", lambda: prometheus.query(failed), 20)
    pe.lever("knobs", faults="none")
    refused = pe.about_plans() - asked
    return refused - 1.0, clock  # a lever may come while a request is on its way


def _parked(prometheus: Prometheus, pe: Pe) -> float:
    """Take the bridge's rights away; return when all streams of that source wait for a person."""
    pe.lever("knobs", auth_fault="revoked")
    prometheus.wait_until("parked", lambda: prometheus.value("sum(orchbridge_stream_parked)") == 3, 30)
    return _now(prometheus)


def _seen(prometheus: Prometheus, to: str, times: int) -> None:
    query = f'pe_node_transitions_total{{source="prod", to="{to}"}} >= {times}'
    prometheus.wait_until(f"{to} {times}", lambda: prometheus.query(query), 20)


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
    return _scraped(prometheus, begun + math.ceil(_now(prometheus) - begun), 1.0)  # $__range has whole seconds


def _scraped(prometheus: Prometheus, moment: float, step: float) -> float:
    """Return the first moment, in these steps, before which the bridge answered a scrape: it may be late for one."""
    for _ in range(20):
        prometheus.wait_until("the moment", lambda at=moment: _now(prometheus) > at + SCRAPE_S)
        if prometheus.query(f"sum(up @ {moment:.3f}) == 1"):
            return moment
        moment += step
    raise AssertionError("the bridge answers no scrape")


def _now(prometheus: Prometheus) -> float:
    return prometheus.query("time()")[0].value


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
