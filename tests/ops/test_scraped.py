"""A real Prometheus gets into a real bridge with its own settings for it, and with nothing less."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.authority import Authority
from tests.e2e.programs import Program, running, simulator
from tests.prometheus import Prometheus

TOKEN, PASSWORD = "0beef-scrape-token", "correct horse"


class Bridge(NamedTuple):
    port: int
    folder: Path
    program: Program


def configuration(folder: Path, url: str, *http: str) -> Path:
    path = folder / "orchbridge.toml"
    lines = [
        f'[[sources]]\nname = "prod"\nurl = "{url}"\ntoken_file = "token"',
        '[sink]\ntype = "jsonl"\ndirectory = "records"',
        '[http]\nlisten = "127.0.0.1:0"',
        *http,
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def bridge(authority: Authority, stranger: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A bridge whose port wants a client certificate of the stranger's authority, and a credential."""
    folder, signed = tmp_path_factory.mktemp("bridge"), authority.sign()
    (folder / "scrape-token").write_text(TOKEN + "\n")
    http = (
        f'tls_cert_file = "{signed.cert}"\ntls_key_file = "{signed.key}"\nclient_ca_file = "{stranger.file}"',
        f'bearer_token_file = "scrape-token"\nbasic_user = "prometheus"\nbasic_password = "{PASSWORD}"',
    )
    with simulator(folder, "quiet") as (url, _):
        path = configuration(folder, url, *http)
        with running(folder / "bridge.out", "run", "-c", str(path)) as program:
            yield Bridge(int(program.wait_for(r"https://127\.0\.0\.1:(\d+)/")[1]), folder, program)


@pytest.mark.needs("prometheus")
def test_prometheus_gets_in_with_its_own_settings_only(
    bridge: Bridge, authority: Authority, stranger: Authority
) -> None:
    ours, old, theirs = stranger.sign("prometheus"), stranger.sign("prometheus", days=-1), authority.sign("prometheus")

    def job(name: str, signed: Any = ours, scheme: str = "https", ca: Authority = authority, **more: Any) -> Any:
        tls = {"ca_file": str(ca.file), "server_name": "localhost"}
        certificate = {"cert_file": str(signed.cert), "key_file": str(signed.key)} if signed else {}
        return {
            "job_name": name,
            "scheme": scheme,
            "tls_config": tls | certificate,
            "static_configs": [{"targets": [f"127.0.0.1:{bridge.port}"]}],
            **more,
        }

    bearer = {"authorization": {"credentials": TOKEN}}
    basic = {"basic_auth": {"username": "prometheus", "password": PASSWORD}}
    refused = {
        "wrong-token": (job("wrong-token", authorization={"credentials": "guess"}), "401"),
        "wrong-password": (job("wrong-password", basic_auth={"username": "prometheus", "password": "guess"}), "401"),
        "no-credentials": (job("no-credentials"), "401"),
        "no-certificate": (job("no-certificate", None, **bearer), "403"),
        "expired-certificate": (job("expired-certificate", old, **bearer), "EOF"),
        "unknown-certificate": (job("unknown-certificate", theirs, **bearer), "EOF"),
        "other-authority": (job("other-authority", ca=stranger, **bearer), "x509"),
        "clear-text": (job("clear-text", scheme="http", **bearer), ""),
    }
    jobs = [job("bearer", **bearer), job("basic", **basic), *(each for each, _ in refused.values())]
    config = {"global": {"scrape_interval": "3s", "scrape_timeout": "3s"}, "scrape_configs": jobs}
    begun = time.monotonic()
    with Prometheus(config) as prometheus:

        def unlike() -> dict[str, str]:
            """Return what was told in other words than it should be; a busy machine may first run out of time."""
            told = {target["labels"]["job"]: target["lastError"] for target in prometheus.targets()}
            return {
                name: told[name] for name, (_, words) in refused.items() if words not in told[name] or not told[name]
            }

        known = ("bearer", "basic")
        prometheus.wait_until("both get in", lambda: all(prometheus.value(f'up{{job="{job}"}}') for job in known))
        prometheus.wait_until("all have tried", lambda: len(prometheus.query("up")) == len(jobs))
        assert {each.labels["job"] for each in prometheus.query("up == 1")} == set(known)
        assert prometheus.value('orchbridge_stream_owned{job="bearer",stream="jobs"}') == 1
        prometheus.wait_until("each is refused for its own reason", lambda: not unlike())
        (bridge.folder / "scrape-token").write_text("guess\n")
        prometheus.wait_until("the new token counts", lambda: prometheus.value('up{job="wrong-token"}'))
        prometheus.wait_until("the old one does not", lambda: prometheus.value('up{job="bearer"}') == 0)
    told = bridge.program.text
    assert "Traceback" not in told
    minutes = 1 + (time.monotonic() - begun) // 60
    assert 2 <= told.count("http.refused") <= 2 * minutes, "one line a minute for each reason"
    for secret in (TOKEN, PASSWORD, "guess", base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()):
        assert secret not in told


@pytest.mark.parametrize(
    ("http", "words"),
    [
        ('tls_cert_file = "token"\ntls_key_file = "token"', "http.tls_cert_file: "),
        ('bearer_token_file = "empty"', "http.bearer_token_file: "),
    ],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, http: str, words: str) -> None:
    (tmp_path / "token").write_text("x")
    (tmp_path / "empty").write_text("\n")
    path = configuration(tmp_path, "http://127.0.0.1:1", http)
    command = [sys.executable, "-m", "orchbridge", "run", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line
