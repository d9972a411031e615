"""A real Prometheus and a real Alertmanager on free loopback ports, and somebody to be alerted; gone with their owner.

Their programs come from `need("prometheus", "prometheus-alertmanager")` in tests/debian.py.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from tests.broker import free_port, guard
from tests.debian import program

START_S = 30.0


class Sample(NamedTuple):
    """One element of an instant vector; `labels` with `__name__` where it has one. A scalar has no labels."""

    labels: dict[str, str]
    value: float


class _Server:
    """One program with a folder and a port of its own; it ends with the process that made it, however that ends."""

    def __init__(self, name: str, options: Callable[[Path, int], list[str]], files: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"orchbridge-{name.partition('|')[0]}-"))
        for file, text in files.items():
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        with (self.folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(
                [program(name), *options(self.folder, self.port)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self._guard = guard(self._process.pid, self.folder)

    def await_ready(self) -> None:
        ends = time.monotonic() + START_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > ends:
                said = self.log()
                self.end()
                raise AssertionError(f"it did not start:\n{said[-3000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "out.log").read_text(errors="replace")

    def get(self, path: str, **parameters: str) -> Any:
        """Return the JSON of an answer; fail with the server's own words."""
        answer = self._client.get(path, params=parameters)
        assert answer.is_success, f"{path} {parameters}: {answer.status_code} {answer.text}"
        return answer.json()

    def end(self) -> None:
        """End it and forget its data."""
        self._client.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.kill()
        self._guard.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False


class _Running:
    """What both servers have in common: up in a `with` block, gone after it."""

    _server: _Server

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def address(self) -> str:
        """Return host:port, as configuration files name it."""
        return self._server.url.removeprefix("http://")

    def log(self) -> str:
        """Return what the server wrote."""
        return self._server.log()

    def __enter__(self) -> Self:
        self._server.await_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.end()


class Prometheus(_Running):
    """A Prometheus with this configuration: `with Prometheus(config) as prometheus`.

    `config` is the text of prometheus.yml or its content; `files` are put beside it (rule files are named
    relative to it, or absolutely).
    """

    def __init__(self, config: str | Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
        self._server = _Server("prometheus", _prometheus, {"prometheus.yml": _yaml(config), **(files or {})})

    def query(self, promql: str) -> list[Sample]:
        """Return what the expression says now; a scalar as one sample without labels."""
        data = self._server.get("/api/v1/query", query=promql)["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(each["metric"], float(each["value"][1])) for each in data["result"]]

    def value(self, promql: str) -> float | None:
        """Return the one value of an expression, None where it has none."""
        samples = self.query(promql)
        assert len(samples) < 2, f"{promql} has {len(samples)} values: {samples}"
        return samples[0].value if samples else None

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return pending and firing alerts as the API names them: labels, annotations, state, activeAt, value."""
        found = self._server.get("/api/v1/alerts")["data"]["alerts"]
        return [alert for alert in found if name in {None, alert["labels"]["alertname"]}]

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its health and lastError."""
        return [rule for group in self._server.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped: labels, health, lastError, lastScrape."""
        found: list[dict[str, Any]] = self._server.get("/api/v1/targets", state="active")["data"]["activeTargets"]
        return found

    def wait_until_scraped(self, limit_s: float = 30.0) -> None:
        """Wait until every target was scraped well, from now on."""
        begun = self._server.get("/api/v1/query", query="time()")["data"]["result"][0]
        since = float(begun)

        def fresh() -> bool:
            targets = self.targets()
            ages = [self.value(f"timestamp(up{_exactly(target['labels'])}) >= {since}") for target in targets]
            return bool(targets) and None not in ages and all(target["health"] == "up" for target in targets)

        self.wait_until("all targets scraped", fresh, limit_s)

    def wait_until(self, what: str, look: Callable[[], object], limit_s: float = 60.0) -> None:
        """Wait until `look()` is true; fail with what Prometheus knows of its targets and alerts."""
        ends = time.monotonic() + limit_s
        while not look():
            if time.monotonic() > ends:
                known = json.dumps({"targets": self.targets(), "alerts": self.alerts()}, indent=1)
                raise AssertionError(f"{what}: did not come within {limit_s} s; {known}\n{self.log()[-2000:]}")
            time.sleep(0.1)


class Alertmanager(_Running):
    """An Alertmanager with this configuration; alone, no gossip."""

    def __init__(self, config: str | Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
        self._server = _Server(
            "prometheus-alertmanager|alertmanager", _alertmanager, {"alertmanager.yml": _yaml(config), **(files or {})}
        )

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what it holds: labels, annotations, status (state, inhibitedBy, silencedBy), receivers."""
        found = self._server.get("/api/v2/alerts")
        return [alert for alert in found if name in {None, alert["labels"]["alertname"]}]


class Webhook:
    """Somebody to be alerted: `with Webhook() as webhook`, and `webhook.url` for the receiver's configuration."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []  # (path, what Alertmanager sent), oldest first
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.calls.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return every alert of every call, oldest first: status, labels, annotations, startsAt, generatorURL."""
        found = [alert for _, call in list(self.calls) for alert in call["alerts"]]
        return [alert for alert in found if name in {None, alert["labels"]["alertname"]}]

    def wait_for(self, name: str, limit_s: float = 60.0) -> dict[str, Any]:
        """Return the first alert of this name; fail with what came instead."""
        ends = time.monotonic() + limit_s
        while True:
            found = self.alerts(name)
            if found:
                return found[0]
            if time.monotonic() > ends:
                raise AssertionError(f"no {name} within {limit_s} s; came: {json.dumps(self.calls, indent=1)}")
            time.sleep(0.1)

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _prometheus(folder: Path, port: int) -> list[str]:
    return [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]


def _alertmanager(folder: Path, port: int) -> list[str]:
    return [
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def _yaml(config: str | Mapping[str, Any]) -> str:
    return config if isinstance(config, str) else json.dumps(config)  # JSON is YAML


def _exactly(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"
