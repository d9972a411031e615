"""The manifests of deploy/kubernetes: built by the real kustomize, judged by Kubernetes' own schemas and by us."""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchbridge import __version__
from orchbridge.config import load
from tests.deploy import kustomize, schemas
from tests.deploy.dockerfile import stages

REPOSITORY = Path(__file__).parents[2]
HERE = REPOSITORY / "deploy" / "kubernetes"
OPERATOR = "monitoring.coreos.com/v1"
Objects = dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=["base", "overlays/example"])
def objects(request: pytest.FixtureRequest, fetched: Callable[..., Any]) -> Objects:
    """What is applied, by kind; there is one of each."""
    found = fetched(kustomize.build, HERE / request.param)
    kinds = {each["kind"]: each for each in found}
    assert len(kinds) == len(found)
    return kinds


@pytest.fixture
def pod(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def schema(fetched: Callable[..., Any]) -> Callable[[str, str], dict[str, Any]]:
    """Return the schema of a kind in an API version; what has them is here by now."""
    fetched(schemas.kubernetes, "Deployment", "apps/v1")
    return functools.partial(fetched, schemas.kubernetes)


def test_every_object_is_what_kubernetes_knows(objects: Objects, schema: Callable[[str, str], dict[str, Any]]) -> None:
    for kind, each in objects.items():
        if each["apiVersion"] != OPERATOR:
            jsonschema.Draft202012Validator(schema(kind, each["apiVersion"])).validate(each)


def test_the_schemas_are_strict(schema: Callable[[str, str], dict[str, Any]]) -> None:
    wrong = yaml.safe_load((HERE / "base" / "deployment.yaml").read_text())
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema("Deployment", "apps/v1")).validate(wrong)


def test_the_pod_is_restricted(objects: Objects, pod: dict[str, Any]) -> None:
    """What the Pod Security Standard `restricted` asks for, and a root that cannot be written."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} == {"configMap", "secret"}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["automountServiceAccountToken"] is False
    assert objects["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]


def test_it_runs_the_image_as_the_image_means_it(pod: dict[str, Any]) -> None:
    *_, image = stages((REPOSITORY / "Dockerfile").read_text())
    user, command = image.last("USER"), image.last("CMD")
    assert user is not None
    assert command is not None
    context = pod["securityContext"]
    assert user.rest == f"{context['runAsUser']}:{context['runAsGroup']}"
    (container,) = pod["containers"]
    assert container["args"] == command.words
    assert "command" not in container
    assert container["image"].endswith(f":{__version__}")


def test_probes_ask_what_each_of_them_is_for(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    asked = {name: container[f"{name}Probe"] for name in ("liveness", "readiness", "startup")}
    paths = {name: probe["httpGet"]["path"] for name, probe in asked.items()}
    assert paths == {"liveness": "/healthz", "readiness": "/readyz", "startup": "/healthz"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert all(probe["httpGet"]["port"] in ports for probe in asked.values())
    assert asked["liveness"]["timeoutSeconds"] >= 5
    assert container["resources"]["requests"]["memory"]
    assert container["resources"]["limits"]["memory"]


def test_everything_means_the_same_pods(objects: Objects) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    named = [
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in
          objects["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]),
    ]  # fmt: skip
    assert all(each and each.items() <= labels.items() for each in named)
    spaces = {each["metadata"].get("namespace") for kind, each in objects.items() if kind != "Namespace"}
    assert len(spaces) == 1


def test_two_workers_of_which_one_may_be_away(objects: Objects) -> None:
    assert objects["Deployment"]["spec"]["replicas"] == 2
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert objects["PodDisruptionBudget"]["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_configuration_is_valid_and_finds_its_secrets(
    objects: Objects, pod: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(objects["ConfigMap"]["data"]["config.toml"])
    settings = load(path, {}, files_exist=False)
    assert settings.warnings == ()
    (config,) = (volume for volume in pod["volumes"] if "configMap" in volume)
    assert config["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"], "with its hash"
    (container,) = pod["containers"]
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["args"][-1] == f"{places['config']}/config.toml"
    (source,) = settings.sources
    assert settings.sink.type == "kafka"
    files = [source.token_file, source.ca_file, settings.sink.sasl_plain_password_file, settings.sink.ssl_cafile]
    assert {str(file) for file in files} == {
        f"{places['secrets']}/{name}" for name in ("pe-token", "pe-ca.pem", "kafka-password", "kafka-ca.pem")
    }
    assert settings.http.port == container["ports"][0]["containerPort"]
    assert "Secret" not in objects, "secrets are made by people, not by files in a repository"


def test_the_network_policy_lets_through_what_is_configured(objects: Objects, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(objects["ConfigMap"]["data"]["config.toml"])
    settings = load(path, {}, files_exist=False)
    spec = objects["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert settings.sink.type == "kafka"
    wanted = {53, 4433, *(int(str(source.url).rstrip("/").rpartition(":")[2]) for source in settings.sources)}
    wanted |= {int(each.rpartition(":")[2]) for each in settings.sink.bootstrap_servers.split(",")}
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == wanted
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == [settings.http.port]
    assert all(rule["to"] for rule in spec["egress"])
    assert all(rule["from"] for rule in spec["ingress"])


def test_prometheus_scrapes_it_under_the_name_that_the_rules_expect(fetched: Callable[..., Any]) -> None:
    objects = {each["kind"]: each for each in fetched(kustomize.build, HERE / "overlays/example")}
    monitor, service = objects["ServiceMonitor"], objects["Service"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "orchbridge"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"


def test_the_rules_are_those_of_prometheus() -> None:
    folder = HERE / "monitoring"
    committed = (folder / "prometheusrule.yaml").read_text()
    assert committed == runpy.run_path(str(folder / "rules.py"))["manifest"](), (
        "write it anew: python deploy/kubernetes/monitoring/rules.py"
    )
    groups = [group for name in ("recording.yml", "alerts.yml")
              for group in yaml.safe_load((REPOSITORY / "deploy/prometheus" / name).read_text())["groups"]]  # fmt: skip
    assert yaml.safe_load(committed)["spec"] == {"groups": groups}


def test_every_file_is_used(fetched: Callable[..., Any]) -> None:
    used = set()
    for file in HERE.rglob("kustomization.yaml"):
        told = yaml.safe_load(file.read_text())
        names = [*told.get("resources", []), *(patch["path"] for patch in told.get("patches", [])),
                 *(name for each in told.get("configMapGenerator", []) for name in each["files"])]  # fmt: skip
        used |= {(file.parent / name).resolve() for name in names} | {file}
    files = {file for file in HERE.rglob("*") if file.suffix in {".yaml", ".toml"}}
    assert files == {file for file in used if file.is_file()}
