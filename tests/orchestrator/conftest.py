"""A certificate authority of our own, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.authority import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that signed the test servers' certificates."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA, which signed nothing that is in use."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A token file as puppet-access writes it."""
    path = tmp_path / "token"
    path.write_text("0first1token2secret\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client's retries inside one answer follow at once."""
    monkeypatch.setattr("orchbridge.orchestrator.client.PAUSE_S", (0.0, 0.01))
