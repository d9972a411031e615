"""What the tests of deploy/ share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tests.debian import Lack


@pytest.fixture(scope="session")
def fetched(leave_out: Callable[..., Any]) -> Callable[..., Any]:
    """Call what may have to fetch something: `fetched(schemas.compose)`; where it cannot the test is left out."""

    @functools.cache
    def get(what: Callable[..., Any], *arguments: str) -> Any:
        try:
            return what(*arguments)
        except Lack as lack:
            leave_out(what.__name__, why=str(lack))

    return get
