"""The trial of deploy/compose: by the specification's own schema, and by what we promise of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchbridge import __version__
from orchbridge.config import load
from tests.debian import program
from tests.deploy import schemas
from tests.deploy.dockerfile import stages

HERE = Path(__file__).parents[2] / "deploy" / "compose"
FILE = yaml.safe_load((HERE / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ALL = pytest.mark.parametrize("name", list(SERVICES))


def mounts(name: str) -> list[tuple[str, str, str]]:
    """Return (source, target, mode) of each volume of a service."""
    parts = [each.split(":") for each in SERVICES[name].get("volumes", [])]
    return [(part[0], part[1], part[2] if len(part) > 2 else "rw") for part in parts]


@pytest.fixture
def schema(fetched: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = fetched(schemas.compose)
    return found


def test_it_is_what_the_specification_allows(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator({**schema, "$schema": "http://json-schema.org/draft-07/schema#"}).validate(FILE)


@ALL
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only") or name == "kafka", "Kafka's start script writes beside the program"
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert not service.get("privileged")
    assert "network_mode" not in service


@ALL
def test_every_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])
    if SERVICES[name]["image"].startswith("orchbridge:"):
        assert SERVICES[name]["image"] == f"orchbridge:{__version__}"
        assert (HERE / SERVICES[name]["build"]["context"] / "Dockerfile").resolve().is_file()


@ALL
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_every_published_port_is_published_once() -> None:
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports))


@ALL
def test_what_is_mounted_is_there_and_only_state_can_be_written(name: str) -> None:
    for source, target, mode in mounts(name):
        if source.startswith("."):
            assert (HERE / source).exists(), source
            assert mode == "ro", (source, target)
        else:
            assert source in FILE["volumes"]
    for secret in SERVICES[name].get("secrets", []):
        assert (HERE / FILE["secrets"][secret]["file"]).read_text().strip()
    used = {source for each in SERVICES for source, *_ in mounts(each) if not source.startswith(".")}
    assert used == FILE["volumes"].keys()


@ALL
def test_every_service_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    if "build" in service and "healthcheck" not in service:
        *_, image = stages((HERE / "../../Dockerfile").read_text())
        assert image.last("HEALTHCHECK")
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
    for other, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert other in SERVICES


def test_no_secret_stands_in_the_file_itself() -> None:
    told = [value for service in SERVICES.values() for key, value in service.get("environment", {}).items()
            if re.search("PASSWORD|TOKEN|SECRET", key)]  # fmt: skip
    assert all(str(value).startswith("/run/secrets/") for value in told)


def test_the_bridges_understand_their_configuration() -> None:
    settings = load(HERE / "orchbridge.toml", {}, files_exist=False)
    assert settings.warnings == ()
    (source,) = settings.sources
    places = {target: name for name, target, _ in mounts("bridge-1")}
    simulator = SERVICES["simulator"]
    port = simulator["command"][simulator["command"].index("--port") + 1]
    assert str(source.url).rstrip("/") == f"https://{simulator['hostname']}:{port}"
    folder = simulator["command"][simulator["command"].index("--tls") + 1]
    shared = {target: name for name, target, _ in mounts("simulator")}[folder]
    assert places[str(Path(str(source.ca_file)).parent)] == shared, "the CA comes from the simulator's own folder"
    assert str(source.token_file) == "/run/secrets/pe-token" in simulator["command"]
    assert settings.sink.type == "kafka"
    host, _, port = settings.sink.bootstrap_servers.partition(":")
    assert f"INSIDE://{host}:{port}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for name in ("bridge-1", "bridge-2"):
        assert [each.rpartition(":")[2] for each in SERVICES[name]["ports"]] == [str(settings.http.port)]


def test_prometheus_scrapes_both_and_tells_the_alertmanager() -> None:
    told = yaml.safe_load((HERE / "prometheus.yml").read_text())
    (job,) = (job for job in told["scrape_configs"] if job["job_name"] == "orchbridge")
    assert job["static_configs"][0]["targets"] == ["bridge-1:9640", "bridge-2:9640"]
    here = {Path(target).name for source, target, _ in mounts("prometheus") if source.startswith(".")}
    assert {"prometheus.yml", *told["rule_files"]} == here
    (target,) = told["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert target.partition(":")[0] in SERVICES


@pytest.mark.needs("prometheus")
def test_prometheus_takes_what_is_mounted(tmp_path: Path) -> None:
    for source, target, _ in mounts("prometheus"):
        if source.startswith("."):
            (tmp_path / Path(target).name).write_text((HERE / source).read_text())
    command = [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    places = {target: HERE / source for source, target, _ in mounts("grafana") if source.startswith(".")}
    (source,) = places["/etc/grafana/provisioning/datasources"].glob("*.yml")
    assert yaml.safe_load(source.read_text())["datasources"][0]["url"] == "http://prometheus:9090"
    (provider,) = places["/etc/grafana/provisioning/dashboards"].glob("*.yml")
    folder = places[yaml.safe_load(provider.read_text())["providers"][0]["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / Path(home).name).is_file()
