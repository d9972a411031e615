"""Certificate authorities for the operations port, made once."""

from __future__ import annotations

import pytest

from tests.authority import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that signs the port's certificates, and its clients'."""
    return Authority(tmp_path_factory.mktemp("ops-ca"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA, whose certificates nobody should take."""
    return Authority(tmp_path_factory.mktemp("ops-stranger"))
