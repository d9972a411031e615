"""Which Puppet Enterprise is meant: options, a configuration, PE's own files, in this order, and said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchbridge.cli.main import main
from orchbridge.cli.pe import place
from orchbridge.cli.pe.options import Options
from orchbridge.cli.pe.place import find
from orchbridge.core.errors import ConfigError
from tests.cli.pe.stage import Stage

URL = "https://pe.example.com:8143"
SINK = '[sink]\ntype = "jsonl"\ndirectory = "{folder}/records"\n'


@pytest.fixture(autouse=True)
def no_global_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "GLOBAL_CONF", tmp_path / "etc/orchestrator.conf")
    monkeypatch.setattr(place, "GLOBAL_CA", tmp_path / "etc/ca.pem")


def home(folder: Path, **options: object) -> dict[str, str]:
    """Make a home with PE's client tools in it; return the environment."""
    tools = folder / ".puppetlabs/client-tools"
    tools.mkdir(parents=True)
    if options:
        (tools / "orchestrator.conf").write_text(json.dumps({"options": options}))
    (folder / ".puppetlabs/token").write_text("0token\n")
    return {"HOME": str(folder)}


def config(folder: Path, *names: str, url: str = URL) -> Path:
    (folder / "token").write_text("letmein\n")
    (folder / "token").chmod(0o600)
    tables = [f'[[sources]]\nname = "{name}"\nurl = "{url}"\ntoken_file = "{folder}/token"\n' for name in names]
    path = folder / "bridge.toml"
    path.write_text("".join(tables) + SINK.format(folder=folder))
    return path


def test_a_configuration_comes_first(tmp_path: Path) -> None:
    environ = home(tmp_path, **{"service-url": "https://other.example.com:8143"})
    path = config(tmp_path, "prod")
    found = find(Options(config=path), environ)
    assert found.line() == f"{URL} (source prod of {path})"
    assert found.access.token_file == tmp_path / "token"


def test_of_several_sources_one_is_named(tmp_path: Path) -> None:
    path = config(tmp_path, "prod", "test")
    assert find(Options(config=path, source="test"), {}).access.name == "test"
    with pytest.raises(ConfigError, match="has several sources: prod, test") as raised:
        find(Options(config=path), {})
    assert raised.value.hint == "say which one: --source NAME"
    with pytest.raises(ConfigError, match="has no source 'live'"):
        find(Options(config=path, source="live"), {})
    with pytest.raises(ConfigError, match="--source names a source of a configuration file"):
        find(Options(source="test"), {})


@pytest.mark.parametrize("more", [{"url": URL}, {"token_file": Path("x")}, {"ca_file": Path("x")}])
def test_a_configuration_and_an_address_are_one_too_many(tmp_path: Path, more: dict[str, object]) -> None:
    option = "--" + next(iter(more)).replace("_", "-")
    with pytest.raises(ConfigError, match=f"-c and {option} both say which PE is meant"):
        find(Options(config=config(tmp_path, "prod"), **more), {})  # type: ignore[arg-type]


def test_an_address_with_the_token_of_pes_tools(tmp_path: Path) -> None:
    environ = home(tmp_path, **{"service-url": "https://other.example.com:8143"})
    found = find(Options(url=URL + "/"), environ)
    assert found.line() == f"{URL} (--url, token ~/.puppetlabs/token)"
    assert (found.access.token_file, found.access.ca_file) == (tmp_path / ".puppetlabs/token", None)
    found = find(Options(url=URL, token_file=Path("t"), ca_file=Path("ca.pem")), environ)
    assert (found.access.token_file, found.access.ca_file) == (Path("t"), Path("ca.pem"))


def test_an_address_without_any_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no token was given, and there is no ~/\.puppetlabs/token"):
        find(Options(url=URL), {"HOME": str(tmp_path)})


