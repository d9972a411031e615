"""Commands that end after their answer silence the log of libraries for good; here other tests come after them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_heard_again() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)
