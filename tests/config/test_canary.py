"""The table of a canary: what it takes, in the file and in the environment, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchbridge.cli.canary import Errand
from orchbridge.cli.wiring import errands_of
from orchbridge.config import Settings, load, missing_files
from orchbridge.core.errors import ConfigError

MINIMAL = """
[[sources]]
name = "prod"
url = "https://pe.example.com:8143"
token_file = "token"
{source}
[sink]
type = "stdout"
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Write a file with these lines in its source, and load it."""
    (tmp_path / "token").write_text("t0k3n\n")

    def write(source: str = "", **environ: str) -> Settings:
        path = tmp_path / "orchbridge.toml"
        path.write_text(MINIMAL.format(source=source))
        return load(path, {f"ORCHBRIDGE_SOURCES__0__{name}": value for name, value in environ.items()})

    return write


TABLE = """
[sources.canary]
task = "facts"
nodes = ["a.test", "b.test"]
"""


def test_there_is_none_by_default(written: Any) -> None:
    assert written().sources[0].canary is None
    assert errands_of(written()) == []
    assert written().sources[0].renew_token is False


def test_in_the_file(written: Any) -> None:
    (errand,) = errands_of(written(TABLE + 'params = {level = 3, name = "x"}'))
    assert errand == Errand("prod", "facts", ("a.test", "b.test"), params={"level": 3, "name": "x"})
    assert (errand.environment, errand.interval_s, errand.timeout_s) == ("production", 900.0, 300.0)


def test_in_the_environment(written: Any) -> None:
    environ = {
        "CANARY__TASK": "service::ping", "CANARY__NODES": "a.test, b.test", "CANARY__INTERVAL_S": "120",
        "CANARY__TIMEOUT_S": "60", "CANARY__PARAMS": '{"level": 3}',
    }  # fmt: skip
    (errand,) = errands_of(written(**environ))
    assert (errand.task, errand.nodes, errand.interval_s, errand.timeout_s) == (
        "service::ping", ("a.test", "b.test"), 120.0, 60.0,
    )  # fmt: skip
    assert errand.params == {"level": 3}


def test_parameters_from_a_file(written: Any, tmp_path: Path) -> None:
    (tmp_path / "canary.json").write_text('{"password": "hunter2"}')
    settings = written(TABLE + 'params_file = "canary.json"')
    (errand,) = errands_of(settings)
    assert errand.params == {"password": "hunter2"}
    assert "hunter2" not in repr(settings) + repr(errand)
    (tmp_path / "canary.json").write_text('["hunter2"]')
    with pytest.raises(ConfigError, match="no JSON object") as refused:
        errands_of(settings)
    assert "hunter2" not in str(refused.value)
    (tmp_path / "canary.json").unlink()
    assert [key for key, _ in missing_files(settings)] == ["sources[0].canary.params_file"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('[sources.canary]\nnodes = ["a"]', "sources[0].canary.task: is missing"),
        ('[sources.canary]\ntask = "facts"', "sources[0].canary.nodes: is missing"),
        ('[sources.canary]\ntask = "facts"\nnodes = []', "sources[0].canary.nodes: must not be empty"),
        ('[sources.canary]\ntask = "Not One"\nnodes = ["a"]', "canary.task: must be module or module::task"),
        (TABLE + "interval_s = 5", "canary.interval_s: must be at least 60"),
        (TABLE.replace("nodes = [", 'nodes = ["a", "a", '), "canary.nodes: names a twice; name it once"),
        (TABLE + "timeout_s = 901", "canary.timeout_s: is 901, longer than interval_s, 900; write timeout_s = 900"),
        (TABLE + "interval_s = 60", "canary.timeout_s: is 300 where it is left out, longer than interval_s, 60; write"),
        (TABLE + 'params = "hunter2"', "canary.params: must be a table or a JSON object"),
        (TABLE + "params = {}\nparams_file = 'token'", "canary.params: stands beside params_file"),
        ('streams = ["plans"]' + TABLE, 'canary: arrives through the stream "jobs"'),
        ("streams = 5\nrenew_token = [1]" + TABLE, "sources[0].renew_token: must be true or false"),
        (TABLE + "timeout_s = []", "canary.timeout_s: must be a number"),
        ('missed_after = "5 minutes"', 'must be a whole number with s, m, h or d; write missed_after = "5m"'),
        ("canary = 5", "sources[0].canary: must be a table, not 5; write a table [sources.canary]"),
        ('activity_services = ["RBAC"]', "activity_services[0]: must be small letters, digits and - between them"),
        ('rbac_url = "pe.example.com"', 'rbac_url: must be an address; write "https://pe.example.com:4433"'),
        (TABLE + "intervall_s = 90", "canary.intervall_s: unknown key; did you mean interval_s?"),
    ],
)
def test_what_cannot_be_is_said(written: Any, more: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        written(more)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_renewal_needs_a_file_to_write_to(tmp_path: Path) -> None:
    path = tmp_path / "orchbridge.toml"
    path.write_text(MINIMAL.replace('token_file = "token"', 'token = "t0k3n"\nrenew_token = true').format(source=""))
    with pytest.raises(ConfigError, match="token_file: is missing: renew_token"):
        load(path, {})
