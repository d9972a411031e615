"""The shipped rules: valid, tested by promtool, written for series that exist, each with its page for people."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.debian import program
from tests.deploy import rules as shipped
from tests.deploy.rules import ALERTMANAGER, PROMETHEUS, Rule, alerts, load, unknown

UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
NAMES = sorted({alert.name for alert in alerts()})


@pytest.fixture
def promtool(needs: Callable[..., None]) -> Callable[..., str]:
    """Run promtool; fail with its words."""
    needs("prometheus")
    return lambda *arguments: _said("promtool", *arguments)


@pytest.fixture
def amtool(needs: Callable[..., None]) -> Callable[..., str]:
    """Run amtool; fail with its words."""
    needs("prometheus-alertmanager")
    return lambda *arguments: _said("amtool", *arguments)


def _said(name: str, *arguments: object) -> str:
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROMETHEUS, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_and_the_example_configuration_are_valid(promtool: Callable[..., str]) -> None:
    promtool("check", "rules", "recording.yml", "alerts.yml")
    said = promtool("check", "config", "prometheus.yml")
    assert "2 rule files found" in said


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_are_silent_when_they_should(promtool: Callable[..., str], path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_shown_both_firing_and_silent(name: str) -> None:
    cases = [
        case
        for path in UNIT_TESTS
        for test in load(path)["tests"]
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == name
    ]
    fired = {alert["exp_labels"]["severity"] for case in cases for alert in case["exp_alerts"] or ()}
    assert fired == {alert.labels["severity"] for alert in alerts() if alert.name == name}
    assert [case for case in cases if not case["exp_alerts"]]


@pytest.mark.parametrize("rule", shipped.rules(), ids=lambda rule: rule.name)
def test_rules_name_what_the_bridge_exports(rule: Rule) -> None:
    assert shipped.names(rule.expr)
    assert unknown(rule.expr) == []


@pytest.mark.parametrize(
    "expr",
    [
        "pe_no_such_metric > 0",
        'pe_up{stream="jobs"} == 0',
        "sum by (certname) (pe_nodes)",
        "pe_job_duration_seconds > 1",
        "source:pe_nothing:sum > 1",
    ],
)
def test_a_rule_for_what_nobody_exports_is_seen(expr: str) -> None:
    assert unknown(expr)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.labels['severity']}")
def test_every_alert_says_what_it_is_and_where_to_read_on(alert: Rule) -> None:
    assert alert.name.startswith(("Puppet", "Orchbridge"))
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in {"critical", "warning", "info"}
    assert alert.annotations.keys() == {"summary", "description", "runbook_url"}
    address = '{{ or $externalLabels.orchbridge_url "http://localhost:9640" }}'
    assert alert.annotations["runbook_url"] == f"{address}/runbooks/{alert.name}"


def test_the_alertmanager_example_is_valid(amtool: Callable[..., str]) -> None:
    amtool("check-config", ALERTMANAGER)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=PuppetOrchestratorUnreachable", "severity=critical"], "page"),
        (["alertname=PuppetJobFailed", "severity=warning", "job_id=352"], "jobs"),
        (["alertname=PuppetNodesUnreachable", "severity=warning"], "ticket"),
        (["alertname=OrchbridgeGap", "severity=info"], "quiet"),
        (["alertname=SomebodyElses"], "ticket"),
    ],
)
def test_alerts_reach_whom_they_should(amtool: Callable[..., str], labels: list[str], receiver: str) -> None:
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).split() == [receiver]


def test_what_is_inhibited_exists() -> None:
    """A renamed alert must not be left behind in the inhibitions."""
    named = {
        name
        for rule in load(ALERTMANAGER)["inhibit_rules"]
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]
        if matcher.startswith("alertname")
        for name in matcher.partition('"')[2].rstrip('"').split("|")
    }
    assert {name for name in named if name not in NAMES and not name.endswith(".*")} == set()
