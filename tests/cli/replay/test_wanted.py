"""What a replay's options ask for, and that the printed command asks for just the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.cli.replay.wanted import Holes, Span, Wanted, moment, patience_of, share_of, spans, wanted
from orchbridge.core import times
from orchbridge.core.errors import ConfigError

NOW = times.seconds("2026-05-10T12:00:00Z") or 0.0

SPANS = st.tuples(st.integers(1, 60), st.none() | st.integers(0, 20)).map(
    lambda pair: Span(pair[0], None if pair[1] is None else pair[0] + pair[1])
)


def inside(several: tuple[Span, ...], id_: int) -> bool:
    return any(span.first <= id_ and (span.last is None or id_ <= span.last) for span in several)


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        (["412"], (Span(412, 412),)),
        (["350..400"], (Span(350, 400),)),
        (["350.."], (Span(350, None),)),
        ([" 7..7 "], (Span(7, 7),)),
        (["10..12", "1..3"], (Span(1, 3), Span(10, 12))),
        (["1..3", "4..6"], (Span(1, 6),)),
        (["1..9", "3"], (Span(1, 9),)),
        (["5..", "7..9", "1"], (Span(1, 1), Span(5, None))),
    ],
)
def test_ranges(given_: list[str], found: tuple[Span, ...]) -> None:
    assert spans("--jobs", given_) == found


@given(st.lists(SPANS, min_size=1, max_size=8), st.integers(1, 90))
def test_ranges_keep_their_meaning_when_they_are_put_in_order(several: list[Span], id_: int) -> None:
    merged = spans("--jobs", map(str, several))
    assert inside(merged, id_) == inside(tuple(several), id_)
    assert all(left.last is not None and left.last + 1 < right.first for left, right in pairwise(merged))
    first, last = merged[0].first, merged[-1].last
    reached = first <= id_ and (last is None or id_ <= last)
    assert inside(merged, id_) == (reached and id_ not in Holes(merged)), "a window is its ends without the holes"


@given(st.lists(SPANS, min_size=1, max_size=5), st.lists(SPANS, max_size=3))
def test_the_printed_arguments_mean_the_same(jobs: list[Span], plans: list[Span]) -> None:
    asked = wanted(map(str, jobs), map(str, plans), None, None)
    again = asked.arguments()
    pairs = list(zip(again[::2], again[1::2], strict=True))
    assert asked == wanted(
        [value for name, value in pairs if name == "--jobs"],
        [value for name, value in pairs if name == "--plan-jobs"], None, None,
    )  # fmt: skip


@given(st.integers(1, 400), st.sampled_from("smhd"), st.integers(0, 10**6))
def test_a_time_ago_is_printed_as_the_moment_it_was(count: int, unit: str, later: int) -> None:
    asked = wanted((), (), f"{count}{unit}", None, now=NOW)
    [_, text] = asked.arguments()
    assert wanted((), (), text, None, now=NOW + later) == asked, "whenever it is given again"
    assert asked.since == NOW - count * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]


def test_two_times_are_a_window() -> None:
    asked = wanted((), (), "2026-05-01T08:00:00+02:00", "2d", now=NOW)
    assert asked == Wanted(since=times.seconds("2026-05-01T06:00:00Z"), until=NOW - 2 * 86_400)
    assert asked.words("plans") == "plans created since 2026-05-01T06:00:00.000Z until 2026-05-08T12:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "0..4", "4..1", "-3", "1...3", "..5", "1,2", "1.5", "1e3", "٣", "9" * 19, "350 400", "1..2..3"],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ConfigError, match="--jobs") as caught:
        spans("--jobs", [text])
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2", "0h", "-2h", "2w", "2026-05-01", "2026-05-01T08:00:00", "2026-02-31T00:00:00Z", "nan"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match="--since"):
        moment("--since", text, NOW)


@pytest.mark.parametrize(
    ("jobs", "since", "until", "word"),
    [
        ([], None, None, "nothing is asked"),
        ([], None, "2h", "--since"),
        (["1"], "2h", None, "beside ids"),
        ([], "2026-05-10T12:00:01Z", None, "still to come"),
        ([], "2h", "3h", "before"),
    ],
)
def test_what_does_not_fit_together(jobs: list[str], since: str | None, until: str | None, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        wanted(jobs, (), since, until, now=NOW)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.01, float("nan"), float("inf")])
def test_what_is_no_share(share: float) -> None:
    with pytest.raises(ConfigError, match="--share"):
        share_of(share)


def test_patience_is_a_time() -> None:
    assert patience_of("2m") == 120.0
    with pytest.raises(ConfigError, match="--patience"):
        patience_of("for ever")
