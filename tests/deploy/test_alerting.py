"""A job fails on some nodes, and somebody is called: the shipped rules and routes on the real programs, end to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.broker import free_port
from tests.deploy.rules import ALERTMANAGER, PROMETHEUS, RUNBOOKS, load, queries
from tests.e2e.programs import Program, get, running, simulator, wait_until
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
    """Everything that runs; `job` failed before all eyes, `restart` kills the bridge and starts another."""

    folder: Path
    bridge: str
    job: int
    prometheus: Prometheus
    webhook: Webhook
    restart: Callable[[], None]

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
        wait_until("history", lambda: _ended(folder, history))
        config = folder / "config.toml"
        config.write_text(CONFIG.format(url=source, folder=folder, port=port))
        bridge = f"http://127.0.0.1:{port}"
        with ExitStack() as programs, Webhook() as webhook:

            def start() -> None:
                programs.close()  # kills the one before
                program = programs.enter_context(running(folder / "bridge.out", "run", "-c", str(config)))
                wait_until("the bridge", lambda: _answers(bridge, program))

            start()
            routes = ALERTMANAGER.read_text().replace("http://127.0.0.1:9641", webhook.url)
            with Alertmanager(routes) as alertmanager, Prometheus(_config(bridge, alertmanager)) as prometheus:
                prometheus.wait_until_scraped()
                yield Stage(folder, bridge, _run_task(source), prometheus, webhook, start)


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


def _answers(bridge: str, program: Program) -> bool:
    assert program.process.poll() is None, program.text
    try:
        return get(bridge, "/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _truth(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "truth.log").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]  # the last may be half written


def _ended(folder: Path, job: int) -> dict[str, Any] | None:
    """Return the last state of a job that has ended, as the simulator's world knows it."""
    states = [fact for fact in _truth(folder) if fact["fact"] == "job_state" and fact["job"] == job]
    return states[-1] if states and states[-1]["state"] in {"finished", "failed", "stopped"} else None


def test_a_failed_job_reaches_somebody_with_what_failed(stage: Stage) -> None:
    alert = stage.webhook.wait_for("PuppetJobFailed")
    truth = _ended(stage.folder, stage.job)
    assert truth is not None
    told = {fact["id"]: fact for fact in _truth(stage.folder) if fact["fact"] == "job"}[stage.job]
    failed = sum(truth["node_states"].get(state, 0) for state in ("failed", "errored"))
    assert failed >= NODES // 2
    assert [path for path, _ in stage.webhook.calls] == ["/jobs"]
    assert alert["status"] == "firing"
    assert alert["labels"] == {
        "alertname": "PuppetJobFailed",
        "severity": "warning",
        "source": "prod",
        "job_id": str(stage.job),
        "type": "task",
        "name": told["task"],
        "environment": told["environment"],
        "console_url": f"https://pe.example.com/#/run/jobs/{stage.job}",
        "orchbridge_url": stage.bridge,
    }
    assert alert["annotations"]["summary"] == f"Job {stage.job} ({told['task']}) of prod failed on {failed} nodes"
    assert f"{failed} nodes failed or errored" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == f"{stage.bridge}/runbooks/PuppetJobFailed"
    # The job that failed before the bridge was there is history: delivered, and nobody's alarm.
    assert {alert["labels"]["job_id"] for alert in stage.webhook.alerts()} == {str(stage.job)}


def test_a_restart_neither_ends_the_alarm_nor_raises_another(stage: Stage) -> None:
    stage.webhook.wait_for("PuppetJobFailed")
    (before,) = stage.prometheus.alerts("PuppetJobFailed")
    stage.restart()
    stage.prometheus.wait_until(
        "the restart seen", lambda: stage.prometheus.value("count(pe_failed_job_nodes)") is None
    )
    _evaluate(stage.prometheus)
    assert [(alert["activeAt"], alert["state"]) for alert in stage.prometheus.alerts("PuppetJobFailed")] == [
        (before["activeAt"], "firing")
    ]
    firing = {alert["labels"]["alertname"] for alert in stage.prometheus.alerts() if alert["state"] == "firing"}
    assert firing == {"PuppetJobFailed"}, "the half of the nodes that are away is news for later"


def test_every_rule_can_be_evaluated(stage: Stage) -> None:
    _evaluate(stage.prometheus)
    rules = stage.prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]


def _evaluate(prometheus: Prometheus) -> None:
    """Wait until the rules have seen some more scrapes that went well."""

    def scraped() -> float:
        return prometheus.value("sum_over_time(up[1h])") or 0.0

    target = scraped() + 4
    prometheus.wait_until("more scrapes", lambda: scraped() >= target)


