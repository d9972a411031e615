"""`orchbridge simulate` asked for what it cannot do: one line says which option it is and what to do, exit 2 or 69."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchbridge.cli.main import main


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version", "banana"), ("'banana' is no release of PE", "2019.8.5", "--list")),
        (("--version", "1999"), ("older than this API", "2016.2")),
        (("--version", "2030.1"), ("nothing is known of PE 2030.1", "2025")),
        (("--version", "2021.0", "--knob", "shape_version=2019.8"), ("--version and --knob", "one of them")),
        (("--scenario", "nope"), ("no scenario 'nope'", "demo")),
        (("--scenario", "backlog:jobs=-4"), ("'jobs=-4' is not a number >= 0",)),
        (("--scenario", "backlog:jobs=nan"), ("is not a number",)),
        (("--knob", "nope=1"), ("no knob 'nope'", "faults")),
        (("--knob", "latency"), ("no value", "name=value")),
        (("--seed", "x"), ("--seed",)),
        (("--token", ""), ("the token is empty",)),
        (("--token", "a", "--token-file", "token"), ("both given", "one of them")),
        (("--token-file", "bytes"), ("--token-file bytes", "as text")),
        (("--token-file", "nowhere"), ("--token-file",)),
        (("--tls", "token/tls"), ("--tls token/tls: Not a directory", "another path")),
        (("--truth", "nowhere/truth"), ("--truth nowhere/truth: No such file",)),
        (("--state", "token"), ("state file token", "not a state file")),
        (("--port", "99999"), ("--port",)),
        (("--host", "300.1.2.3"), ("cannot listen on 300.1.2.3", "--host")),
    ],
)
def test_what_it_cannot_do(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "token").write_text("letmein\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["simulate", "--port", "0", *arguments])
    assert done.exit_code in {2, 69}, done.output
    assert isinstance(done.exception, SystemExit)
    assert all(word in done.output for word in words), done.output


def test_a_port_that_is_taken(taken: str) -> None:
    done = CliRunner().invoke(main, ["simulate", "--port", taken])
    assert (done.exit_code, "in use" in done.output) == (69, True), done.output