def test_the_files_of_pes_own_tools(tmp_path: Path) -> None:
    environ = home(tmp_path, **{"service-url": URL, "cacert": "~/ca.pem", "token-file": "/run/token"})
    found = find(Options(), environ)
    assert found.line() == f"{URL} (~/.puppetlabs/client-tools/orchestrator.conf, token /run/token)"
    assert (found.access.token_file, found.access.ca_file) == (Path("/run/token"), tmp_path / "ca.pem")
    found = find(Options(token_file=Path("t"), ca_file=Path("c")), environ)
    assert (found.access.token_file, found.access.ca_file) == (Path("t"), Path("c"))


def test_the_users_file_over_the_machines(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/orchestrator.conf").write_text(json.dumps({"options": {"service-url": URL, "cacert": "/etc/a"}}))
    (tmp_path / "etc/ca.pem").write_text("")
    found = find(Options(), {"HOME": str(tmp_path)})
    assert (found.access.url, found.access.ca_file) == (URL, Path("/etc/a"))
    assert found.access.token_file == tmp_path / ".puppetlabs/token"
    environ = home(tmp_path, **{"cacert": "/etc/b"})
    assert find(Options(), environ).access.ca_file == Path("/etc/b")
    (tmp_path / "etc/orchestrator.conf").write_text(json.dumps({"options": {"service-url": URL}}))
    (tmp_path / ".puppetlabs/client-tools/orchestrator.conf").unlink()
    assert find(Options(), environ).access.ca_file == tmp_path / "etc/ca.pem"


@pytest.mark.parametrize(
    ("content", "told"),
    [("{", "is not JSON"), ("[]", 'has no "options"'), ('{"options": {}}', "have no service-url")],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str, told: str) -> None:
    environ = home(tmp_path)
    (tmp_path / ".puppetlabs/client-tools/orchestrator.conf").write_text(content)
    with pytest.raises(ConfigError, match=told):
        find(Options(), environ)


def test_nothing_says_which_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="which Puppet Enterprise is meant") as raised:
        find(Options(), {"HOME": str(tmp_path)})
    assert "-c FILE" in raised.value.hint
    assert "--url" in raised.value.hint


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://pe.example.com:8143", "would send the token in clear text to pe.example.com"),
        ("pe.example.com", "is not an https address"),
        ("https://me:hunter2@pe.example.com", "carries more than an address"),
        ("https://pe.example.com:8143?token=hunter2", "carries more than an address"),
        ("https://pe.example.com:8143/#hunter2", "carries more than an address"),
        ("me:hunter2@pe.example.com", "is not an https address"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, url: str, told: str) -> None:
    (tmp_path / "token").write_text("0token\n")
    done = Stage(tmp_path, url).run("jobs")
    assert (done.exit_code, told in done.stderr, done.stdout) == (2, True, "")
    assert "hunter2" not in done.output


def test_each_way_leads_there(stage: Stage, tmp_path: Path) -> None:
    environ = home(tmp_path, **{"service-url": f"{stage.url}/", "token-file": str(stage.folder / "token")})
    path = config(tmp_path, "prod", "other", url=stage.url)
    for arguments in ((), ("-c", str(path), "--source", "prod")):
        done = subprocess.run(
            [sys.executable, "-m", "orchbridge", "pe", "inventory", "--json", *arguments],
            capture_output=True, text=True, check=False, env={**os.environ, **environ},
        )  # fmt: skip
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 5), done.stderr
        assert done.stderr.startswith(f"orchbridge: {stage.url} (")
        assert len(done.stderr.splitlines()) == 1


def test_the_place_may_be_said_before_the_command_and_what_stands_behind_it_goes_over_that(stage: Stage) -> None:
    before = CliRunner().invoke(main, ["pe", *stage.place, "inventory", "--json"])
    over = CliRunner().invoke(main, ["pe", "--url", "http://localhost:1", "inventory", "--json", *stage.place])
    assert before.exit_code == over.exit_code == 0, before.stderr + over.stderr
    assert before.stdout == over.stdout