def test_the_queries_of_the_runbooks_can_be_asked(stage: Stage) -> None:
    asked = [query for path in sorted(RUNBOOKS.glob("*.md")) for query in queries(path.read_text())]
    assert asked
    for query in asked:
        stage.prometheus.query(query)  # fails with Prometheus' own words


def test_the_runbook_of_an_alert_is_where_its_link_leads(stage: Stage) -> None:
    answer = get(stage.bridge, "/runbooks/PuppetJobFailed")
    assert answer.status_code == 200
    assert "PuppetJobFailed" in answer.text


URL = {"orchbridge_url": "http://bridge"}
OTHER = {"orchbridge_url": "http://another"}


def _named(name: str, severity: str = "critical", /, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


@pytest.mark.parametrize(
    ("worse", "silenced", "told"),
    [
        (
            _named("OrchbridgeDown", job="orchbridge"),
            [_named("OrchbridgeWorkerDown", "warning", instance="a"), _named("OrchbridgeStreamStalled", source="prod")],
            [_named("OrchbridgeRetentionNear", source="prod"), _named("PuppetJobFailed", "warning", source="prod")],
        ),
        (
            _named("PuppetOrchestratorUnreachable", source="prod"),
            [_named("OrchbridgeStreamStalled", source="prod", stream="jobs")],
            [
                _named("OrchbridgeStreamStalled", source="dev", stream="jobs"),
                _named("OrchbridgeStreamParked", source="prod"),
            ],
        ),
        (
            _named("OrchbridgeStreamParked", source="prod", stream="jobs"),
            [
                _named("OrchbridgeStreamNotOwned", source="prod", stream="jobs"),
                _named("PuppetJobStuck", "warning", source="prod"),
            ],
            [
                _named("OrchbridgeStreamNotOwned", source="prod", stream="plans"),
                _named("PuppetJobStuck", "warning", source="dev"),
            ],
        ),
        (
            _named("OrchbridgeStreamParked", source="prod", stream="plans"),
            [_named("OrchbridgeStreamStalled", source="prod", stream="plans")],
            [_named("PuppetJobStuck", "warning", source="prod")],
        ),
        (
            _named("PuppetJobFailureRatioHigh", source="prod"),
            [_named("PuppetJobFailureRatioHigh", "warning", source="prod")],
            [_named("PuppetJobFailureRatioHigh", "warning", source="dev")],
        ),
    ],
    ids=lambda value: value["alertname"] if isinstance(value, dict) else "",
)
@pytest.mark.needs("prometheus-alertmanager")
def test_what_follows_from_something_worse_is_not_told(
    worse: dict[str, str], silenced: list[dict[str, str]], told: list[dict[str, str]]
) -> None:
    with Alertmanager(ALERTMANAGER.read_text().replace("127.0.0.1:9641", "127.0.0.1:9")) as alertmanager:
        given = [each | URL for each in (worse, *silenced, *told)] + [each | OTHER for each in silenced]
        body = [{"labels": labels} for labels in given]
        assert httpx.post(f"{alertmanager.url}/api/v2/alerts", json=body, trust_env=False).is_success

        def hidden() -> list[dict[str, str]]:
            return [each["labels"] for each in alertmanager.alerts() if each["status"]["state"] == "suppressed"]

        wait_until("inhibition", lambda: len(hidden()) >= len(silenced), 20)
        assert sorted(map(sorted, map(dict.items, hidden()))) == sorted(
            sorted((each | URL).items()) for each in silenced
        )


@pytest.mark.needs("prometheus-alertmanager")
def test_a_failed_job_is_told_once_however_many_fail_after_it() -> None:
    with Webhook() as webhook:
        routes = ALERTMANAGER.read_text().replace("http://127.0.0.1:9641", webhook.url)
        for slow, quick in (("group_wait: 5s", "group_wait: 1s"), ("group_interval: 1m", "group_interval: 1s")):
            assert slow in routes
            routes = routes.replace(slow, quick)
        with Alertmanager(routes) as alertmanager:
            for number in (1, 2, 3):
                failed = [
                    _named("PuppetJobFailed", "warning", source="prod", job_id=str(n)) for n in range(1, number + 1)
                ]
                body = [{"labels": labels | URL} for labels in failed]  # as Prometheus does: all that fire, again
                assert httpx.post(f"{alertmanager.url}/api/v2/alerts", json=body, trust_env=False).is_success
                wait_until("it is told", lambda number=number: str(number) in _told(webhook), 20)  # type: ignore[misc]
            assert _told(webhook) == ["1", "2", "3"]


def _told(webhook: Webhook) -> list[str]:
    """Return the jobs of all messages, one after another."""
    return [alert["labels"]["job_id"] for _, message in webhook.calls for alert in message["alerts"]]
