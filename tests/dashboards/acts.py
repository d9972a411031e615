"""What happens on the stage: jobs, plans, nodes, and trouble."""

from __future__ import annotations

import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.prometheus import Prometheus


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


def play(prometheus: Prometheus, pes: dict[str, Pe]) -> tuple[dict[str, tuple[int, float]], float]:
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


def parked(prometheus: Prometheus, pe: Pe) -> float:
    """Take the bridge's rights away; return when all streams of that source wait for a person."""
    pe.lever("knobs", auth_fault="revoked")
    prometheus.wait_until("parked", lambda: prometheus.value("sum(orchbridge_stream_parked)") == 3, 30)
    return now(prometheus)


def _seen(prometheus: Prometheus, to: str, times: int) -> None:
    query = f'pe_node_transitions_total{{source="prod", to="{to}"}} >= {times}'
    prometheus.wait_until(f"{to} {times}", lambda: prometheus.query(query), 20)


def now(prometheus: Prometheus) -> float:
    return prometheus.query("time()")[0].value
