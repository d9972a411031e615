"""A job fails on some nodes, and somebody is called: the shipped rules and routes on the real programs, end to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.broker import free_port
from tests.deploy.rules import ALERTMANAGER, PROMETHEUS, RUNBOOKS, load, queries
from tests.e2e.programs import get, running, simulator, wait_until
from tests.prometheus import Alertmanager, Prometheus, Webhook

pytestmark = pytest.mark.timeout(180)

NODES = 6
CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "earliest"
poll_interval_s = 0.3
inventory_interval_s = 1.0
job_url = "https://pe.example.com/#/run/jobs/{{job}}"

[sink]
type = "jsonl"
directory = "{folder}/records"

[http]
listen = "127.0.0.1:{port}"
"""


class Stage(NamedTuple):
    """Everything that runs, and what a test needs to know of it."""

    folder: Path
    source: str
    bridge: str
    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: Webhook

    def run_task(self) -> int:
        """Start a task on every node; return its job's id."""
        return _run_task(self.source)

    def ended(self, job: int) -> dict[str, Any] | None:
        """Return the last state of a job that has ended, as the simulator's world knows it."""
        states = [fact for fact in _truth(self.folder) if fact["fact"] == "job_state" and fact["job"] == job]
        return states[-1] if states and states[-1]["state"] in {"finished", "failed", "stopped"} else None

    def scraped(self) -> float:
        return self.prometheus.value("count_over_time(up[1h])") or 0.0

    def evaluate(self, times: int = 3) -> None:
        """Wait until rules have seen so many scrapes from now on, and one more."""
        target = self.scraped() + times + 1
        self.prometheus.wait_until("more scrapes", lambda: self.scraped() >= target)


@pytest.fixture(scope="module")
def stage(needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The simulator with half of its nodes away and a job that failed before the bridge, and all that watches."""
    needs("prometheus", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("alerting")
    port = free_port()
    with simulator(folder, f"empty:nodes={NODES},shortest=0.1,longest=0.4") as (source, _):
        nodes = [fact["node"] for fact in _truth(folder) if fact["fact"] == "node"]
        for node in nodes[: NODES // 2]:
            _post(source, "/sim/inventory", {"node": node, "connected": False})
        history = _run_task(source)
        wait_until("history", lambda: _over(folder, history))
        config = folder / "config.toml"
        config.write_text(CONFIG.format(url=source, folder=folder, port=port))
        bridge = f"http://127.0.0.1:{port}"
        with running(folder / "bridge.out", "run", "-c", str(config)) as program, Webhook() as webhook:
            program.wait_for("stream.claimed")
            routes = ALERTMANAGER.read_text().replace("http://127.0.0.1:9641", webhook.url)
            with Alertmanager(routes) as alertmanager, Prometheus(_config(bridge, alertmanager)) as prometheus:
                prometheus.wait_until_scraped()
                yield Stage(folder, source, bridge, prometheus, alertmanager, webhook)


def _config(bridge: str, alertmanager: Alertmanager) -> dict[str, Any]:
    """Return the shipped example with our addresses and a faster pulse; the rules are the shipped files themselves."""
    config = json.loads(json.dumps(load(PROMETHEUS / "prometheus.yml")))
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["global"]["external_labels"] = {"orchbridge_url": bridge}
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager.address]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [bridge.removeprefix("http://")]
    return config


def _post(source: str, path: str, body: dict[str, Any]) -> Any:
    headers = {"X-Authentication": "letmein"}
    answer = httpx.post(f"{source}{path}", json=body, headers=headers, timeout=10, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def _run_task(source: str) -> int:
    body = {"task": "facts", "params": {}, "scope": {"query": "nodes {}"}, "environment": "production"}
    return int(_post(source, "/orchestrator/v1/command/task", body)["job"]["name"])


def _truth(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "truth.log").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]  # the last may be half written


def _over(folder: Path, job: int) -> bool:
    states = [fact["state"] for fact in _truth(folder) if fact["fact"] == "job_state" and fact["job"] == job]
    return bool(states) and states[-1] in {"finished", "failed"}


def test_a_failed_job_reaches_somebody_with_what_failed(stage: Stage) -> None:
    job = stage.run_task()
    alert = stage.webhook.wait_for("PuppetJobFailed")
    truth = stage.ended(job)
    assert truth is not None
    told = {fact["id"]: fact for fact in _truth(stage.folder) if fact["fact"] == "job"}[job]
    failed = sum(truth["node_states"].get(state, 0) for state in ("failed", "errored"))
    assert failed >= NODES // 2
    assert [path for path, _ in stage.webhook.calls] == ["/jobs"]
    assert alert["status"] == "firing"
    assert alert["labels"] == {
        "alertname": "PuppetJobFailed",
        "severity": "warning",
        "source": "prod",
        "job_id": str(job),
        "type": "task",
        "name": told["task"],
        "environment": told["environment"],
        "console_url": f"https://pe.example.com/#/run/jobs/{job}",
        "orchbridge_url": stage.bridge,
    }
    assert alert["annotations"]["summary"] == f"Job {job} (facts) of prod failed on {failed} nodes"
    assert f"{failed} nodes failed or errored" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == f"{stage.bridge}/runbooks/PuppetJobFailed"
    # The job that failed before the bridge was there is history: delivered, and nobody's alarm.
    assert {alert["labels"]["job_id"] for alert in stage.webhook.alerts()} == {str(job)}


def test_nothing_else_is_alarmed_and_every_rule_is_well(stage: Stage) -> None:
    stage.evaluate()
    firing = {alert["labels"]["alertname"] for alert in stage.prometheus.alerts() if alert["state"] == "firing"}
    assert firing <= {"PuppetJobFailed"}
    rules = stage.prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]


def test_the_queries_of_the_runbooks_can_be_asked(stage: Stage) -> None:
    asked = [query for path in sorted(RUNBOOKS.glob("*.md")) for query in queries(path.read_text())]
    assert asked
    for query in asked:
        stage.prometheus.query(query)  # fails with Prometheus' own words


def test_the_runbook_of_an_alert_is_where_its_link_leads(stage: Stage) -> None:
    answer = get(stage.bridge, "/runbooks/PuppetJobFailed")
    assert answer.status_code == 200
    assert "PuppetJobFailed" in answer.text
