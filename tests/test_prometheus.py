"""The Prometheus and Alertmanager that other tests lean on, with each other: a rule becomes a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import debian
from tests.prometheus import Alertmanager, Prometheus, Sample, Webhook

RULES = """
groups:
  - name: test
    interval: 1s
    rules:
      - alert: Seen
        expr: up == 1
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} is {{ $value }}"}
"""

OWNER = """
import time
from tests.prometheus import Prometheus
with Prometheus("") as prometheus:
    print(prometheus._server._process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _programs(needs: Callable[..., None]) -> None:
    needs("prometheus", "prometheus-alertmanager")


def test_what_is_scraped_can_be_asked_and_what_fires_calls_the_webhook() -> None:
    with Webhook() as webhook:
        receiver = {"name": "hook", "webhook_configs": [{"url": f"{webhook.url}/page"}]}
        route = {"receiver": "hook", "group_wait": "0s", "group_by": ["alertname"]}
        with Alertmanager({"route": route, "receivers": [receiver]}) as alertmanager:
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rules.yml"],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
                "scrape_configs": [_scrape("manager", alertmanager.address)],
            }
            with Prometheus(config, {"rules.yml": RULES}) as prometheus:
                prometheus.wait_until_scraped()
                labels = {"__name__": "up", "job": "manager", "instance": alertmanager.address}
                assert prometheus.query("up") == [Sample(labels, 1.0)]
                assert prometheus.value("1 + 1") == 2.0
                assert prometheus.value("nothing_of_this_name") is None
                alert = webhook.wait_for("Seen")
                assert alert["annotations"]["summary"] == "manager is 1"
                assert webhook.calls[0][0] == "/page"
                assert [each["state"] for each in prometheus.alerts("Seen")] == ["firing"]
                assert [each["status"]["state"] for each in alertmanager.alerts("Seen")] == ["active"]


def _scrape(job: str, address: str) -> dict[str, object]:
    return {"job_name": job, "static_configs": [{"targets": [address]}]}


def test_a_wrong_configuration_says_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="no_such_key"):
        Prometheus({"no_such_key": 1}).__enter__()


def test_it_does_not_outlive_its_owner() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 10
    while _alive(pid):
        assert time.monotonic() < ends, "it is still there"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " not in stat.read_text()


def test_what_cannot_be_had_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(debian.Lack, match="apt-get install no-such-tool-here"):
        debian.need("prometheus", "no-such-tool-here")


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_them_tests_are_left_out_loudly_and_fail_where_ci_must_not_be_fooled(ci: str, code: int) -> None:
    bare = {"PATH": str(Path(sys.executable).parent), "CI": ci}  # neither Prometheus nor anything to install it with
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "calls_the_webhook"]
    top = Path(__file__).parents[1]
    done = subprocess.run(command, env=os.environ | bare, cwd=top, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "NOT TESTED WITHOUT prometheus" in done.stdout
    assert "apt-get install prometheus" in done.stdout
