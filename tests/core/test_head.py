"""The head document across versions of the program."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchbridge.core import head as heads
from orchbridge.core.errors import Corrupt
from orchbridge.core.head import Era, Head, Passage
from orchbridge.core.jobs.stream import JobStream
from tests.core.live import Life, settings
from tests.core.test_window_jobs import history


def version(document: bytes) -> int:
    found: int = msgspec.json.decode(document).get("v", 1)  # what version 1 reads where nothing is said
    return found


def decoded(document: bytes) -> Head:
    return heads.decode("prod/jobs", document, url="", keys="bare", adopt=False)


NEWS: list[dict[str, Any]] = [
    {"handed": True}, {"eras": (Era(3, 2),)}, {"odd": ("x",)}, {"passage": Passage(over=True)}, {"forgotten": 7},
]  # fmt: skip


@pytest.mark.parametrize("news", NEWS, ids=lambda news: next(iter(news)))
def test_a_head_with_what_version_1_does_not_know_is_of_version_2(news: dict[str, Any]) -> None:
    document = heads.encode(Head(high=9, **news))
    assert version(document) == 2
    assert decoded(document) == Head(v=2, high=9, **news)


def test_a_head_without_news_stays_readable_for_version_1() -> None:
    assert version(heads.encode(Head(v=2, high=9, gaps=(3,)))) == 1


def test_a_version_that_is_not_known_is_refused() -> None:
    with pytest.raises(Corrupt, match="version 3, this program reads versions 1 to 2"):
        decoded(b'{"v": 3}')


def test_no_older_program_takes_up_a_stream_that_has_handed_over() -> None:
    life = Life(JobStream(settings("jobs", backfill=True)), history())
    life.until(3.0)
    assert version(life.store.documents["prod/jobs"]) == 2
